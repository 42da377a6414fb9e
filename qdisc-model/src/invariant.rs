//! The law of output commit, as named functions over a trace.
//!
//! The law is that of the design (and of every output-commit system): no packet to be held leaves
//! before the epoch that produced it is committed, no packet that may pass waits, order is kept
//! within each verdict, and what is lost is counted. Why it is a law says a fifth function,
//! [`failover_contradicts_nothing`]: whoever takes over knows of everything that peers have seen. A
//! sixth, [`commit_releases`], is not about safety: a committed packet doesn't stay behind.
//!
//! A trace is what an onlooker sees from outside, so the same functions judge the kernel's plug,
//! the gate as it should be, and a capture. [`onlooker`] judges while things happen, for searches
//! that can't keep a trace.

use std::collections::{BTreeMap, BTreeSet};

use crate::packet::{Packet, Verdict};

pub mod onlooker;

/// One thing that an onlooker saw, in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The guest sent a packet in this epoch.
    Arrived {
        /// The packet.
        packet: Packet,
        /// The epoch that the guest was in.
        epoch: u64,
    },
    /// A packet went out into the world.
    Left {
        /// [`Packet::id`].
        id: u64,
    },
    /// A packet is gone for good.
    Lost {
        /// [`Packet::id`].
        id: u64,
    },
    /// The backup has the checkpoint at the end of this epoch.
    Committed {
        /// The epoch.
        epoch: u64,
    },
    /// Somebody gave up protection: what is inside and what arrives waits for nothing.
    Opened,
    /// From here on what arrives waits for its commit again.
    Closed,
    /// The backup runs the guest, from the checkpoint at the end of this epoch (0: from the start).
    TookOver {
        /// The epoch.
        from: u64,
    },
}

/// What the gate itself says at the end of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Account {
    /// Packets still held.
    pub held: u64,
    /// Packets lost, over all causes that the gate counts.
    pub lost: u64,
}

/// How a trace breaks the law.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Violation {
    /// A held packet was out before its epoch was committed.
    #[error("packet {id} left before its epoch {epoch} was committed")]
    LeftEarly {
        /// The packet.
        id: u64,
        /// Its epoch.
        epoch: u64,
    },
    /// A packet left that never arrived, or that had left or been lost before.
    #[error("packet {id} left without being there")]
    Forged {
        /// The packet.
        id: u64,
    },
    /// A packet that may pass did not leave at once.
    #[error("packet {id} may pass and waited")]
    Waited {
        /// The packet.
        id: u64,
    },
    /// A packet left before an older one of its verdict.
    #[error("packet {id} overtook packet {older}")]
    Overtook {
        /// The one that left first.
        id: u64,
        /// The one that arrived first.
        older: u64,
    },
    /// The gate's own numbers don't add up to what was seen.
    #[error("{held} held and {lost} lost were seen, the gate says otherwise")]
    Miscounted {
        /// Packets that neither left nor were lost.
        held: u64,
        /// Packets that were seen to be lost.
        lost: u64,
    },
    /// A packet is outside that the guest, as it runs now, has never sent.
    #[error("packet {id} of epoch {epoch} is out, and the guest went on from epoch {from}")]
    Contradicted {
        /// The packet.
        id: u64,
        /// Its epoch.
        epoch: u64,
        /// The newest epoch that the new guest knows.
        from: u64,
    },
    /// A packet of a committed epoch stayed behind.
    #[error("packet {id} of the committed epoch {epoch} is still held")]
    LeftBehind {
        /// The packet.
        id: u64,
        /// Its epoch.
        epoch: u64,
    },
}

/// No packet with the verdict `buffer` leaves before the epoch that produced it is committed, and
/// nothing leaves that isn't there. Only what was inside, or arrived, while the gate stood open
/// waits for nothing.
///
/// # Errors
///
/// [`Violation::LeftEarly`] or [`Violation::Forged`], the first in the trace.
pub fn nothing_leaves_early(trace: &[Event]) -> Result<(), Violation> {
    let mut committed = BTreeSet::new();
    let mut open = false;
    // What each packet inside waits for.
    let mut inside: BTreeMap<u64, Option<u64>> = BTreeMap::new();
    for event in trace {
        match *event {
            Event::Arrived { packet, epoch } => {
                let waits = packet.verdict == Verdict::Buffer && !open;
                inside.insert(packet.id, waits.then_some(epoch));
            }
            Event::Lost { id } => {
                inside.remove(&id);
            }
            Event::Committed { epoch } => {
                committed.insert(epoch);
            }
            Event::Opened => {
                open = true;
                inside.values_mut().for_each(|waits| *waits = None);
            }
            Event::Closed => open = false,
            Event::TookOver { .. } => {}
            Event::Left { id } => match inside.remove(&id) {
                None => return Err(Violation::Forged { id }),
                Some(Some(epoch)) if !committed.contains(&epoch) => {
                    return Err(Violation::LeftEarly { id, epoch });
                }
                Some(_) => {}
            },
        }
    }
    Ok(())
}

