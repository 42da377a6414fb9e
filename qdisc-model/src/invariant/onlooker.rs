//! The same law, judged while things happen: what has to be remembered of a trace, and nothing more.
//!
//! A search over all behaviours can't keep the trace in its states, for then no two states would
//! ever be equal. Each verdict here is that of the function of the same name in
//! [`crate::invariant`]; a property test holds them together.

use std::collections::BTreeSet;

use crate::invariant::{Account, Event};
use crate::packet::Verdict;

/// The invariants by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Law {
    /// [`crate::invariant::nothing_leaves_early`].
    NothingLeavesEarly,
    /// [`crate::invariant::bypass_never_waits`].
    BypassNeverWaits,
    /// [`crate::invariant::order_is_kept`].
    OrderIsKept,
    /// [`crate::invariant::losses_are_counted`].
    LossesAreCounted,
    /// [`crate::invariant::failover_contradicts_nothing`].
    FailoverContradictsNothing,
    /// [`crate::invariant::commit_releases`].
    CommitReleases,
}

impl Law {
    /// All of them, in the order in which the law is written down.
    pub const ALL: [Self; 6] = [
        Self::NothingLeavesEarly,
        Self::BypassNeverWaits,
        Self::OrderIsKept,
        Self::LossesAreCounted,
        Self::FailoverContradictsNothing,
        Self::CommitReleases,
    ];

    /// The name of the function.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NothingLeavesEarly => "nothing_leaves_early",
            Self::BypassNeverWaits => "bypass_never_waits",
            Self::OrderIsKept => "order_is_kept",
            Self::LossesAreCounted => "losses_are_counted",
            Self::FailoverContradictsNothing => "failover_contradicts_nothing",
            Self::CommitReleases => "commit_releases",
        }
    }
}

/// A packet that arrived and has neither left nor been lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Inside {
    id: u64,
    verdict: Verdict,
    epoch: u64,
    free: bool,
}

/// Somebody who sees every event and remembers what the law needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Onlooker {
    inside: Vec<Inside>,
    lost: u64,
    committed: BTreeSet<u64>,
    open: bool,
    /// A bypassed packet that arrived and whose leaving has to be the next event.
    due: Option<u64>,
    /// The newest epoch of which a held packet is outside.
    newest_outside: u64,
    took_over: Option<u64>,
    broken: BTreeSet<Law>,
}

impl Onlooker {
    /// Takes in one event.
    pub fn see(&mut self, event: Event) {
        if let Some(id) = self.due.take()
            && event != (Event::Left { id })
        {
            self.broken.insert(Law::BypassNeverWaits);
        }
        match event {
            Event::Arrived { packet, epoch } => {
                if packet.verdict == Verdict::Bypass {
                    self.due = Some(packet.id);
                }
                self.inside.push(Inside {
                    id: packet.id,
                    verdict: packet.verdict,
                    epoch,
                    free: self.open || packet.verdict == Verdict::Bypass,
                });
            }
            Event::Left { id } => self.see_leave(id),
            Event::Lost { id } => {
                self.inside.retain(|inside| inside.id != id);
                self.lost += 1;
            }
            Event::Committed { epoch } => {
                self.committed.insert(epoch);
            }
            Event::Opened => {
                self.open = true;
                self.inside.iter_mut().for_each(|inside| inside.free = true);
            }
            Event::Closed => self.open = false,
            Event::TookOver { from } => self.took_over = Some(from),
        }
        if self
            .took_over
            .is_some_and(|from| self.newest_outside > from)
        {
            self.broken.insert(Law::FailoverContradictsNothing);
        }
    }

    fn see_leave(&mut self, id: u64) {
        let Some(place) = self.inside.iter().position(|inside| inside.id == id) else {
            self.broken.insert(Law::NothingLeavesEarly);
            return;
        };
        let packet = self.inside.remove(place);
        if !packet.free && !self.committed.contains(&packet.epoch) {
            self.broken.insert(Law::NothingLeavesEarly);
        }
        let older = self.inside.iter().take(place);
        if older
            .into_iter()
            .any(|older| older.verdict == packet.verdict)
        {
            self.broken.insert(Law::OrderIsKept);
        }
        if packet.verdict == Verdict::Buffer {
            self.newest_outside = self.newest_outside.max(packet.epoch);
        }
    }

    /// Compares what was seen with what the gate says of itself.
    pub fn audit(&mut self, account: Account) {
        let held = self.inside.len() as u64;
        if account
            != (Account {
                held,
                lost: self.lost,
            })
        {
            self.broken.insert(Law::LossesAreCounted);
        }
    }

    /// The gate has been told that all epochs up to `epoch` are committed, and its queue was run:
    /// what is still inside of them was left behind.
    pub fn expect_released(&mut self, epoch: u64) {
        let mut held = self
            .inside
            .iter()
            .filter(|inside| inside.verdict == Verdict::Buffer);
        if held.any(|inside| inside.epoch <= epoch) {
            self.broken.insert(Law::CommitReleases);
        }
    }

    /// Whether this invariant has been kept so far.
    #[must_use]
    pub fn keeps(&self, law: Law) -> bool {
        let waits = law == Law::BypassNeverWaits && self.due.is_some();
        !waits && !self.broken.contains(&law)
    }
}
