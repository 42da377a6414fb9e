// SPDX-License-Identifier: GPL-2.0

//! The gate: packets wait behind markers, one for each epoch, until the epoch is committed.
//!
//! C headers: [`include/net/sch_generic.h`](srctree/include/net/sch_generic.h),
//! [`include/net/pkt_sched.h`](srctree/include/net/pkt_sched.h)
//!
//! One list holds all packets in the order of their arrival, linked by themselves, so that a packet
//! that is held takes no memory but its own. The end of an epoch is a position
//! in it; a commit moves the position up to which packets may leave to the end of that epoch.
//! Positions outlive packets: a reset of the queue leaves every marker true. What `sch_plug` does
//! with counts, and gets wrong when packets vanish, is done with places here.

mod config;
mod stats;
#[cfg(test)]
mod tests;

use crate::skbuff::{SkBuff, SkBuffList};

use crate::queue::Queue;
pub use config::{Config, Error, Late, Overflow, Xmit};
pub use stats::{Bstats, Stats};

/// What the gate remembers of each packet ([`SkBuff::private`]): whether it waits for no commit, since
/// it was there, or came, while the gate was open.
const PROTECTED: u8 = 0;
const UNPROTECTED: u8 = 1;

/// The end of an epoch: all packets before this position, and behind the marker before, are its.
#[derive(Clone, Copy, Debug)]
struct Marker {
    epoch: u64,
    end: u64,
    /// When its first packet came that has not left or been lost by other ways; 0 without one.
    since: u64,
}

/// One gate, which owns each packet while it is queued.
///
/// # Invariants
///
/// Markers stand in the order of their epochs and their ends never decrease; all ends are at most the
/// queue's end. Packets before `released` may leave; while the gate is open, that is all of them.
/// `first` is the position of the first packet, or of the next one to come if there is none.
/// `backlog` is the sum of the lengths in the queue. Of each packet in it is remembered whether it is
/// protected.
#[derive(Debug)]
pub struct Gate {
    queue: SkBuffList,
    first: u64,
    markers: Queue<Marker>,
    open: u64,
    committed: u64,
    released: u64,
    backlog: u64,
    limit: u64,
    overflow: Overflow,
    on_late: Late,
    /// When the first packet of the open epoch came; 0 without one.
    since: u64,
    wide_open: bool,
    overflowed: bool,
    asked: bool,
    late: bool,
    stats: Stats,
}

impl Gate {
    /// A gate that is closed: epoch 1 is open, no epoch is committed. Allocates nothing.
    #[must_use]
    pub fn new(config: Config) -> Self {
        // INVARIANT: no markers, nothing queued.
        Self {
            queue: SkBuffList::new(),
            first: 0,
            markers: Queue::new(config.max_in_flight.max(1)),
            open: 1,
            committed: 0,
            released: 0,
            backlog: 0,
            limit: config.limit,
            overflow: config.overflow,
            on_late: config.late,
            since: 0,
            wide_open: false,
            overflowed: false,
            asked: false,
            late: false,
            stats: Stats::default(),
        }
    }

    /// A packet of the bypass class goes by: it is counted and never queued.
    pub const fn passed(&mut self, len: u32) {
        self.stats.passed.update(len);
    }

    /// Queues a packet (of `skb->len` bytes) in the open epoch, at the time `now`, which is any clock
    /// that never stands at 0.
    #[inline]
    pub fn enqueue(&mut self, mut skb: SkBuff, now: u64) -> Xmit {
        let len = skb.len();
        let backlog = self.backlog.saturating_add(u64::from(len));
        if backlog > self.limit {
            self.overflowed = true;
            self.stats.overflow.update(len);
            return Xmit::Drop {
                skb,
                ask: self.ask(true),
            };
        }
        self.backlog = backlog;
        if self.wide_open {
            // INVARIANT: what comes while the gate is open may leave.
            skb.set_private(UNPROTECTED);
            self.queue.push_back(skb);
            self.released = self.end();
        } else {
            skb.set_private(PROTECTED);
            self.queue.push_back(skb);
            if self.since == 0 {
                self.since = now;
            }
        }
        Xmit::Queued {
            ask: self.ask(false),
        }
    }

    /// The position that the next packet will have.
    const fn end(&self) -> u64 {
        // CAST: `usize` is at most 64 bits wide. The sum counts packets ever queued.
        self.first.wrapping_add(self.queue.len() as u64)
    }

    const fn ask(&mut self, dropped: bool) -> bool {
        match self.overflow {
            Overflow::AskCheckpoint(from) if !self.asked => {
                self.asked = dropped || self.backlog >= from;
                self.asked
            }
            _ => false,
        }
    }

    /// The packet that [`Gate::dequeue`] gives next.
    #[must_use]
    pub const fn peek(&self) -> Option<&SkBuff> {
        if self.first >= self.released {
            return None;
        }
        self.queue.front()
    }

