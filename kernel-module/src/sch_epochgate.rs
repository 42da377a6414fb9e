// SPDX-License-Identifier: GPL-2.0

//! The qdisc: a gate, a way past it, and a watchdog.
//!
//! C headers: [`include/net/sch_generic.h`](srctree/include/net/sch_generic.h),
//! [`include/uapi/linux/pkt_sched.h`](srctree/include/uapi/linux/pkt_sched.h)
//!
//! What passes by has a queue of its own, which is served first: a device that is busy must not
//! make it wait behind what is held. In the place of `sch_plug` the messages are the same and the
//! faults are not: each RELEASE_ONE lets the oldest epoch go that a BUFFER has ended, whatever
//! happened meanwhile, and BUFFER on an open gate only closes it.

use crate::sch_generic;
use crate::skbuff::{SkBuff, SkBuffList};
use kernel::error::code;
use kernel::prelude::{Result, pr_info, pr_warn};

use crate::classifier::Mark;
use crate::gate::{Config, Gate, Late, Overflow, Xmit};
use crate::netlink::{Command, Request, Settings, Writer, attribute, plug, state};
use crate::qdisc::{Circumstances, Qdisc};

/// The limit of a gate that is told none: what a fast link sends in a long epoch.
const LIMIT: u64 = 64 << 20;
/// The same for epochs in flight: far more than any replicator has, and 100 KiB at most.
const IN_FLIGHT: usize = 4096;
/// Packets that pass by and wait for the device, as `pfifo` would hold.
const PASSING: usize = 1000;
const NANOSECONDS: u64 = 1_000_000;

/// The state of one qdisc.
#[derive(Debug)]
pub struct EpochGate {
    gate: Gate,
    passing: SkBuffList,
    mark: Mark,
    in_flight: usize,
    /// Nanoseconds; 0 for no watchdog.
    patience: u64,
    /// When it will bark, if something waits until then; 0 while it sleeps.
    due: u64,
    /// The last sign of life: a commit or an abort, or a bark.
    settled: u64,
}

impl EpochGate {
    fn new(limit: u64, now: u64) -> Self {
        Self {
            gate: Gate::new(Config {
                limit,
                max_in_flight: IN_FLIGHT,
                overflow: Overflow::DropNewest,
                late: Late::Hold,
            }),
            passing: SkBuffList::new(),
            mark: Mark::default(),
            in_flight: IN_FLIGHT,
            patience: 0,
            due: 0,
            settled: now,
        }
    }

    fn set(&mut self, settings: Settings) {
        if let Some(limit) = settings.limit {
            self.gate.set_limit(limit);
        }
        if let Some(overflow) = settings.overflow {
            self.gate.set_overflow(overflow);
        }
        if let Some(late) = settings.late {
            self.gate.set_late(late);
        }
        if let Some(in_flight) = settings.in_flight {
            // CAST: `usize` is at least 32 bits wide.
            self.in_flight = in_flight as usize;
            self.gate.set_max_in_flight(self.in_flight);
        }
        if let Some(patience) = settings.watchdog {
            self.patience = u64::from(patience).saturating_mul(NANOSECONDS);
            self.due = 0;
        }
        if let Some(value) = settings.mark {
            self.mark.value = value;
        }
        if let Some(mask) = settings.mask {
            self.mark.mask = mask;
        }
    }

    fn command(&mut self, sch: &mut sch_generic::Qdisc, command: Command, now: u64) -> Result {
        match command {
            Command::Begin(epoch) => self.gate.begin(epoch)?,
            Command::Commit(epoch) => {
                self.gate.commit(epoch)?;
                self.settled = now;
                sch.schedule();
            }
            Command::Abort(epoch) => {
                self.gate.abort(epoch, |skb| sch.drop_queued(skb))?;
                self.settled = now;
            }
            Command::Open => {
                self.gate.open_up();
                sch.schedule();
            }
        }
        Ok(())
    }

