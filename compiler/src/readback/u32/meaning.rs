//! What filters do to every possible frame: the kernel's walk, for all frames at once.
//!
//! Follows `u32_classify` of `net/sched/cls_u32.c` and `__tcf_classify` of `net/sched/cls_api.c`:
//!
//! - Preferences are asked in ascending order. One is asked if its protocol is that of the *outer*
//!   ethertype; if it answers nothing, the next one is asked; if none answers, the frame passes.
//! - A bucket's rules are tried in ascending node id. A key that does not match goes on with the
//!   next rule; a key that lies past the end of the frame ends the walk through this preference.
//! - A rule that links goes through one bucket of the other table first. If nothing there ends the
//!   walk, the rule's own action does, and without one the walk goes on behind the rule.
//!
//! What a table does depends on neither who links to it nor on the preference, so every table is
//! worked out once (for each depth, because the ninth link in a row ends the walk).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;

use policy_lang::field::Place;
use policy_lang::set::fold_tree;
use policy_lang::values::ValueSet;
use policy_lang::{PacketSet, Space, SpaceFull};

use super::ast::{Action, Classifier, Filters, HashKey, Key, Knode, Pref};
use super::view::View;
use crate::readback::{Outcome, ReadbackError};

/// `TC_U32_MAXDEPTH` of `linux/pkt_cls.h`: so many links may be followed in a row.
const MAX_DEPTH: usize = 8;

/// What `filters` do to every frame.
pub(super) fn outcome(space: &Space, filters: &Filters) -> Result<Outcome, ReadbackError> {
    let mut unsure = space.none();
    let mut decided = walk_chain(space, filters, &filters.prefs, space.all(), &mut unsure)?;
    let gone: Vec<u32> = decided
        .keys()
        .filter_map(|action| match action {
            Action::Goto(chain) => Some(*chain),
            _ => None,
        })
        .collect();
    for chain in gone {
        let Some(reach) = decided.remove(&Action::Goto(chain)) else {
            continue;
        };
        let none = BTreeMap::new();
        let prefs = filters.chains.get(&chain).unwrap_or(&none);
        for (action, set) in walk_chain(space, filters, prefs, reach, &mut unsure)? {
            match action {
                // A second change of chain: what it leads to is not worked out. Every frame has one
                // place, so that it is counted as lost besides.
                Action::Goto(_) => {
                    unsure = space.union(&unsure, &set)?;
                    add(space, &mut decided, &Action::Drop, &set)?;
                }
                _ => add(space, &mut decided, &action, &set)?,
            }
        }
    }
    let mut outcome = Outcome {
        bypass: space.none(),
        held: BTreeMap::new(),
        dropped: space.none(),
        unsure,
    };
    for (action, set) in decided {
        match action {
            Action::Pass => outcome.bypass = set,
            Action::Drop => outcome.dropped = set,
            Action::Redirect(_) if set.is_empty() => {}
            Action::Goto(_) => {}
            Action::Redirect(device) => {
                outcome.held.insert(device, set);
            }
        }
    }
    Ok(outcome)
}

/// What the preferences of one chain do to the frames of `left`; what nothing decides passes.
fn walk_chain(
    space: &Space,
    filters: &Filters,
    prefs: &BTreeMap<u16, Pref>,
    mut left: PacketSet,
    unsure: &mut PacketSet,
) -> Result<BTreeMap<Action, PacketSet>, ReadbackError> {
    let mut decided: BTreeMap<Action, PacketSet> = BTreeMap::new();
    let mut walkers: BTreeMap<View, Walker<'_>> = BTreeMap::new();
    for pref in prefs.values() {
        for (view, asked) in View::asked(space, pref.protocol)? {
            let reach = space.intersection(&asked, &left)?;
            if reach.is_empty() {
                continue;
            }
            let walk = match &pref.classifier {
                Classifier::Matchall { action: None, .. } => continue,
                Classifier::Matchall {
                    action: Some(action),
                    ..
                } => Walk::acting(action.clone(), space.all()),
                Classifier::U32 { root } => {
                    let walker = match walkers.entry(view) {
                        Entry::Occupied(known) => known.into_mut(),
                        Entry::Vacant(new) => new.insert(Walker::new(space, filters, view)?),
                    };
                    walker.root(*root)?
                }
                Classifier::Bpf { action: None, .. } => continue,
                Classifier::Bpf {
                    source,
                    program,
                    action: Some(action),
                } => {
                    let matched = program.matched(space, &reach);
                    let matched = matched.map_err(|unknown| source.unknown(unknown))?;
                    Walk::acting(action.clone(), matched)
                }
                Classifier::Flower { action, filters } => {
                    let mut matching = Vec::with_capacity(filters.len());
                    for filter in filters.values() {
                        let (known, set) = filter.keys.matching(space)?;
                        *unsure = space.union(unsure, &space.minus(&reach, &known)?)?;
                        matching.push(set);
                    }
                    Walk::acting(action.clone(), space.union_all(matching)?)
                }
            };
            for (action, set) in &walk.acted {
                let set = space.intersection(set, &reach)?;
                left = space.minus(&left, &set)?;
                add(space, &mut decided, action, &set)?;
            }
        }
    }
    add(space, &mut decided, &Action::Pass, &left)?;
    Ok(decided)
}