/// No packet with the verdict `bypass` waits: the next thing after its arrival is that it leaves.
///
/// # Errors
///
/// [`Violation::Waited`], the first in the trace.
pub fn bypass_never_waits(trace: &[Event]) -> Result<(), Violation> {
    for (at, event) in trace.iter().enumerate() {
        let Event::Arrived {
            packet:
                Packet {
                    id,
                    verdict: Verdict::Bypass,
                    ..
                },
            ..
        } = *event
        else {
            continue;
        };
        if trace.get(at + 1) != Some(&Event::Left { id }) {
            return Err(Violation::Waited { id });
        }
    }
    Ok(())
}

/// Within each verdict packets leave in the order in which they arrived. A lost packet has no
/// place in that order.
///
/// # Errors
///
/// [`Violation::Overtook`], the first in the trace.
pub fn order_is_kept(trace: &[Event]) -> Result<(), Violation> {
    // Position of arrival -> id, for what has neither left nor been lost, one map a verdict.
    let mut waiting: BTreeMap<Verdict, BTreeMap<usize, u64>> = BTreeMap::new();
    let mut place = BTreeMap::new();
    for (at, event) in trace.iter().enumerate() {
        match *event {
            Event::Arrived { packet, .. } => {
                place.insert(packet.id, (packet.verdict, at));
                waiting
                    .entry(packet.verdict)
                    .or_default()
                    .insert(at, packet.id);
            }
            Event::Left { id } | Event::Lost { id } => {
                let Some((verdict, arrival)) = place.remove(&id) else {
                    continue;
                };
                let line = waiting.entry(verdict).or_default();
                line.remove(&arrival);
                let older = line
                    .first_key_value()
                    .filter(|(first, _)| **first < arrival);
                if let (Event::Left { .. }, Some((_, &older))) = (event, older) {
                    return Err(Violation::Overtook { id, older });
                }
            }
            Event::Committed { .. } | Event::Opened | Event::Closed | Event::TookOver { .. } => {}
        }
    }
    Ok(())
}

/// What is dropped is counted: the gate's own account is what was seen from outside.
///
/// # Errors
///
/// [`Violation::Miscounted`].
pub fn losses_are_counted(trace: &[Event], account: Account) -> Result<(), Violation> {
    let (mut held, mut lost) = (0_u64, 0_u64);
    for event in trace {
        match event {
            Event::Arrived { .. } => held += 1,
            Event::Left { .. } => held = held.saturating_sub(1),
            Event::Lost { .. } => {
                held = held.saturating_sub(1);
                lost += 1;
            }
            Event::Committed { .. } | Event::Opened | Event::Closed | Event::TookOver { .. } => {}
        }
    }
    if (Account { held, lost }) == account {
        Ok(())
    } else {
        Err(Violation::Miscounted { held, lost })
    }
}

/// When the backup has taken over, no packet with the verdict `buffer` is outside, or gets there
/// later, from an epoch that the backup doesn't know. Not even an opened gate is an excuse.
///
/// # Errors
///
/// [`Violation::Contradicted`], the first in the trace.
pub fn failover_contradicts_nothing(trace: &[Event]) -> Result<(), Violation> {
    let mut inside = BTreeMap::new();
    let mut outside = Vec::new();
    let mut known = None;
    for event in trace {
        match *event {
            Event::Arrived { packet, epoch } if packet.verdict == Verdict::Buffer => {
                inside.insert(packet.id, epoch);
            }
            Event::Left { id } => outside.extend(inside.remove(&id).map(|epoch| (id, epoch))),
            Event::Lost { id } => {
                inside.remove(&id);
            }
            Event::TookOver { from } => known = Some(from),
            _ => {}
        }
        let Some(from) = known else { continue };
        if let Some(&(id, epoch)) = outside.iter().find(|(_, epoch)| *epoch > from) {
            return Err(Violation::Contradicted { id, epoch, from });
        }
    }
    Ok(())
}

/// At the end of a trace whose queue was run until it gave nothing more, no packet of a committed
/// epoch is still inside.
///
/// # Errors
///
/// [`Violation::LeftBehind`] with the oldest one.
pub fn commit_releases(trace: &[Event]) -> Result<(), Violation> {
    let mut committed = BTreeSet::new();
    let mut inside = BTreeMap::new();
    for event in trace {
        match *event {
            Event::Arrived { packet, epoch } => {
                inside.insert(packet.id, epoch);
            }
            Event::Left { id } | Event::Lost { id } => {
                inside.remove(&id);
            }
            Event::Committed { epoch } => {
                committed.insert(epoch);
            }
            Event::Opened | Event::Closed | Event::TookOver { .. } => {}
        }
    }
    match inside
        .into_iter()
        .find(|(_, epoch)| committed.contains(epoch))
    {
        Some((id, epoch)) => Err(Violation::LeftBehind { id, epoch }),
        None => Ok(()),
    }
}

/// The whole law: the first four of the above.
///
/// # Errors
///
/// The first [`Violation`], in the order in which the law is written down.
pub fn law(trace: &[Event], account: Account) -> Result<(), Violation> {
    nothing_leaves_early(trace)?;
    bypass_never_waits(trace)?;
    order_is_kept(trace)?;
    losses_are_counted(trace, account)
}