    /// What a message to `sch_plug` means here.
    fn plug(&mut self, sch: &mut sch_generic::Qdisc, action: u32, limit: u32, now: u64) -> Result {
        match action {
            plug::BUFFER => {
                let open = self.gate.open_epoch();
                // An open gate is closed; what passed it was no epoch.
                let epoch = match self.gate.is_open() {
                    true => open,
                    false => open.checked_add(1).ok_or(code::ERANGE)?,
                };
                self.gate.begin(epoch)?;
            }
            plug::RELEASE_ONE => {
                if let Some(oldest) = self.gate.oldest() {
                    self.command(sch, Command::Commit(oldest), now)?;
                }
            }
            plug::RELEASE_INDEFINITE => {
                self.command(sch, Command::Open, now)?;
                // No release is due for epochs whose packets are gone.
                while let Some(oldest) = self.gate.oldest() {
                    self.gate.commit(oldest)?;
                }
                self.settled = now;
            }
            plug::LIMIT => self.gate.set_limit(limit.into()),
            _ => return Err(code::EINVAL),
        }
        Ok(())
    }

    /// Queues a packet that passes by.
    #[cold]
    fn pass(&mut self, sch: &mut sch_generic::Qdisc, skb: SkBuff) -> Result<(), SkBuff> {
        if self.passing.len() >= PASSING {
            return Err(skb);
        }
        sch.enqueued(&skb);
        self.gate.passed(skb.len());
        self.passing.push_back(skb);
        Ok(())
    }

    /// Wakes the watchdog when something waits, has it bark when it is time, and lets it sleep.
    #[cold]
    fn watch(&mut self, sch: &mut sch_generic::Qdisc, now: u64) {
        if self.patience == 0 || (self.due != 0 && now < self.due) {
            return;
        }
        if !self.gate.waits() {
            self.due = 0;
            return;
        }
        // A packet that came long after the last commit has not waited since then.
        let since = self.gate.waiting_since().unwrap_or(self.settled);
        let due = since.max(self.settled).saturating_add(self.patience);
        if self.due == 0 || now < due {
            self.due = due;
            sch.watchdog(due);
            return;
        }
        if !self.gate.is_late() {
            match self.gate.on_late() {
                Late::Hold => pr_warn!("no commit came in time; held on\n"),
                Late::Abort => pr_warn!("no commit came in time; aborted what waited\n"),
                Late::Open => pr_warn!("no commit came in time; opened\n"),
            }
        }
        self.gate.bark(|skb| sch.drop_queued(skb));
        self.settled = now;
        self.due = now.saturating_add(self.patience);
        sch.watchdog(self.due);
    }
}

/// The packet was counted as queued, and finds no room.
#[cold]
fn no_room(sch: &mut sch_generic::Qdisc, skb: SkBuff) -> SkBuff {
    sch.not_enqueued(&skb);
    sch.overlimit();
    skb
}

impl Qdisc for EpochGate {
    fn init(circumstances: Circumstances, options: Option<&[u8]>, now: u64) -> Result<Self> {
        let default = match circumstances.is_plug {
            0 => LIMIT,
            _ => circumstances.device_limit,
        };
        let mut this = Self::new(default, now);
        match options.map(Request::read).transpose()? {
            None => {}
            Some(Request::Own(settings, None)) => this.set(settings),
            // There is no epoch to commit yet, and a gate begins closed.
            Some(Request::Own(_, Some(_))) => return Err(code::EINVAL),
            // With any other action a limit of 0 means that none was given: nobody wants a black hole.
            Some(Request::Plug { action, limit: 0 }) if action != plug::LIMIT => {}
            Some(Request::Plug { limit, .. }) => this.gate.set_limit(limit.into()),
        }
        if this.mark.mask != 0 {
            pr_info!("packets with a mark pass by\n");
        }
        Ok(this)
    }

    fn change(&mut self, sch: &mut sch_generic::Qdisc, options: &[u8], now: u64) -> Result {
        match Request::read(options)? {
            Request::Own(settings, command) => {
                if let Some(command) = command {
                    self.command(sch, command, now)?;
                }
                self.set(settings);
            }
            Request::Plug { action, limit } => self.plug(sch, action, limit, now)?,
        }
        self.watch(sch, now);
        Ok(())
    }