/// What a list of rules does: where the walk ends in it and how. The other frames come out behind.
///
/// Frames that are ended without an action leave the preference with no answer: a key lies past
/// their end, or links are too deep.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// All frames for which the walk ends.
    pub(super) ended: PacketSet,
    /// Those of them that it ends for with an action; the sets share no frame.
    pub(super) acted: BTreeMap<Action, PacketSet>,
}

impl Walk {
    fn nothing(space: &Space) -> Self {
        Self::leaving(space.none())
    }

    fn leaving(ended: PacketSet) -> Self {
        Self {
            ended,
            acted: BTreeMap::new(),
        }
    }

    fn acting(action: Action, ended: PacketSet) -> Self {
        Self {
            acted: BTreeMap::from([(action, ended.clone())]),
            ended,
        }
    }

    /// Two lists as one: where the first ends the walk, the second is never seen.
    fn then(&self, space: &Space, next: &Self) -> Result<Self, SpaceFull> {
        let mut both = self.clone();
        for (action, set) in &next.acted {
            let later = space.minus(set, &self.ended)?;
            add(space, &mut both.acted, action, &later)?;
        }
        both.ended = space.union(&self.ended, &next.ended)?;
        Ok(both)
    }

    /// The same for the frames of `set` only.
    fn within(&self, space: &Space, set: &PacketSet) -> Result<Self, SpaceFull> {
        let mut walk = Self::leaving(space.intersection(&self.ended, set)?);
        for (action, part) in &self.acted {
            let part = space.intersection(part, set)?;
            add(space, &mut walk.acted, action, &part)?;
        }
        Ok(walk)
    }

    /// Two walks that end for no common frame.
    fn beside(&self, space: &Space, other: &Self) -> Result<Self, SpaceFull> {
        let mut both = self.clone();
        for (action, set) in &other.acted {
            add(space, &mut both.acted, action, set)?;
        }
        both.ended = space.union(&self.ended, &other.ended)?;
        Ok(both)
    }
}

fn add(
    space: &Space,
    sets: &mut BTreeMap<Action, PacketSet>,
    action: &Action,
    set: &PacketSet,
) -> Result<(), SpaceFull> {
    let known = sets.get(action);
    let joined = known.map_or_else(|| Ok(set.clone()), |known| space.union(known, set))?;
    if !joined.is_empty() {
        sets.insert(action.clone(), joined);
    }
    Ok(())
}

/// The rules of one bucket: their number, and what they do.
type Bucket = (u8, Walk);

/// Works out tables, as they look for frames of one [`View`].
pub(super) struct Walker<'filters> {
    pub(super) space: &'filters Space,
    pub(super) filters: &'filters Filters,
    view: View,
    buckets: BTreeMap<(u16, usize), Rc<Vec<Bucket>>>,
    tables: BTreeMap<(u16, HashKey, usize), Rc<Walk>>,
    /// All bit strings, also those that no frame has: smaller diagrams than of all frames.
    everything: PacketSet,
    /// By offset, the frames that have a word there.
    words: BTreeMap<i32, PacketSet>,
    runs: BTreeMap<(Place, u8), PacketSet>,
}

impl<'filters> Walker<'filters> {
    pub(super) fn new(
        space: &'filters Space,
        filters: &'filters Filters,
        view: View,
    ) -> Result<Self, SpaceFull> {
        Ok(Self {
            space,
            filters,
            view,
            buckets: BTreeMap::new(),
            tables: BTreeMap::new(),
            everything: space.at_least(0)?,
            words: BTreeMap::new(),
            runs: BTreeMap::new(),
        })
    }

    /// What a preference does that starts at table `id`, which has only one bucket.
    fn root(&mut self, id: u16) -> Result<Walk, ReadbackError> {
        let buckets = self.buckets(id, 0)?;
        let only = buckets.first().map(|(_, walk)| walk.clone());
        Ok(only.unwrap_or_else(|| Walk::nothing(self.space)))
    }

    /// What a table does that was linked to, if `hash` chooses the bucket, after `depth` links.
    ///
    /// `None` if it chooses by bytes that packet sets do not know.
    fn table(
        &mut self,
        id: u16,
        hash: HashKey,
        depth: usize,
    ) -> Result<Option<Rc<Walk>>, ReadbackError> {
        if let Some(known) = self.tables.get(&(id, hash, depth)) {
            return Ok(Some(Rc::clone(known)));
        }
        let count = self
            .filters
            .tables
            .get(&id)
            .map_or(1, |table| table.buckets);
        let buckets = self.buckets(id, depth)?;
        let mut chosen = Vec::with_capacity(buckets.len());
        for (bucket, walk) in buckets.iter() {
            let Some(by) = self.choosing(*bucket, hash, count)? else {
                return Ok(None);
            };
            chosen.push(walk.within(self.space, &by)?);
        }
        let walk = fold_tree(chosen, |a, b| a.beside(self.space, b))?;
        let walk = Rc::new(walk.unwrap_or_else(|| Walk::nothing(self.space)));
        self.tables.insert((id, hash, depth), Rc::clone(&walk));
        Ok(Some(walk))
    }