    /// Gives the oldest packet, if its epoch is committed.
    #[inline]
    pub fn dequeue(&mut self) -> Option<SkBuff> {
        if self.first >= self.released {
            return None;
        }
        let skb = self.pop_front()?;
        let len = skb.len();
        if skb.private() == PROTECTED {
            self.stats.sent.update(len);
        } else {
            self.stats.unprotected.update(len);
        }
        Some(skb)
    }

    #[inline]
    fn pop_front(&mut self) -> Option<SkBuff> {
        let skb = self.queue.pop_front()?;
        // INVARIANT: what follows has the next position.
        self.first = self.first.wrapping_add(1);
        self.uncharge(skb.len());
        Some(skb)
    }

    /// A packet has left the queue, whichever way.
    const fn uncharge(&mut self, len: u32) {
        // CAST: `u32` to `u64` loses nothing.
        self.backlog = self.backlog.saturating_sub(len as u64);
        self.overflowed = false;
    }

    /// Ends the open epoch and begins `epoch`, the next one. Beginning the open one again ends
    /// nothing. Either closes a gate that was opened.
    ///
    /// # Errors
    ///
    /// [`Error::NotNext`], [`Error::InFlight`] (or no memory for the marker),
    /// [`Error::Overflowed`].
    pub fn begin(&mut self, epoch: u64) -> Result<(), Error> {
        match epoch.checked_sub(self.open) {
            Some(0) => {
                self.wide_open = false;
                return Ok(());
            }
            Some(1) => {}
            _ => return self.refuse(Error::NotNext),
        }
        let full = self.overflowed && matches!(self.overflow, Overflow::RefuseEpoch);
        let marker = Marker {
            epoch: self.open,
            end: self.end(),
            since: self.since,
        };
        // INVARIANT: the marker is the newest and stands at the queue's end. It is taken back if
        // the gate is full, so that the two refusals keep their order.
        if self.markers.push_back(marker).is_err() {
            return self.refuse(Error::InFlight);
        }
        if full && self.markers.len() > 1 {
            self.markers.pop_back();
            return self.refuse(Error::Overflowed);
        }
        self.open = epoch;
        self.since = 0;
        self.wide_open = false;
        self.asked = false;
        Ok(())
    }

    /// Lets the packets of `epoch` go and says how many. A repetition has no effect.
    ///
    /// # Errors
    ///
    /// [`Error::Open`], [`Error::NoEpoch`], [`Error::NotOldest`], [`Error::Aborted`].
    pub fn commit(&mut self, epoch: u64) -> Result<u64, Error> {
        if epoch <= self.committed {
            return Ok(0);
        }
        if epoch > self.open {
            return self.refuse(Error::NoEpoch);
        }
        if epoch == self.open {
            return self.refuse(Error::Open);
        }
        let Some((offset, marker)) = self.marker(epoch) else {
            return self.refuse(Error::Aborted);
        };
        if offset != 0 {
            return self.refuse(Error::NotOldest);
        }
        // INVARIANT: the marker goes, and all others end where it ends or later.
        self.markers.pop_front();
        let from = self.released.max(self.first);
        self.released = self.released.max(marker.end);
        self.committed = epoch;
        self.late = false;
        Ok(marker.end.saturating_sub(from))
    }

    /// Drops the packets of `epoch` and of all later ones, hands each to `free`, and opens a new
    /// epoch with a number of its own. Says how many packets there were. A repetition has no
    /// effect.
    ///
    /// # Errors
    ///
    /// [`Error::Committed`], [`Error::NoEpoch`].
    pub fn abort(&mut self, epoch: u64, mut free: impl FnMut(SkBuff)) -> Result<u64, Error> {
        if epoch <= self.committed {
            return self.refuse(Error::Committed);
        }
        if epoch > self.open {
            return self.refuse(Error::NoEpoch);
        }
        let offset = match self.marker(epoch) {
            Some((offset, _)) => offset,
            None if epoch == self.open => self.markers.len(),
            None => return Ok(0),
        };
        let before = offset
            .checked_sub(1)
            .and_then(|before| self.markers.get(before));
        let start = before.map_or(0, |marker| marker.end).max(self.released);
        // INVARIANT: every marker that ends behind `start` goes before its packets do.
        while self.markers.len() > offset {
            self.markers.pop_back();
        }
        let mut lost = self.queue.split_off(self.offset(start));
        // CAST: `usize` is at most 64 bits wide.
        let dropped = lost.len() as u64;
        while let Some(skb) = lost.pop_front() {
            let len = skb.len();
            self.uncharge(len);
            self.stats.aborted.update(len);
            free(skb);
        }
        self.open = self.open.saturating_add(1);
        self.since = 0;
        self.asked = false;
        self.late = false;
        Ok(dropped)
    }

    /// Gives up protection: everything may leave, and what comes passes behind it, until the next
    /// [`Gate::begin`]. Epochs go on being numbered and committed.
    pub fn open_up(&mut self) {
        self.wide_open = true;
        self.queue
            .set_private(self.offset(self.released), UNPROTECTED);
        // INVARIANT: all that is there may leave.
        self.released = self.released.max(self.end());
        self.forget_times();
    }

