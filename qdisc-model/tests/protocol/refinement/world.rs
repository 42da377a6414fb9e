//! A guest, its client, the daemon around the controller, and a kernel with one plug, one step at a
//! time: whatever can come between two commands of the daemon may come there.
//!
//! What the controller relies on, and the search therefore leaves out unless a setting says
//! otherwise:
//!
//! - *No disturbance between a look and the RELEASE_ONE behind it*, no LIMIT of somebody else between
//!   the fence and the flush behind it, and no disturbance while packets that were let go wait for the
//!   device. No request to the kernel can be made to depend on what happened a
//!   moment before; what can leak then is bounded, see `tests/controller/cases.rs`.
//! - *A purge is told*, by a notice of the kernel or by the news that notices were lost; or fewer
//!   packets come in until the next look than were purged, so that the counters go backwards.
//! - *Who else gives orders to the plug* answers for what these let go. The daemon hears of them in a
//!   notice and answers for everything after it.
//! - *The guest is paused* from the request to end its epoch, or to abort, until the answer; and the
//!   client is honest: it commits what the backup has, and everything older with it.

use qdisc_model::controller::{
    Answer, Command, Controller, Event, Refusal, Request, Sighting, Step,
};
use qdisc_model::packet::Packet;
use qdisc_model::plug::{
    BUFFER, Device, Enqueued, LIMIT, Plug, Qopt, RELEASE_INDEFINITE, RELEASE_ONE,
};

use super::act::{Act, Fault, Seen, Setting};
use super::hand::{Deed, Hand};
use super::relation::{Deviation, Shadow};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Wish {
    End,
    Abort,
}

/// Which plug the daemon gives its orders to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Grip {
    /// It takes whichever it finds when it next looks.
    None,
    /// The one at the root.
    This,
    /// One that is gone.
    Gone,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    plug: Plug,
    grip: Grip,
    /// Bytes that left the plug, as the kernel counts them.
    sent: u64,
    /// Drops of plugs that are gone.
    drops: u64,
    pub(crate) controller: Controller,
    next: Option<Command>,
    news: bool,
    /// A purge that only the counters show.
    silent: bool,
    /// Somebody else gave orders to this plug.
    foreign: bool,
    stalled: bool,
    /// What the guest is paused for.
    paused: Option<Wish>,
    /// What the number of an epoch on the line falls short of the guest's own.
    base: u64,
    packets: u64,
    faults: u8,
    shadow: Shadow,
    pub(crate) deviation: Option<Deviation>,
}

fn fresh(limit: u32) -> Plug {
    let device = Device {
        tx_queue_len: 32,
        psched_mtu: 1514,
    };
    Plug::init(
        Some(Qopt {
            action: LIMIT,
            limit,
        }),
        device,
    )
}

impl World {
    pub(crate) fn new(setting: &Setting) -> Self {
        let mut world = Self {
            plug: fresh(setting.limit),
            grip: Grip::None,
            sent: 0,
            drops: 0,
            controller: Controller::new(setting.limit),
            next: None,
            news: false,
            silent: false,
            foreign: false,
            stalled: false,
            paused: None,
            base: 1,
            packets: 0,
            faults: 0,
            shadow: Shadow::new(),
            deviation: None,
        };
        let mut seen = Vec::new();
        for _ in 0..setting.before {
            let sent = world.send(&mut seen);
            debug_assert_eq!(sent, Ok(()));
        }
        world.controller.step(Event::Joined);
        world
    }

    /// What may happen.
    pub(crate) fn acts(&self, setting: &Setting, acts: &mut Vec<Act>) {
        if self.packets < setting.packets && self.paused.is_none() && !self.hides_a_purge() {
            acts.push(Act::Send);
        }
        if self.stalled {
            acts.push(Act::Flow);
        }
        let idle = !self.controller.is_busy() && !self.controller.is_lost();
        if self.controller.is_lost() {
            acts.push(Act::Start);
        }
        if self.next.is_some() {
            acts.push(Act::Work);
        }
        if idle {
            if self.news && setting.hand != Hand::Deaf {
                acts.push(Act::Hear);
            }
            match self.paused {
                Some(Wish::End) => acts.push(Act::End),
                Some(Wish::Abort) => acts.push(Act::Abort),
                None if self.shadow.open() <= setting.epochs => {
                    acts.push(Act::End);
                    if setting.abort {
                        acts.push(Act::Abort);
                    }
                }
                None => {}
            }
            let flying = self.shadow.in_flight().len() as u64;
            acts.extend((1..=flying).map(Act::Commit));
        }
        if self.faults < setting.most_faults {
            let may = |fault: &&Fault| self.may(setting, **fault, idle);
            acts.extend(setting.faults.iter().filter(may).map(|f| Act::Fault(*f)));
        }
    }