    /// The frames that are led to this one of `count` buckets, if they have the word to hash.
    pub(super) fn choosing(
        &mut self,
        bucket: u8,
        hash: HashKey,
        count: u16,
    ) -> Result<Option<PacketSet>, SpaceFull> {
        if count == 1 {
            return Ok(Some(self.everything.clone()));
        }
        // A mask of 0 is not shifted.
        let shift = hash.mask.trailing_zeros() % u32::BITS;
        // Bits of a bucket's number that no bit of the masked word gives are always 0.
        let mask = u64::from(count - 1) << shift & u64::from(hash.mask);
        let value = u64::from(bucket) << shift;
        if value & !mask != 0 {
            return Ok(Some(self.space.none()));
        }
        let low = |n: u64| u32::try_from(n).unwrap_or_default();
        let chosen = Key {
            offset: hash.offset,
            mask: low(mask),
            value: low(value),
        };
        self.matching(chosen)
    }

    /// What each bucket of a table does, empty ones left out.
    fn buckets(&mut self, id: u16, depth: usize) -> Result<Rc<Vec<Bucket>>, ReadbackError> {
        if let Some(known) = self.buckets.get(&(id, depth)) {
            return Ok(Rc::clone(known));
        }
        let filters = self.filters;
        let mut lists: BTreeMap<u8, Vec<Walk>> = BTreeMap::new();
        for (&(bucket, _), knode) in filters.tables.get(&id).iter().flat_map(|t| &t.knodes) {
            let walk = self.knode(knode, depth)?;
            lists.entry(bucket).or_default().push(walk);
        }
        let mut buckets = Vec::with_capacity(lists.len());
        for (bucket, list) in lists {
            if let Some(walk) = fold_tree(list, |a, b| a.then(self.space, b))? {
                buckets.push((bucket, walk));
            }
        }
        let buckets = Rc::new(buckets);
        self.buckets.insert((id, depth), Rc::clone(&buckets));
        Ok(buckets)
    }

    pub(super) fn knode(&mut self, knode: &Knode, depth: usize) -> Result<Walk, ReadbackError> {
        let space = self.space;
        let mut walk = Walk::nothing(space);
        let mut reach = self.everything.clone();
        for key in &knode.keys {
            reach = self.there(&mut walk, reach, key.offset)?;
            let matching = self
                .matching(*key)?
                .ok_or_else(|| unknown(knode, key.offset))?;
            reach = space.intersection(&reach, &matching)?;
        }
        if let Some(link) = knode.link {
            if depth == MAX_DEPTH {
                return Ok(walk.beside(space, &Walk::leaving(reach))?);
            }
            let hashed = self
                .filters
                .tables
                .get(&link)
                .is_some_and(|t| t.buckets > 1);
            let hash = if hashed {
                knode.hash
            } else {
                HashKey::default()
            };
            if hashed {
                reach = self.there(&mut walk, reach, hash.offset)?;
            }
            let table = self
                .table(link, hash, depth + 1)?
                .ok_or_else(|| unknown(knode, hash.offset))?;
            let inner = table.within(space, &reach)?;
            reach = space.minus(&reach, &inner.ended)?;
            walk = walk.beside(space, &inner)?;
        }
        if let Some(action) = &knode.action {
            walk = walk.beside(space, &Walk::acting(action.clone(), reach))?;
        }
        Ok(walk)
    }

    /// The frames of `reach` that have the word at `offset`; for the others the walk ends.
    fn there(
        &mut self,
        walk: &mut Walk,
        reach: PacketSet,
        offset: i32,
    ) -> Result<PacketSet, SpaceFull> {
        let long_enough = match self.words.get(&offset) {
            Some(known) => known.clone(),
            None => {
                let set = self.view.there(self.space, offset)?;
                self.words.insert(offset, set.clone());
                set
            }
        };
        let cut = self.space.minus(&reach, &long_enough)?;
        if cut.is_empty() {
            return Ok(reach);
        }
        *walk = walk.beside(self.space, &Walk::leaving(cut))?;
        self.space.intersection(&reach, &long_enough)
    }

    /// The frames whose word matches, if they have it; `None` if packet sets do not know its bytes.
    fn matching(&mut self, key: Key) -> Result<Option<PacketSet>, SpaceFull> {
        let Some(runs) = self.view.runs(key) else {
            return Ok(None);
        };
        let mut set = self.everything.clone();
        for (place, number) in runs {
            let run = match self.runs.get(&(place, number)) {
                Some(known) => known.clone(),
                None => {
                    let numbers = ValueSet::single(number.into());
                    let run = self.space.bits_in(place, &numbers)?;
                    self.runs.insert((place, number), run.clone());
                    run
                }
            };
            set = self.space.intersection(&set, &run)?;
        }
        Ok(Some(set))
    }
}

fn unknown(knode: &Knode, offset: i32) -> ReadbackError {
    let reason = format!("the bytes at {offset} are not known here");
    knode.source.refuse(reason)
}