    /// How many packets stand before a position.
    fn offset(&self, position: u64) -> usize {
        let offset = position.saturating_sub(self.first);
        // It is at most the length of the queue, or nothing stands behind it.
        usize::try_from(offset).unwrap_or(usize::MAX)
    }

    /// The watchdog's time is over. If nothing waits for a commit, nothing happens, and the answer
    /// is no. Otherwise the gate is late until the next commit or abort, and does what was set;
    /// packets that this drops are handed to `free`.
    pub fn bark(&mut self, free: impl FnMut(SkBuff)) -> bool {
        if !self.waits() {
            return false;
        }
        self.stats.late = self.stats.late.wrapping_add(1);
        match self.on_late {
            Late::Hold => {}
            Late::Abort => {
                let oldest = self.oldest().unwrap_or(self.open);
                // It is in flight or open: nothing to refuse.
                let _dropped = self.abort(oldest, free);
            }
            Late::Open => self.open_up(),
        }
        self.late = true;
        true
    }

    /// Whether anything waits for a commit: a packet, or an epoch that has ended.
    #[must_use]
    pub const fn waits(&self) -> bool {
        let held = !self.queue.is_empty() && self.end() > self.released;
        held || !self.markers.is_empty()
    }

    /// When the oldest packet came that waits for a commit; `None` without one.
    #[must_use]
    pub fn waiting_since(&self) -> Option<u64> {
        let in_flight = (0..self.markers.len()).find_map(|offset| {
            let since = self.markers.get(offset)?.since;
            (since != 0).then_some(since)
        });
        in_flight.or_else(|| (self.since != 0).then_some(self.since))
    }

    /// None of the packets that came before now waits any more.
    fn forget_times(&mut self) {
        self.since = 0;
        for offset in 0..self.markers.len() {
            if let Some(marker) = self.markers.get_mut(offset) {
                marker.since = 0;
            }
        }
    }

    /// The marker of an epoch and its place among the markers.
    fn marker(&self, epoch: u64) -> Option<(usize, Marker)> {
        (0..self.markers.len()).find_map(|offset| {
            let marker = self.markers.get(offset)?;
            (marker.epoch == epoch).then_some((offset, *marker))
        })
    }

    const fn refuse<T>(&mut self, error: Error) -> Result<T, Error> {
        self.stats.refused = self.stats.refused.wrapping_add(1);
        Err(error)
    }

    /// Drops every packet, as when the device goes down, and hands each to `free`. The gate stays
    /// closed and the epochs stay in flight: their markers are positions that have gone by.
    pub fn reset(&mut self, mut free: impl FnMut(SkBuff)) {
        while let Some(skb) = self.pop_front() {
            self.stats.purged.update(skb.len());
            free(skb);
        }
        self.forget_times();
    }

    /// Sets the limit in bytes. What is queued stays.
    pub const fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// The limit in bytes.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Sets what happens beyond the limit.
    pub const fn set_overflow(&mut self, overflow: Overflow) {
        self.overflow = overflow;
    }

    /// What happens beyond the limit.
    #[must_use]
    pub const fn overflow(&self) -> Overflow {
        self.overflow
    }

    /// Sets what happens when no commit comes.
    pub const fn set_late(&mut self, late: Late) {
        self.on_late = late;
    }

    /// What happens when no commit comes.
    #[must_use]
    pub const fn on_late(&self) -> Late {
        self.on_late
    }

    /// Sets the most epochs in flight; those that are stay.
    pub fn set_max_in_flight(&mut self, max: usize) {
        self.markers.set_max(max.max(1));
    }

    /// Whether protection is given up.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.wide_open
    }

    /// Whether the watchdog found something late, with no commit or abort since.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        self.late
    }

    /// Whether a packet found no room and nothing has left since.
    #[must_use]
    pub const fn is_overflowed(&self) -> bool {
        self.overflowed
    }

    /// Whether a checkpoint was asked for in the open epoch.
    #[must_use]
    pub const fn is_asking(&self) -> bool {
        self.asked
    }

    /// Packets in the queue: `qlen`.
    #[must_use]
    #[inline]
    pub const fn qlen(&self) -> usize {
        self.queue.len()
    }

    /// Bytes in the queue.
    #[must_use]
    pub const fn backlog(&self) -> u64 {
        self.backlog
    }

    /// The epoch that packets are queued in.
    #[must_use]
    pub const fn open_epoch(&self) -> u64 {
        self.open
    }

    /// The newest committed epoch; 0 before the first.
    #[must_use]
    pub const fn committed(&self) -> u64 {
        self.committed
    }

    /// The oldest epoch that has ended and is not committed: the one to commit next.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.markers.front().map(|marker| marker.epoch)
    }

    /// Epochs ended and not committed.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.markers.len()
    }

    /// What ever happened here.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }
}