    #[inline]
    fn enqueue(
        &mut self,
        sch: &mut sch_generic::Qdisc,
        skb: SkBuff,
        class: u32,
        now: u64,
    ) -> Result<(), SkBuff> {
        if self.mark.passes(&skb, class) {
            return self.pass(sch, skb);
        }
        sch.enqueued(&skb);
        match self.gate.enqueue(skb, now) {
            Xmit::Queued { ask: _ } => {
                if self.patience != 0 && self.due == 0 {
                    self.watch(sch, now);
                }
                Ok(())
            }
            Xmit::Drop { skb, ask: _ } => Err(no_room(sch, skb)),
        }
    }

    fn peek(&self) -> Option<&SkBuff> {
        self.passing.front().or_else(|| self.gate.peek())
    }

    #[inline]
    fn dequeue(&mut self, sch: &mut sch_generic::Qdisc, now: u64) -> Option<SkBuff> {
        // What the watchdog drops was not to leave, so it is never what a peek has shown.
        if self.due != 0 && now >= self.due {
            self.watch(sch, now);
        }
        let next = self.passing.pop_front().or_else(|| self.gate.dequeue());
        match &next {
            Some(skb) => sch.dequeued(skb),
            // Woken too early, it would sleep for good.
            None if self.due != 0 => sch.watchdog(self.due),
            None => {}
        }
        next
    }

    fn reset(&mut self) {
        while let Some(skb) = self.passing.pop_front() {
            drop(skb);
        }
        self.gate.reset(drop);
        self.due = 0;
    }

    fn dump(&self, to: &mut Writer<'_>, now: u64) -> Result {
        let gate = &self.gate;
        to.long(attribute::LIMIT, gate.limit())?;
        let (overflow, ask_at) = match gate.overflow() {
            Overflow::DropNewest => (0, None),
            Overflow::RefuseEpoch => (1, None),
            Overflow::AskCheckpoint(at) => (2, Some(at)),
        };
        to.word(attribute::OVERFLOW, overflow)?;
        if let Some(at) = ask_at {
            to.long(attribute::ASK_AT, at)?;
        }
        to.word(
            attribute::IN_FLIGHT,
            u32::try_from(self.in_flight).unwrap_or(u32::MAX),
        )?;
        let patience = self.patience.checked_div(NANOSECONDS).unwrap_or_default();
        to.word(
            attribute::WATCHDOG,
            u32::try_from(patience).unwrap_or(u32::MAX),
        )?;
        let late = match gate.on_late() {
            Late::Hold => 0,
            Late::Abort => 1,
            Late::Open => 2,
        };
        to.word(attribute::LATE, late)?;
        to.word(attribute::MARK, self.mark.value)?;
        to.word(attribute::MASK, self.mark.mask)?;
        let flag = |set: bool, bit: u32| if set { bit } else { 0 };
        let flags = flag(gate.is_open(), state::OPEN)
            | flag(gate.is_late(), state::LATE)
            | flag(gate.is_overflowed(), state::FULL)
            | flag(gate.is_asking(), state::ASKING);
        to.word(attribute::STATE, flags)?;
        to.long(attribute::OPEN_EPOCH, gate.open_epoch())?;
        to.long(attribute::COMMITTED, gate.committed())?;
        to.long(attribute::OLDEST, gate.oldest().unwrap_or(0))?;
        // CAST: `usize` is at most 64 bits wide; so below.
        to.long(attribute::FLYING, gate.in_flight() as u64)?;
        to.long(attribute::HELD_PACKETS, gate.qlen() as u64)?;
        to.long(attribute::HELD_BYTES, gate.backlog())?;
        let age = gate
            .waiting_since()
            .map_or(0, |since| now.saturating_sub(since));
        to.long(
            attribute::AGE,
            age.checked_div(NANOSECONDS).unwrap_or_default(),
        )?;
        let stats = gate.stats();
        to.long(attribute::REFUSED, stats.refused)?;
        to.long(attribute::BARKS, stats.late)?;
        to.bstats(attribute::PASSED, stats.passed)?;
        to.bstats(attribute::SENT, stats.sent)?;
        to.bstats(attribute::UNPROTECTED, stats.unprotected)?;
        to.bstats(attribute::OVERFLOWED, stats.overflow)?;
        to.bstats(attribute::ABORTED, stats.aborted)?;
        to.bstats(attribute::PURGED, stats.purged)
    }
}
