// SPDX-License-Identifier: GPL-2.0

//! The gate: packets wait behind markers, one for each epoch, until the epoch is committed.
//!
//! C headers: [`include/net/sch_generic.h`](srctree/include/net/sch_generic.h),
//! [`include/net/pkt_sched.h`](srctree/include/net/pkt_sched.h)
//!
//! One queue holds all packets in the order of their arrival. The end of an epoch is a position
//! in it; a commit moves the position up to which packets may leave to the end of that epoch.
//! Positions outlive packets: a reset of the queue leaves every marker true. What `sch_plug` does
//! with counts, and gets wrong when packets vanish, is done with places here.

use crate::queue::{Full, Queue};

/// What to do when a packet has no room, besides dropping and counting it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Nothing.
    DropNewest,
    /// Refuse to begin an epoch until something has left, unless no other is in flight.
    RefuseEpoch,
    /// Ask for a checkpoint, once in an epoch, from this many bytes on.
    AskCheckpoint(u64),
}

/// What a gate is made with.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Most bytes queued.
    pub limit: u64,
    /// Most packets queued: it bounds the memory of the queue itself.
    pub max_packets: usize,
    /// Most epochs that have ended and are not committed; zero counts as one.
    pub max_in_flight: usize,
    /// Beyond the limit.
    pub overflow: Overflow,
}

/// What became of a packet: `NET_XMIT_SUCCESS` or `NET_XMIT_DROP`.
#[derive(Debug)]
pub enum Xmit<P> {
    /// In the queue, and perhaps the user should be asked for a checkpoint.
    Queued {
        /// Ask now.
        ask: bool,
    },
    /// The caller frees the packet. Counted already.
    Drop {
        /// The packet.
        packet: P,
        /// Ask now.
        ask: bool,
    },
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// `-EINVAL`: begins neither the open epoch nor the next.
    NotNext,
    /// `-ENOSPC`: too many epochs in flight.
    InFlight,
    /// `-ENOBUFS`: overflowed, and set to refuse epochs.
    Overflowed,
    /// `-EBUSY`: the epoch is still open.
    Open,
    /// `-ENOENT`: the epoch never began.
    NoEpoch,
    /// `-EAGAIN`: an older one comes first.
    NotOldest,
    /// `-ECANCELED`: the epoch was aborted.
    Aborted,
    /// `-EALREADY`: an abort came after the commit.
    Committed,
}

/// Packets and bytes, as `struct gnet_stats_basic` counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bstats {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Bstats {
    /// Counts a packet. The counters wrap, as the kernel's do.
    const fn update(&mut self, len: u32) {
        self.packets = self.packets.wrapping_add(1);
        // CAST: `u32` to `u64` loses nothing.
        self.bytes = self.bytes.wrapping_add(len as u64);
    }
}

/// What ever happened to packets here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Passed by, as told with [`Gate::passed`].
    pub passed: Bstats,
    /// Dequeued.
    pub sent: Bstats,
    /// Dropped for the limit, or for want of memory.
    pub overflow: Bstats,
    /// Dropped with their epoch.
    pub aborted: Bstats,
    /// Dropped by a reset.
    pub purged: Bstats,
    /// Commands refused.
    pub refused: u64,
}

#[derive(Debug)]
struct Held<P> {
    packet: P,
    len: u32,
}

/// The end of an epoch: all packets before this position, and behind the marker before, are its.
#[derive(Clone, Copy, Debug)]
struct Marker {
    epoch: u64,
    end: u64,
}

/// One gate over packets of type `P`, each of which the gate owns while it is queued.
///
/// # Invariants
///
/// Markers stand in the order of their epochs and their ends never decrease; all ends are at least
/// `released` and at most the queue's end. `backlog` is the sum of the lengths in the queue.
#[derive(Debug)]
pub struct Gate<P> {
    queue: Queue<Held<P>>,
    markers: Queue<Marker>,
    open: u64,
    committed: u64,
    released: u64,
    backlog: u64,
    limit: u64,
    overflow: Overflow,
    overflowed: bool,
    asked: bool,
    stats: Stats,
}

impl<P> Gate<P> {
    /// A gate that is closed: epoch 1 is open, no epoch is committed. Allocates nothing.
    #[must_use]
    pub fn new(config: Config) -> Self {
        // INVARIANT: no markers, nothing queued.
        Self {
            queue: Queue::new(config.max_packets),
            markers: Queue::new(config.max_in_flight.max(1)),
            open: 1,
            committed: 0,
            released: 0,
            backlog: 0,
            limit: config.limit,
            overflow: config.overflow,
            overflowed: false,
            asked: false,
            stats: Stats::default(),
        }
    }

    /// A packet of the bypass class goes by: it is counted and never queued.
    pub const fn passed(&mut self, len: u32) {
        self.stats.passed.update(len);
    }

