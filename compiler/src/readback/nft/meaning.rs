//! What the kernel does with every frame, rule by rule (`nft_do_chain` of nf_tables_core.c).
//!
//! Expressions of a rule are evaluated in order. One that does not match, or that loads beyond the
//! end of the frame, ends the rule and the next one is tried. A verdict other than `continue` ends
//! the chain; at the end of the base chain its policy counts, also behind a `goto`.

use std::collections::BTreeMap;
use std::rc::Rc;

use policy_lang::values::ValueSet;
use policy_lang::{PacketSet, Space, SpaceFull};

use super::ast::{Chain, Hook, KeyType, Operator, Part, Right, Rule, Ruleset, Source};
use super::ast::{Statement, Table, Verdict};
use super::cursor::Fault;
use super::fields::{Field, Header};
use super::frame::Shape;
use super::implied::{Context, Implied};
use super::joined::refuse_joined;
use super::lookup::{Answers, Known, Stop, answers, compared, looked};
use crate::readback::Outcome;

/// How deep the kernel lets chains call each other (`NFT_JUMP_STACK_SIZE`).
const DEEPEST_CALL: usize = 16;

/// What becomes of a frame.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    Accept,
    Drop,
    Forward(String),
    /// It leaves the chain, back to the one that called it.
    Return,
    /// Beside another fate: kernels differ about a test that the frame meets.
    Unsure,
}

/// What becomes of the frames that are decided; disjoint.
type Fates = BTreeMap<Fate, PacketSet>;

/// What a list of rules decides.
pub(super) struct Decided {
    frames: PacketSet,
    pub(super) fates: Fates,
}

/// What `rules` do to frames that come in from `device`.
pub(super) fn outcome(space: &Space, rules: &Ruleset, device: &str) -> Result<Outcome, Stop> {
    let shapes = shapes(space)?;
    let arriving = space.union_all(shapes.iter().map(|(_, frames)| frames.clone()).collect())?;
    let mut passing = arriving.clone();
    let mut held: BTreeMap<String, PacketSet> = BTreeMap::new();
    let mut dropped = space.complement(&arriving)?;
    let mut unsure = space.none();
    for (table, name, hook) in hooked(rules, device)? {
        let mut run = Run::new(space, table, &shapes);
        let fates = run.chain(name, hook.line)?;
        let mut accepted = if hook.drops_by_default {
            space.none()
        } else {
            passing.clone()
        };
        for (fate, frames) in fates.iter() {
            let frames = space.intersection(&passing, frames)?;
            match fate {
                Fate::Accept => accepted = space.union(&accepted, &frames)?,
                // Those that return from the base chain meet its policy, as the undecided do.
                Fate::Return => {}
                Fate::Unsure => unsure = space.union(&unsure, &frames)?,
                Fate::Drop => {
                    accepted = space.minus(&accepted, &frames)?;
                }
                Fate::Forward(target) => {
                    accepted = space.minus(&accepted, &frames)?;
                    let all = held.entry(target.clone()).or_insert_with(|| space.none());
                    *all = space.union(all, &frames)?;
                }
            }
        }
        passing = accepted;
    }
    let gone = space.union_all(held.values().cloned().chain([passing.clone()]).collect())?;
    dropped = space.union(&dropped, &space.complement(&gone)?)?;
    held.retain(|_, frames| !frames.is_empty());
    Ok(Outcome {
        bypass: passing,
        held,
        dropped,
        unsure,
    })
}

/// The shapes of frames, and the frames of each.
pub(super) fn shapes(space: &Space) -> Result<Vec<(Shape, PacketSet)>, SpaceFull> {
    let each = Shape::ALL.into_iter();
    each.map(|shape| Ok((shape, shape.frames(space)?)))
        .collect()
}