    fn may(&self, setting: &Setting, fault: Fault, idle: bool) -> bool {
        let gap = self.next == Some(Command::ReleaseOne) || (self.stalled && self.shadow.owes());
        let disturbing = setting.in_the_gap || !gap;
        match fault {
            Fault::Foreign(LIMIT) if self.next == Some(Command::Flush) => setting.in_the_gap,
            Fault::Flap | Fault::Foreign(_) | Fault::Replace => disturbing,
            Fault::Purge => disturbing && self.shows_a_purge(),
            Fault::Fail(_) => self.next.is_some(),
            Fault::Kill | Fault::Leave => true,
            Fault::Stall => !self.stalled,
            Fault::RepeatCommit => idle && self.shadow.committed() >= self.base,
            Fault::Lie => idle,
        }
    }

    /// Whether a purge of all that is held would show in the counters.
    fn shows_a_purge(&self) -> bool {
        self.grip == Grip::This && self.sent < self.controller.seen().arrivals()
    }

    /// Whether one packet more would hide a purge from the counters.
    fn hides_a_purge(&self) -> bool {
        self.silent && self.sighting().arrivals() + 1 >= self.controller.seen().arrivals()
    }

    fn sighting(&self) -> Sighting {
        Sighting {
            packets: u32::try_from(self.plug.held().len()).unwrap(),
            backlog: self.plug.backlog(),
            sent: self.sent,
        }
    }

    /// Does one thing. What there was to see is told.
    pub(crate) fn take(&mut self, setting: &Setting, act: Act) -> Vec<Seen> {
        let mut seen = Vec::new();
        let judged = self.happen(setting, act, &mut seen).and_then(|()| {
            let drops = self.drops + u64::from(self.plug.drops());
            let purged = self.controller.totals().purged;
            self.shadow.compare(&self.plug, self.foreign, drops, purged)
        });
        self.deviation = judged.err();
        seen
    }

    fn happen(
        &mut self,
        setting: &Setting,
        act: Act,
        seen: &mut Vec<Seen>,
    ) -> Result<(), Deviation> {
        match act {
            Act::Send => self.send(seen),
            Act::Flow => {
                self.stalled = false;
                self.run(seen)
            }
            Act::Work => self.work(setting, seen),
            Act::Hear => {
                self.news = false;
                let step = self.controller.step(Event::Disturbed);
                self.settle(step, seen)
            }
            Act::Start => {
                self.silent = false;
                let step = self.controller.step(Event::Start);
                self.settle(step, seen)
            }
            Act::End => {
                self.paused = Some(Wish::End);
                let number = self.shadow.open() - self.base;
                self.ask(setting, Request::End(number), seen)
            }
            Act::Abort => {
                self.paused = Some(Wish::Abort);
                self.ask(setting, Request::Abort, seen)
            }
            Act::Commit(count) => {
                let flying = self.shadow.in_flight();
                let epoch = flying[usize::try_from(count - 1).unwrap()];
                // What an earlier client ended is committed with the next epoch of this one.
                match epoch.checked_sub(self.base) {
                    Some(number) => self.ask(setting, Request::Committed(number), seen),
                    None => Ok(()),
                }
            }
            Act::Fault(fault) => {
                self.faults += 1;
                self.fail(setting, fault, seen)
            }
        }
    }

    fn send(&mut self, seen: &mut Vec<Seen>) -> Result<(), Deviation> {
        self.packets += 1;
        let packet = Packet::held(self.packets, 1);
        let limit = self.plug.limit();
        let dropped = self.plug.enqueue(packet) == Enqueued::Dropped;
        self.shadow.arrived(packet, limit, dropped)?;
        if dropped {
            seen.push(Seen::Lost(packet.id));
        }
        self.run(seen)
    }

    fn run(&mut self, seen: &mut Vec<Seen>) -> Result<(), Deviation> {
        if self.stalled {
            return Ok(());
        }
        let doomed = self.next == Some(Command::Renew);
        for packet in self.plug.run() {
            self.sent += 1;
            seen.push(Seen::Left(packet.id));
            self.shadow.left(packet, doomed)?;
        }
        Ok(())
    }

    fn purge(&mut self, seen: &mut Vec<Seen>) -> Result<(), Deviation> {
        let lost = self.plug.reset();
        seen.extend(lost.iter().map(|packet| Seen::Lost(packet.id)));
        self.shadow.purged(&lost)
    }

    fn replace(&mut self, setting: &Setting, seen: &mut Vec<Seen>) -> Result<(), Deviation> {
        self.purge(seen)?;
        self.drops += u64::from(self.plug.drops());
        self.plug = fresh(setting.limit);
        self.sent = 0;
        self.silent = false;
        self.foreign = false;
        Ok(())
    }

    fn order(&mut self, action: i32, limit: u32, seen: &mut Vec<Seen>) -> Result<(), Deviation> {
        self.plug.change(Qopt { action, limit }).unwrap();
        match action {
            RELEASE_ONE | RELEASE_INDEFINITE => self.run(seen),
            _ => Ok(()),
        }
    }

