//! What the kernel makes of filters as they are added: root tables, node ids, refusals.
//!
//! Follows `tc_new_tfilter` of `net/sched/cls_api.c` and `u32_init`, `u32_change` and `gen_new_kid` of
//! `net/sched/cls_u32.c`, for a hook that has no filters yet. What the kernel would refuse is
//! refused here: tc stops there, and only a part of the batch would be loaded.

use super::ast::{Action, Classifier, Filters, FlowerFilter, Knode, Pref, Source, Table};
use super::words::{Handle, Read};
use crate::readback::bpf::Program;

/// The id of the first root table; the others count up from there.
const FIRST_ROOT: u16 = 0x800;
/// The first node id that the kernel gives.
const FIRST_NODE: u16 = 0x800;
/// The last node id.
const LAST_NODE: u16 = 0xfff;

/// One `filter add`.
#[derive(Clone, Debug)]
pub(super) struct Add {
    /// 0 is where every frame begins.
    pub(super) chain: u32,
    pub(super) pref: u16,
    pub(super) protocol: u16,
    pub(super) body: Body,
}

/// What is added.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// A matchall filter.
    Matchall(Source, Option<Action>),
    /// A bpf filter: its program, and what is done with what matches.
    Bpf(Source, Program, Option<Action>),
    /// A flower filter.
    Flower {
        /// Its number in the preference.
        handle: u32,
        /// What it asks.
        filter: FlowerFilter,
        /// What it does with what matches.
        action: Action,
    },
    /// A hash table.
    Table {
        /// `None` lets the kernel choose.
        id: Option<u16>,
        /// A power of two from 1 to 256.
        buckets: u16,
    },
    /// A rule.
    Knode {
        /// The handle that it asks for.
        handle: Option<Handle>,
        /// The table and bucket that it goes to; the root table if there is none.
        ht: Option<Handle>,
        /// The rule.
        knode: Knode,
    },
}

/// The hook, and what the kernel remembers to number its tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Loader {
    filters: Filters,
    /// Tables that the kernel has numbered so far.
    numbered: u16,
}

impl Loader {
    /// All that was added.
    pub(super) fn finish(self) -> Filters {
        self.filters
    }

    /// Adds one filter.
    pub(super) fn add(&mut self, add: Add) -> Read<()> {
        if add.chain != 0 && !matches!(add.body, Body::Flower { .. }) {
            return Err("of other chains only flower filters are understood".to_owned());
        }
        match add.body {
            Body::Flower {
                handle,
                filter,
                action,
            } => {
                let place = (add.pref, add.protocol);
                self.filters
                    .add_flower(add.chain, place, handle, filter, &action)
            }
            Body::Matchall(source, action) => {
                let classifier = Classifier::Matchall { source, action };
                self.alone(add.pref, add.protocol, classifier)
            }
            Body::Bpf(source, program, action) => {
                let classifier = Classifier::Bpf {
                    source,
                    program,
                    action,
                };
                self.alone(add.pref, add.protocol, classifier)
            }
            Body::Table { id, buckets } => {
                self.root(add.pref, add.protocol)?;
                let id = match id {
                    Some(id) if (1..FIRST_ROOT).contains(&id) => id,
                    Some(id) => {
                        return Err(format!(
                            "table {id:x}: is not between 1: and 7ff:, where the kernel numbers none"
                        ));
                    }
                    None => self.number()?,
                };
                self.table(id, buckets, false)
            }
            Body::Knode { handle, ht, knode } => {
                let root = self.root(add.pref, add.protocol)?;
                self.knode(root, handle, ht, knode)
            }
        }
    }

    /// Adds a filter that has its preference for itself.
    fn alone(&mut self, pref: u16, protocol: u16, classifier: Classifier) -> Read<()> {
        let added = Pref {
            protocol,
            classifier,
        };
        match self.filters.prefs.insert(pref, added) {
            None => Ok(()),
            Some(_) => Err(format!("preference {pref} is taken")),
        }
    }

    /// The root table of a preference, which is made with its first filter.
    fn root(&mut self, pref: u16, protocol: u16) -> Read<u16> {
        match self.filters.prefs.get(&pref) {
            Some(known) if known.protocol != protocol => {
                Err(format!("preference {pref} has another protocol already"))
            }
            Some(Pref {
                classifier:
                    Classifier::Matchall { .. } | Classifier::Bpf { .. } | Classifier::Flower { .. },
                ..
            }) => Err(format!("preference {pref} has another classifier already")),
            Some(Pref {
                classifier: Classifier::U32 { root },
                ..
            }) => Ok(*root),
            None => {
                // The very first root is 800:, and the kernel starts to count behind it.
                let first = !self.filters.tables.values().any(|table| table.root);
                let root = if first { FIRST_ROOT } else { self.number()? };
                self.table(root, 1, true)?;
                let classifier = Classifier::U32 { root };
                self.filters.prefs.insert(
                    pref,
                    Pref {
                        protocol,
                        classifier,
                    },
                );
                Ok(root)
            }
        }
    }

    fn number(&mut self) -> Read<u16> {
        self.numbered += 1;
        Some(FIRST_ROOT + self.numbered)
            .filter(|&id| id < 0xfff)
            .ok_or_else(|| "the kernel has no table number left".to_owned())
    }

    fn table(&mut self, id: u16, buckets: u16, root: bool) -> Read<()> {
        let table = Table {
            buckets,
            root,
            knodes: std::collections::BTreeMap::new(),
        };
        match self.filters.tables.insert(id, table) {
            None => Ok(()),
            Some(_) => Err(format!("table {id:x}: is there already")),
        }
    }

    fn knode(
        &mut self,
        root: u16,
        handle: Option<Handle>,
        ht: Option<Handle>,
        knode: Knode,
    ) -> Read<()> {
        if let Some(link) = knode.link {
            match self.filters.tables.get(&link) {
                None => return Err(format!("table {link:x}: is not there yet")),
                Some(table) if table.root => {
                    return Err(format!("table {link:x}: is a root, nothing links there"));
                }
                Some(_) => {}
            }
        }
        let (id, bucket) = ht.map_or((root, 0), |ht| (ht.table, ht.bucket));
        let table = self
            .filters
            .tables
            .get_mut(&id)
            .ok_or_else(|| format!("table {id:x}: is not there yet"))?;
        if u16::from(bucket) >= table.buckets {
            return Err(format!("table {id:x}: has {} buckets", table.buckets));
        }
        let node = match handle {
            None => (FIRST_NODE..=LAST_NODE)
                .find(|&node| !table.knodes.contains_key(&(bucket, node)))
                .ok_or_else(|| {
                    // Kernels differ here, and those of today put the next rule first.
                    format!("bucket {bucket:x} of table {id:x}: is full, give node ids yourself")
                })?,
            Some(Handle { node: 0, .. }) => {
                return Err("a rule's handle has a node id from 1 on".to_owned());
            }
            Some(handle) if handle.table != 0 && handle.table != id => {
                return Err(format!("the handle is not one of table {id:x}:"));
            }
            Some(handle) if handle.bucket != 0 && handle.bucket != bucket => {
                return Err(format!("the handle is not one of bucket {bucket:x}"));
            }
            Some(handle) => handle.node,
        };
        match table.knodes.insert((bucket, node), knode) {
            None => Ok(()),
            Some(_) => Err(format!("node {id:x}:{bucket:x}:{node:x} is there already")),
        }
    }
}
