//! The filters of one ingress hook, as the kernel keeps them: preferences, hash tables, key nodes.
//!
//! The names are those of `net/sched/cls_u32.c`: a *knode* is one rule with its keys, an *hnode* (a
//! table here) is an array of buckets, and a bucket is a list of knodes in ascending node id.

use std::collections::BTreeMap;

use super::flower::Keys;
use crate::readback::bpf::{Program, Unknown};
use crate::readback::{ReadbackError, Step, beginning};

/// Everything that is attached to the hook.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters {
    /// By preference, in which order the kernel asks them.
    pub(super) prefs: BTreeMap<u16, Pref>,
    /// The preferences of chains other than the first, by the number of the chain.
    pub(super) chains: BTreeMap<u32, BTreeMap<u16, Pref>>,
    /// By the upper 12 bits of the handle. All preferences of a hook share them.
    pub(super) tables: BTreeMap<u16, Table>,
}

impl Filters {
    /// Adds a flower filter as `fl_change` of `net/sched/cls_flower.c` does.
    pub(super) fn add_flower(
        &mut self,
        chain: u32,
        (pref, protocol): (u16, u16),
        handle: u32,
        filter: FlowerFilter,
        action: &Action,
    ) -> Result<(), String> {
        let prefs = match chain {
            0 => &mut self.prefs,
            _ => self.chains.entry(chain).or_default(),
        };
        let known = prefs.entry(pref).or_insert_with(|| Pref {
            protocol,
            classifier: Classifier::Flower {
                action: action.clone(),
                filters: BTreeMap::new(),
            },
        });
        if known.protocol != protocol {
            return Err(format!("preference {pref} has another protocol already"));
        }
        let Classifier::Flower {
            action: others,
            filters,
        } = &mut known.classifier
        else {
            return Err(format!("preference {pref} has another classifier already"));
        };
        if others != action {
            return Err(format!(
                "preference {pref} does something else as well, and masks decide which comes first"
            ));
        }
        if filters.values().any(|other| other.keys == filter.keys) {
            return Err(format!("preference {pref} has these keys already"));
        }
        match filters.insert(handle, filter) {
            None => Ok(()),
            Some(_) => Err(format!("handle {handle:#x} is taken")),
        }
    }
}

/// One preference: one classifier that is asked for one protocol.
#[derive(Clone, Debug)]
pub(super) struct Pref {
    /// The ethertype that it is asked for; [`ETH_P_ALL`] for every frame.
    pub(super) protocol: u16,
    /// What it asks.
    pub(super) classifier: Classifier,
}

/// `ETH_P_ALL` of `linux/if_ether.h`: a protocol that every frame has.
pub(super) const ETH_P_ALL: u16 = 3;

/// The kinds of classifiers that are understood.
#[derive(Clone, Debug)]
pub(super) enum Classifier {
    /// u32, which starts at this table.
    U32 {
        /// The root table's id.
        root: u16,
    },
    /// matchall, which does the same to every frame.
    Matchall {
        /// Where it was read.
        source: Source,
        /// What it does; `None` if it goes on with the next preference.
        action: Option<Action>,
    },
    /// bpf: one program, and what is done with the frames that it matches; `None` if it goes on with the
    /// next preference.
    Bpf {
        /// Where it was read.
        source: Source,
        /// What it asks.
        program: Program,
        /// What is done with frames that match.
        action: Option<Action>,
    },
    /// flower: filters that all do the same, so that it does not matter which is looked up first.
    Flower {
        /// What is done with frames that match one.
        action: Action,
        /// By handle.
        filters: BTreeMap<u32, FlowerFilter>,
    },
}

/// One flower filter; what it does is its preference's.
#[derive(Clone, Debug)]
pub(super) struct FlowerFilter {
    /// Where it was read.
    pub(super) source: Source,
    /// What it asks.
    pub(super) keys: Keys,
}

/// A hash table of knodes.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Number of buckets, a power of two from 1 to 256.
    pub(super) buckets: u16,
    /// Whether a preference starts here. Nothing may link to such a table.
    pub(super) root: bool,
    /// By bucket, then by node id: the order in which a bucket is walked.
    pub(super) knodes: BTreeMap<(u8, u16), Knode>,
}

/// One rule of a table.
#[derive(Clone, Debug)]
pub(super) struct Knode {
    /// Where it was read.
    pub(super) source: Source,
    /// All of them have to match, and they are tried in this order.
    pub(super) keys: Vec<Key>,
    /// The table to go through if the keys match.
    pub(super) link: Option<u16>,
    /// Which bucket of that table.
    pub(super) hash: HashKey,
    /// What happens to frames that match and that the linked table did not decide.
    pub(super) action: Option<Action>,
}

/// `(word & mask) == (value & mask)`, for the big-endian word at `offset`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// In bytes from the network header; negative offsets lie in the Ethernet header.
    pub(super) offset: i32,
    /// The bits that count.
    pub(super) mask: u32,
    /// What they have to be.
    pub(super) value: u32,
}

/// How a link chooses a bucket: the masked word at `offset`, shifted down to the mask's lowest bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HashKey {
    /// The bits that choose; 0 chooses bucket 0.
    pub(super) mask: u32,
    /// In bytes from the network header.
    pub(super) offset: i32,
}

/// How the walk through all preferences ends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Action {
    /// The frame goes on.
    Pass,
    /// The frame leaves through this device.
    Redirect(String),
    /// The frame is lost.
    Drop,
    /// The frame goes through this chain and never comes back: if nothing there decides, it passes.
    Goto(u32),
}

/// A line of the text that was read.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// From 1 on.
    pub(super) line: usize,
    /// Without white space at its ends.
    pub(super) text: String,
}

impl Source {
    /// The line as a step of a trace.
    pub(super) fn step(&self) -> Step {
        Step {
            line: Some(self.line),
            text: beginning(&self.text),
        }
    }

    /// The error that names the line of a program.
    pub(super) fn unknown(&self, unknown: Unknown) -> ReadbackError {
        match unknown {
            Unknown::Full(full) => full.into(),
            Unknown::NotUnderstood(reason) => self.refuse(reason),
        }
    }

    /// The error that names this line.
    pub(super) fn refuse(&self, reason: String) -> ReadbackError {
        ReadbackError::NotUnderstood {
            line: self.line,
            text: self.text.clone(),
            reason,
        }
    }
}