    /// The daemon carries out its next command, and the controller hears of it.
    fn work(&mut self, setting: &Setting, seen: &mut Vec<Seen>) -> Result<(), Deviation> {
        let Some(command) = self.next.take() else {
            return Ok(());
        };
        seen.push(Seen::Command(command));
        match (command, self.grip) {
            (Command::Renew, _) | (Command::Look, Grip::None) => self.grip = Grip::This,
            (_, Grip::Gone) => return self.failed(seen),
            _ => {}
        }
        self.carry_out(setting, command, seen)?;
        if setting.hand.hears(command) && std::mem::take(&mut self.news) {
            self.controller.step(Event::Disturbed);
        }
        let last = self.controller.seen();
        let now = setting.hand.tells(command, self.sighting(), last);
        self.silent = false;
        let step = self.controller.step(Event::Done(now));
        self.settle(step, seen)
    }

    fn carry_out(
        &mut self,
        setting: &Setting,
        command: Command,
        seen: &mut Vec<Seen>,
    ) -> Result<(), Deviation> {
        let ends = self.paused == Some(Wish::End);
        match setting.hand.deed(command, ends) {
            Deed::Nothing => Ok(()),
            Deed::Renew => self.replace(setting, seen),
            Deed::Orders(orders) => orders
                .into_iter()
                .flatten()
                .try_for_each(|(action, limit)| self.order(action, limit, seen)),
        }
    }

    fn failed(&mut self, seen: &mut Vec<Seen>) -> Result<(), Deviation> {
        self.grip = Grip::None;
        self.next = None;
        let step = self.controller.step(Event::Failed);
        self.settle(step, seen)
    }

    fn ask(
        &mut self,
        setting: &Setting,
        request: Request,
        seen: &mut Vec<Seen>,
    ) -> Result<(), Deviation> {
        let step = self.controller.step(Event::Request(request));
        if let Request::Committed(number) = request {
            let epoch = number + self.base;
            match step.answer {
                Some(Answer::Refused(Refusal::NotEnded(_))) => self.shadow.not_ended(epoch)?,
                Some(Answer::Refused(Refusal::Aborted(_))) => self.shadow.dead(epoch)?,
                Some(Answer::Refused(_)) => {}
                _ => self.shadow.told(epoch)?,
            }
            if setting.hand == Hand::Hasty && matches!(step.answer, Some(Answer::Waiting(_))) {
                self.order(RELEASE_ONE, 0, seen)?;
            }
        }
        if setting.hand == Hand::Eager && matches!(step.answer, Some(Answer::Joined(_))) {
            self.order(BUFFER, 0, seen)?;
        }
        self.settle(step, seen)
    }

    /// Takes the answer to the client, and keeps the command for later.
    fn settle(&mut self, step: Step, seen: &mut Vec<Seen>) -> Result<(), Deviation> {
        self.next = step.command;
        let Some(answer) = step.answer else {
            return Ok(());
        };
        seen.push(Seen::Answer(answer));
        match answer {
            Answer::Ended(_) | Answer::Joined(_) => {
                self.paused = None;
                self.shadow.ended(matches!(answer, Answer::Ended(_)))
            }
            Answer::Aborted(_) => {
                self.paused = None;
                self.shadow.aborted()
            }
            Answer::Released(_) if self.controller.strays() == 0 && !self.stalled => {
                self.shadow.released()
            }
            _ => Ok(()),
        }
    }

    fn fail(
        &mut self,
        setting: &Setting,
        fault: Fault,
        seen: &mut Vec<Seen>,
    ) -> Result<(), Deviation> {
        match fault {
            Fault::Flap => {
                self.news = true;
                self.silent = false;
                self.purge(seen)
            }
            Fault::Purge => {
                self.silent = true;
                self.purge(seen)
            }
            Fault::Foreign(action) => {
                self.news = true;
                if matches!(action, RELEASE_ONE | RELEASE_INDEFINITE) {
                    self.shadow.let_go();
                }
                self.foreign = true;
                self.order(action, 2, seen)
            }
            Fault::Replace => {
                self.news = true;
                if self.grip == Grip::This {
                    self.grip = Grip::Gone;
                }
                self.replace(setting, seen)
            }
            Fault::Fail(carried_out) => {
                if carried_out
                    && let Some(command) = self.next
                    && (self.grip != Grip::Gone || command == Command::Renew)
                {
                    self.carry_out(setting, command, seen)?;
                }
                self.failed(seen)
            }
            Fault::Kill => {
                self.controller = Controller::new(setting.limit);
                self.next = None;
                // A new socket hears only of what comes after it.
                self.news = false;
                self.silent = false;
                self.grip = Grip::None;
                self.change_client();
                Ok(())
            }
            Fault::Leave => {
                self.controller.step(Event::Left);
                self.change_client();
                Ok(())
            }
            Fault::Stall => {
                self.stalled = true;
                Ok(())
            }
            Fault::RepeatCommit => {
                let number = self.shadow.committed() - self.base;
                self.ask(setting, Request::Committed(number), seen)
            }
            Fault::Lie => {
                let number = self.shadow.open() - self.base;
                self.ask(setting, Request::Committed(number), seen)
            }
        }
    }

    /// The next client lets the guest go on, in the epoch that it is in.
    fn change_client(&mut self) {
        self.controller.step(Event::Joined);
        self.base = self.shadow.open();
        self.paused = None;
    }
}