/// The base chains that see frames from `device`, in the order in which the kernel asks them.
pub(super) fn hooked<'rules>(
    rules: &'rules Ruleset,
    device: &str,
) -> Result<Vec<(&'rules Table, &'rules str, &'rules Hook)>, Fault> {
    let mut found = Vec::new();
    for table in rules.tables.values() {
        for (name, chain) in &table.chains {
            if let Some(hook) = &chain.hook
                && hook.ingress
                && (hook.devices.is_empty() || hook.devices.iter().any(|known| known == device))
            {
                found.push((table, name.as_str(), hook));
            }
        }
    }
    found.sort_by_key(|(_, _, hook)| hook.priority);
    for pair in found.windows(2) {
        if let [(_, _, first), (_, _, second)] = pair {
            if first.priority == second.priority {
                let reason = "two chains of one priority: which comes first is not told";
                return Err(Fault::new(second.line, reason));
            }
            if first.devices.is_empty() || second.devices.is_empty() {
                let reason = "more than one chain, and not all say their device";
                return Err(Fault::new(second.line, reason));
            }
        }
    }
    Ok(found)
}

/// The evaluation of one base chain.
pub(super) struct Run<'rules> {
    pub(super) space: &'rules Space,
    pub(super) table: &'rules Table,
    shapes: &'rules [(Shape, PacketSet)],
    /// What named sets answer.
    known: BTreeMap<&'rules str, Known>,
    /// What chains decide.
    chains: BTreeMap<&'rules str, Rc<Fates>>,
    /// The chains that are being evaluated, outermost first.
    calls: Vec<&'rules str>,
    /// A frame whose verdicts are noted in `hits`.
    pub(super) watched: Option<Vec<u8>>,
    pub(super) hits: Vec<Verdict>,
}

impl<'rules> Run<'rules> {
    pub(super) fn new(
        space: &'rules Space,
        table: &'rules Table,
        shapes: &'rules [(Shape, PacketSet)],
    ) -> Self {
        Self {
            space,
            table,
            shapes,
            known: BTreeMap::new(),
            chains: BTreeMap::new(),
            calls: Vec::new(),
            watched: None,
            hits: Vec::new(),
        }
    }

    /// What the chain decides about every frame; what is missing returns at its end.
    pub(super) fn chain(&mut self, name: &str, line: usize) -> Result<Rc<Fates>, Stop> {
        if let Some(fates) = self.chains.get(name) {
            return Ok(Rc::clone(fates));
        }
        let Some((name, chain)) = self.table.chains.get_key_value(name) else {
            return Err(Fault::new(line, format!("there is no chain `{name}`")).into());
        };
        if self.calls.contains(&name.as_str()) {
            return Err(Fault::new(line, "the chains call each other in a circle").into());
        }
        if self.calls.len() > DEEPEST_CALL {
            return Err(Fault::new(line, "the chains call each other too deeply").into());
        }
        self.calls.push(name);
        let fates = Rc::new(self.rules(chain)?);
        self.calls.pop();
        self.chains.insert(name, Rc::clone(&fates));
        Ok(fates)
    }

    fn rules(&mut self, chain: &'rules Chain) -> Result<Fates, Stop> {
        let mut decided = Vec::with_capacity(chain.rules.len());
        for rule in &chain.rules {
            decided.push(self.rule(rule)?);
        }
        // Neighbours are joined first, so that the sets stay of like size.
        while decided.len() > 1 {
            let mut joined = Vec::with_capacity(decided.len().div_ceil(2));
            let mut pairs = decided.into_iter();
            while let Some(first) = pairs.next() {
                joined.push(match pairs.next() {
                    Some(then) => self.joined(first, then)?,
                    None => first,
                });
            }
            decided = joined;
        }
        Ok(decided.pop().map(|all| all.fates).unwrap_or_default())
    }

    /// Two lists of rules as one: what the first decides, the second never sees.
    fn joined(&self, mut first: Decided, then: Decided) -> Result<Decided, SpaceFull> {
        for (fate, frames) in then.fates {
            let later = self.space.minus(&frames, &first.frames)?;
            self.add(&mut first.fates, fate, &later)?;
        }
        first.frames = self.space.union(&first.frames, &then.frames)?;
        Ok(first)
    }

    fn add(&self, fates: &mut Fates, fate: Fate, frames: &PacketSet) -> Result<(), SpaceFull> {
        let all = fates.entry(fate).or_insert_with(|| self.space.none());
        *all = self.space.union(all, frames)?;
        Ok(())
    }