    /// Queues a packet of `len` bytes (`skb->len`) in the open epoch.
    pub fn enqueue(&mut self, packet: P, len: u32) -> Xmit<P> {
        let backlog = self.backlog.saturating_add(u64::from(len));
        let refused = if backlog > self.limit {
            Err(Full(Held { packet, len }))
        } else {
            self.queue.push_back(Held { packet, len })
        };
        match refused {
            Ok(()) => {
                self.backlog = backlog;
                Xmit::Queued {
                    ask: self.ask(false),
                }
            }
            Err(Full(held)) => {
                self.overflowed = true;
                self.stats.overflow.update(len);
                Xmit::Drop {
                    packet: held.packet,
                    ask: self.ask(true),
                }
            }
        }
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
    pub fn peek(&self) -> Option<&P> {
        if self.queue.first() >= self.released {
            return None;
        }
        self.queue.front().map(|held| &held.packet)
    }

    /// Gives the oldest packet, if its epoch is committed.
    pub fn dequeue(&mut self) -> Option<P> {
        if self.queue.first() >= self.released {
            return None;
        }
        let held = self.queue.pop_front()?;
        self.uncharge(held.len);
        self.stats.sent.update(held.len);
        Some(held.packet)
    }

    /// A packet has left the queue, whichever way.
    fn uncharge(&mut self, len: u32) {
        self.backlog = self.backlog.saturating_sub(u64::from(len));
        self.overflowed = false;
    }

    /// Ends the open epoch and begins `epoch`, the next one. A repetition has no effect.
    ///
    /// # Errors
    ///
    /// [`Error::NotNext`], [`Error::InFlight`] (or no memory for the marker),
    /// [`Error::Overflowed`].
    pub fn begin(&mut self, epoch: u64) -> Result<(), Error> {
        match epoch.checked_sub(self.open) {
            Some(0) => return Ok(()),
            Some(1) => {}
            _ => return self.refuse(Error::NotNext),
        }
        let full = self.overflowed && matches!(self.overflow, Overflow::RefuseEpoch);
        let marker = Marker {
            epoch: self.open,
            end: self.queue.end(),
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
        let from = self.released.max(self.queue.first());
        self.released = marker.end;
        self.committed = epoch;
        Ok(marker.end.saturating_sub(from))
    }

    /// Drops the packets of `epoch` and of all later ones, hands each to `free`, and opens a new
    /// epoch with a number of its own. Says how many packets there were. A repetition has no
    /// effect.
    ///
    /// # Errors
    ///
    /// [`Error::Committed`], [`Error::NoEpoch`].
    pub fn abort(&mut self, epoch: u64, mut free: impl FnMut(P)) -> Result<u64, Error> {
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
        let start = before.map_or(self.released, |marker| marker.end);
        // INVARIANT: every marker that ends behind `start` goes before its packets do.
        while self.markers.len() > offset {
            self.markers.pop_back();
        }
        let mut dropped = 0_u64;
        while self.queue.end() > start {
            let Some(held) = self.queue.pop_back() else {
                break;
            };
            self.uncharge(held.len);
            self.stats.aborted.update(held.len);
            dropped = dropped.wrapping_add(1);
            free(held.packet);
        }
        self.open = self.open.saturating_add(1);
        self.asked = false;
        Ok(dropped)
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
    pub fn reset(&mut self, mut free: impl FnMut(P)) {
        while let Some(held) = self.queue.pop_front() {
            self.uncharge(held.len);
            self.stats.purged.update(held.len);
            free(held.packet);
        }
    }

    /// Sets the limit in bytes. What is queued stays.
    pub const fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Packets in the queue: `qlen`.
    #[must_use]
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

#[cfg(test)]
mod tests {
    use super::{Config, Error, Gate, Overflow, Xmit};

    fn gate(max_packets: usize, max_in_flight: usize) -> Gate<u32> {
        let overflow = Overflow::DropNewest;
        Gate::new(Config {
            limit: 1 << 20,
            max_packets,
            max_in_flight,
            overflow,
        })
    }

    #[test]
    fn a_packet_without_a_slot_comes_back_and_is_counted() {
        let mut gate = gate(1, 1);
        assert!(matches!(gate.enqueue(1, 60), Xmit::Queued { .. }));
        assert!(matches!(
            gate.enqueue(2, 60),
            Xmit::Drop {
                packet: 2,
                ask: false
            }
        ));
        assert_eq!(
            (gate.stats().overflow.packets, gate.stats().overflow.bytes),
            (1, 60)
        );
        assert_eq!((gate.qlen(), gate.backlog()), (1, 60));
    }

    #[test]
    fn a_marker_stays_true_over_a_flap() {
        let mut gate = gate(64, 2);
        for packet in 0..3 {
            gate.enqueue(packet, 60);
        }
        assert_eq!(gate.begin(2), Ok(()));
        gate.reset(drop);
        for packet in 3..8 {
            gate.enqueue(packet, 60);
        }
        assert_eq!(gate.commit(1), Ok(0));
        assert_eq!(gate.dequeue(), None);
        assert_eq!(gate.begin(3), Ok(()));
        assert_eq!(gate.commit(2), Ok(5));
        assert_eq!(gate.dequeue(), Some(3));
    }

    #[test]
    fn a_repeated_begin_loses_no_epoch() {
        let mut gate = gate(64, 2);
        gate.enqueue(0, 60);
        assert_eq!(gate.begin(2), Ok(()));
        assert_eq!(gate.begin(2), Ok(()));
        assert_eq!(gate.begin(4), Err(Error::NotNext));
        assert_eq!(gate.commit(1), Ok(1));
        assert_eq!(gate.dequeue(), Some(0));
    }
}
