//! Which frames a comparison or a lookup holds for, in one shape of the frame.

use std::collections::BTreeMap;
use std::rc::Rc;

use policy_lang::values::{Range, ValueSet, max_value};
use policy_lang::{PacketSet, Space, SpaceFull};

use super::ast::{Element, KeyType, Operator, Part, Scalar, Verdict};
use super::cursor::Fault;
use super::fields::Field;
use super::frame::{Load, Shape};

/// Why an evaluation ends early.
#[derive(Clone, Debug)]
pub(super) enum Stop {
    Fault(Fault),
    Full(SpaceFull),
}

impl From<SpaceFull> for Stop {
    fn from(full: SpaceFull) -> Self {
        Self::Full(full)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What a set or map says about all frames.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    /// The frames that have all that is looked at.
    pub(super) present: PacketSet,
    /// The frames that are found, by what a map answers; disjoint.
    pub(super) found: BTreeMap<Option<Verdict>, PacketSet>,
}

/// What is looked at, ready to be looked up; frames of different shapes may share it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Looked {
    /// The length, and how much longer it is to a packet set.
    Length(usize),
    Loads(Vec<Load>),
}

/// Answers already worked out.
pub(super) type Known = BTreeMap<Looked, Rc<Answers>>;

fn load(field: Field, width: u32, shape: Shape) -> Result<Option<Load>, String> {
    let load = match field {
        Field::Length => return Ok(None),
        Field::Protocol => shape.protocol(),
        Field::Payload { header, bit, .. } => shape.load(header, bit, width),
    };
    if load.is_known() {
        Ok(Some(load))
    } else {
        Err("this looks further into the frame than is known here".to_owned())
    }
}

/// Whether the kernel has to shift what it loads to compare it, and over a byte's border.
fn shifted(field: Field) -> (bool, bool) {
    match field {
        Field::Payload { bit, width, .. } => {
            let end = bit + width as usize;
            (!end.is_multiple_of(8), bit / 8 != (end - 1) / 8)
        }
        Field::Length | Field::Protocol => (false, false),
    }
}

fn masked(part: &Part, load: Load) -> Result<Load, String> {
    let Some(word) = &part.mask else {
        return Ok(load);
    };
    if shifted(part.field).0 {
        return Err("nft masks bits that end inside of a byte in ways not understood".to_owned());
    }
    let mask = part
        .field
        .datatype()
        .value(word)
        .filter(|mask| *mask <= max_value(load.width()));
    match mask {
        Some(mask) => Ok(load.masked(mask)),
        None => Err(format!("`{word}` is no mask for this field")),
    }
}

/// The frames of `shape` for which `part` compares with `scalar` as `operator` says.
pub(super) fn compared(
    space: &Space,
    shape: Shape,
    part: &Part,
    operator: Operator,
    scalar: &Scalar,
) -> Result<Result<PacketSet, String>, SpaceFull> {
    let (values, width) = match wanted(part, operator, scalar) {
        Ok(found) => found,
        Err(reason) => return Ok(Err(reason)),
    };
    let loaded = load(part.field, width, shape)
        .and_then(|load| load.map(|load| masked(part, load)).transpose());
    match loaded {
        Err(reason) => Ok(Err(reason)),
        Ok(None) => lengths(space, &values, shape.hidden()),
        Ok(Some(load)) => {
            let within = load.within(space, &values)?;
            space.intersection(&load.present(space)?, &within).map(Ok)
        }
    }
}

/// Whether a field is whole bytes of the frame, or the protocol.
fn whole_bytes(field: Field) -> bool {
    match field {
        Field::Payload { bit, width, .. } => bit.is_multiple_of(8) && width.is_multiple_of(8),
        Field::Protocol => true,
        Field::Length => false,
    }
}

/// The values that satisfy a comparison, and how many bits are loaded for it.
pub(super) fn wanted(
    part: &Part,
    operator: Operator,
    scalar: &Scalar,
) -> Result<(ValueSet, u32), String> {
    let mut width = part.field.width();
    let mut values = part.field.datatype().values(scalar, width)?;
    let edge = || match (scalar, ValueSet::max(&values)) {
        (Scalar::Exact(_), Some(value)) => Ok(value),
        _ => Err("only a single value can be more or less".to_owned()),
    };
    let max = max_value(width);
    let from = |low: u128| {
        if low > max {
            ValueSet::empty()
        } else {
            ValueSet::range(low, max)
        }
    };
    match operator {
        Operator::Equal | Operator::Unequal => {
            if let Scalar::Prefix(_, length) = scalar {
                if part.mask.is_some() || !whole_bytes(part.field) {
                    return Err("a prefix is not understood here".to_owned());
                }
                // nft loads no more than the prefix if that is whole bytes.
                if matches!(part.field, Field::Payload { .. })
                    && *length > 0
                    && length.is_multiple_of(8)
                {
                    let host = width - length;
                    values = ValueSet::from_ranges(
                        values
                            .ranges()
                            .iter()
                            .map(|r| Range::new(r.low >> host, r.high >> host)),
                    );
                    width = *length;
                }
            }
            if operator == Operator::Unequal {
                values = values.complement(width);
            }
            Ok((values, width))
        }
        Operator::Less => Ok((from(edge()?).complement(width), width)),
        Operator::GreaterOrEqual => Ok((from(edge()?), width)),
        Operator::Greater => Ok((from(edge()?.saturating_add(1)), width)),
        Operator::LessOrEqual => Ok((from(edge()?.saturating_add(1)).complement(width), width)),
    }
}