    pub(super) fn rule(&mut self, rule: &'rules Rule) -> Result<Decided, Stop> {
        refuse_joined(rule).map_err(|reason| Fault::new(rule.line, reason))?;
        let mut context = Context::default();
        let mut live = self.shapes.to_vec();
        let mut fates = Fates::new();
        let mut ended = false;
        for statement in &rule.statements {
            if ended {
                return Err(Fault::new(rule.line, "a statement stands behind a verdict").into());
            }
            let implied = context
                .step(statement)
                .map_err(|reason| Fault::new(rule.line, reason))?;
            for test in implied {
                if matches!(test, Implied::Protocol(_)) {
                    self.doubt(&live, &mut fates)?;
                }
                self.require(&mut live, test)?;
            }
            if asks_protocol(statement) {
                self.doubt(&live, &mut fates)?;
            }
            match statement {
                Statement::Match {
                    key,
                    operator,
                    right,
                } => self.matched(&mut live, key, *operator, right, rule.line)?,
                Statement::Map { key, map } => {
                    self.mapped(&mut live, &mut fates, key, map, rule.line)?;
                }
                Statement::Verdict(verdict) => {
                    let frames = self.together(&live)?;
                    self.decide(&mut fates, verdict, &frames, rule.line)?;
                    ended = *verdict != Verdict::Continue;
                }
                Statement::Forward(device) => {
                    let frames = self.together(&live)?;
                    self.add(&mut fates, Fate::Forward(device.clone()), &frames)?;
                    ended = true;
                }
            }
        }
        let certain = fates.iter().filter(|(fate, _)| **fate != Fate::Unsure);
        let frames = certain.map(|(_, frames)| frames.clone()).collect();
        let frames = self.space.union_all(frames)?;
        Ok(Decided { frames, fates })
    }

    /// Notes the frames of which `meta protocol`, which is asked next, says something else from Linux
    /// 7.1 on.
    fn doubt(&self, live: &[(Shape, PacketSet)], fates: &mut Fates) -> Result<(), SpaceFull> {
        for (shape, frames) in live {
            let seen_through = shape.seen_through(self.space)?;
            let frames = self.space.intersection(frames, &seen_through)?;
            if !frames.is_empty() {
                self.add(fates, Fate::Unsure, &frames)?;
            }
        }
        Ok(())
    }

    fn together(&self, live: &[(Shape, PacketSet)]) -> Result<PacketSet, SpaceFull> {
        let frames = live.iter().map(|(_, frames)| frames.clone()).collect();
        self.space.union_all(frames)
    }

    fn require(&self, live: &mut [(Shape, PacketSet)], test: Implied) -> Result<(), SpaceFull> {
        for (shape, frames) in live {
            let (load, value) = match test {
                Implied::Protocol(ethertype) => (shape.protocol(), ethertype),
                Implied::Tag => (shape.load(Header::Link, 96, 16), 0x8100),
            };
            let holds = load.within(self.space, &ValueSet::single(value.into()))?;
            *frames = self.space.intersection(frames, &holds)?;
        }
        Ok(())
    }

    fn matched(
        &mut self,
        live: &mut [(Shape, PacketSet)],
        key: &'rules [Part],
        operator: Operator,
        right: &'rules Right,
        line: usize,
    ) -> Result<(), Stop> {
        let fault = |reason: String| Fault::new(line, reason);
        let mut here = Known::new();
        for (shape, frames) in live.iter_mut().filter(|(_, frames)| !frames.is_empty()) {
            let holds = match right {
                Right::Value(scalar) => {
                    let [part] = key else {
                        return Err(fault("a concatenation needs a set".to_owned()).into());
                    };
                    compared(self.space, *shape, part, operator, scalar)?.map_err(fault)?
                }
                Right::Set(set) => {
                    let answers = self.lookup(&mut here, *shape, key, set, false, line)?;
                    let found = answers.found.values().cloned().collect();
                    let found = self.space.union_all(found)?;
                    match operator {
                        Operator::Equal => found,
                        Operator::Unequal => self.space.minus(&answers.present, &found)?,
                        _ => return Err(fault("a set is neither more nor less".to_owned()).into()),
                    }
                }
            };
            *frames = self.space.intersection(frames, &holds)?;
        }
        Ok(())
    }