/// The frames whose length to the kernel is in `values`, `hidden` bytes less than to a packet set.
fn lengths(
    space: &Space,
    values: &ValueSet,
    hidden: usize,
) -> Result<Result<PacketSet, String>, SpaceFull> {
    // A packet set does not tell lengths from 65,535 on apart.
    const LAST: u128 = u16::MAX as u128;
    let hidden = hidden as u128;
    let moved = ValueSet::from_ranges(
        values
            .ranges()
            .iter()
            .map(|r| Range::new(r.low + hidden, r.high + hidden)),
    );
    let long = ValueSet::range(LAST, max_value(32) + hidden);
    let kept = moved.intersection(&long);
    if !kept.is_empty() && kept != long {
        let reason = "lengths of more than 65,530 bytes are not told apart here";
        return Ok(Err(reason.to_owned()));
    }
    space.length_in(&moved).map(Ok)
}

/// What a key looks at in frames of `shape`. Named sets compare whole keys, so bits are shifted.
pub(super) fn looked(key: &[Part], shape: Shape, named: bool) -> Result<Looked, String> {
    if let [
        Part {
            field: Field::Length,
            mask,
        },
    ] = key
    {
        return match mask {
            None => Ok(Looked::Length(shape.hidden())),
            Some(_) => Err("a masked length is not understood".to_owned()),
        };
    }
    let mut loads = Vec::new();
    for part in key {
        // The kernel shifts in its own byte order.
        if (named || key.len() > 1) && shifted(part.field) == (true, true) {
            return Err("nft shifts this field wrongly when it is looked up".to_owned());
        }
        let load = load(part.field, part.field.width(), shape)?
            .ok_or("nft does not list a length in a concatenation rightly")?;
        loads.push(masked(part, load)?);
    }
    Ok(Looked::Loads(loads))
}

/// What a set or map with these elements says about frames that show `looked`.
pub(super) fn answers(
    space: &Space,
    looked: &Looked,
    key: &[Part],
    types: &[KeyType],
    elements: &[Element],
) -> Result<Answers, Stop> {
    let mut keys: BTreeMap<Option<Verdict>, Products> = BTreeMap::new();
    let mut others = None;
    for element in elements {
        let fault = |reason: String| Fault::new(element.line, reason);
        let Some(parts) = &element.key else {
            others = Some(element.verdict.clone());
            continue;
        };
        if parts.len() != key.len() {
            return Err(fault("the element has other parts than the key".to_owned()).into());
        }
        let values = parts
            .iter()
            .zip(key.iter().zip(types))
            .map(|(scalar, (part, of))| of.datatype.values(scalar, part.field.width()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(fault)?;
        keys.entry(element.verdict.clone()).or_default().add(values);
    }
    let line = elements.first().map_or(1, |element| element.line);
    let mut present = space.all();
    if let Looked::Loads(loads) = looked {
        for load in loads {
            present = space.intersection(&present, &load.present(space)?)?;
        }
    }
    let mut found = BTreeMap::new();
    let mut any = space.none();
    for (verdict, products) in keys {
        let set = products.frames(space, looked, line)?;
        let set = space.intersection(&present, &set)?;
        if !space.intersection(&any, &set)?.is_empty() {
            return Err(Fault::new(line, "elements with different verdicts overlap").into());
        }
        any = space.union(&any, &set)?;
        found.insert(verdict, set);
    }
    if let Some(verdict) = others {
        let rest = space.minus(&present, &any)?;
        let set = match found.get(&verdict) {
            Some(set) => space.union(set, &rest)?,
            None => rest,
        };
        found.insert(verdict, set);
    }
    Ok(Answers { present, found })
}

/// Keys of several parts; those that differ in the first part only are one.
#[derive(Default)]
struct Products {
    firsts_by_rest: BTreeMap<Vec<ValueSet>, Vec<Range>>,
}

impl Products {
    fn add(&mut self, mut values: Vec<ValueSet>) {
        if values.is_empty() {
            return;
        }
        let first = values.remove(0);
        let firsts = self.firsts_by_rest.entry(values).or_default();
        firsts.extend_from_slice(first.ranges());
    }

    fn frames(self, space: &Space, looked: &Looked, line: usize) -> Result<PacketSet, Stop> {
        let mut parts: BTreeMap<(usize, ValueSet), PacketSet> = BTreeMap::new();
        let mut sets = Vec::new();
        for (rest, firsts) in self.firsts_by_rest {
            let firsts = ValueSet::from_ranges(firsts);
            let loads = match looked {
                Looked::Length(hidden) => {
                    let set = lengths(space, &firsts, *hidden)?;
                    sets.push(set.map_err(|reason| Fault::new(line, reason))?);
                    continue;
                }
                Looked::Loads(loads) => loads,
            };
            let mut product = space.all();
            for (at, (values, load)) in std::iter::once(firsts).chain(rest).zip(loads).enumerate() {
                let set = match parts.get(&(at, values.clone())) {
                    Some(set) => set.clone(),
                    None => {
                        let set = load.within(space, &values)?;
                        parts.insert((at, values), set.clone());
                        set
                    }
                };
                product = space.intersection(&product, &set)?;
            }
            sets.push(product);
        }
        Ok(space.union_all(sets)?)
    }
}