    fn mapped(
        &mut self,
        live: &mut [(Shape, PacketSet)],
        fates: &mut Fates,
        key: &'rules [Part],
        map: &'rules Source,
        line: usize,
    ) -> Result<(), Stop> {
        let mut here = Known::new();
        let mut by_verdict: BTreeMap<Verdict, Vec<PacketSet>> = BTreeMap::new();
        for (shape, frames) in live.iter_mut().filter(|(_, frames)| !frames.is_empty()) {
            let answers = self.lookup(&mut here, *shape, key, map, true, line)?;
            let mut going_on = self.space.none();
            for (verdict, found) in &answers.found {
                let found = self.space.intersection(frames, found)?;
                match verdict {
                    Some(Verdict::Continue) => going_on = found,
                    Some(verdict) => by_verdict.entry(verdict.clone()).or_default().push(found),
                    None => return Err(Fault::new(line, "this set answers nothing").into()),
                }
            }
            *frames = going_on;
        }
        for (verdict, frames) in by_verdict {
            let frames = self.space.union_all(frames)?;
            self.decide(fates, &verdict, &frames, line)?;
        }
        Ok(())
    }

    fn decide(
        &mut self,
        fates: &mut Fates,
        verdict: &Verdict,
        frames: &PacketSet,
        line: usize,
    ) -> Result<(), Stop> {
        if let Some(frame) = &self.watched
            && self.space.contains(frames, frame)
        {
            self.hits.push(verdict.clone());
        }
        match verdict {
            Verdict::Accept => self.add(fates, Fate::Accept, frames)?,
            Verdict::Drop => self.add(fates, Fate::Drop, frames)?,
            Verdict::Return => self.add(fates, Fate::Return, frames)?,
            Verdict::Continue => {}
            Verdict::Jump(chain) | Verdict::Goto(chain) => {
                let mut left = frames.clone();
                for (fate, there) in self.chain(chain, line)?.iter() {
                    if *fate != Fate::Return {
                        let here = self.space.intersection(frames, there)?;
                        if *fate != Fate::Unsure {
                            left = self.space.minus(&left, &here)?;
                        }
                        self.add(fates, fate.clone(), &here)?;
                    }
                }
                // A goto leaves nothing to come back to.
                if matches!(verdict, Verdict::Goto(_)) {
                    self.add(fates, Fate::Return, &left)?;
                }
            }
        }
        Ok(())
    }

    fn lookup(
        &mut self,
        here: &mut Known,
        shape: Shape,
        key: &[Part],
        source: &'rules Source,
        is_map: bool,
        line: usize,
    ) -> Result<Rc<Answers>, Stop> {
        let fault = |reason: String| Fault::new(line, reason);
        let looked = looked(key, shape, matches!(source, Source::Named(_))).map_err(fault)?;
        let own: Vec<KeyType>;
        let (known, types, elements) = match source {
            Source::Anonymous(elements) => {
                own = key
                    .iter()
                    .map(|part| KeyType {
                        datatype: part.field.datatype(),
                        width: None,
                    })
                    .collect();
                (here, &own, elements)
            }
            Source::Named(name) => {
                let set = self.table.sets.get(name);
                let set = set.filter(|set| set.is_map == is_map);
                let set = set.ok_or_else(|| fault(format!("there is no such set as `{name}`")))?;
                check_types(key, &set.types).map_err(fault)?;
                (
                    self.known.entry(name).or_default(),
                    &set.types,
                    &set.elements,
                )
            }
        };
        if let Some(answers) = known.get(&looked) {
            return Ok(Rc::clone(answers));
        }
        let found = Rc::new(answers(self.space, &looked, key, types, elements)?);
        known.insert(looked, Rc::clone(&found));
        Ok(found)
    }
}

pub(super) fn asks_protocol(statement: &Statement) -> bool {
    match statement {
        Statement::Match { key, .. } | Statement::Map { key, .. } => {
            key.iter().any(|part| part.field == Field::Protocol)
        }
        Statement::Verdict(_) | Statement::Forward(_) => false,
    }
}

fn check_types(key: &[Part], types: &[KeyType]) -> Result<(), String> {
    // The kernel compares whole bytes.
    let bytes = |width: u32| width.div_ceil(8);
    let fits = |(part, of): (&Part, &KeyType)| {
        of.width
            .is_none_or(|width| bytes(width) == bytes(part.field.width()))
    };
    if key.len() == types.len() && key.iter().zip(types).all(fits) {
        Ok(())
    } else {
        Err("the key does not have the type of the set".to_owned())
    }
}
