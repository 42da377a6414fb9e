//! From the boxes of a stage to nft rules: single lines, and named sets for what is many.
//!
//! Boxes with the same fields become elements of one set whose key is the concatenation of these
//! fields. The kernel looks such a set up in a time that hardly grows with it (nft_set_pipapo.c),
//! but wants its elements disjoint. Intervals of a single field would land in a tree, measured
//! slower; so a second field is added to their key, one that is known or may be anything.

use std::collections::BTreeMap;

use policy_lang::field::{Family, Field};
use policy_lang::values::{Range, ValueSet, max_value};

use super::key::{Key, UnseenLength, concatenates, ethertypes, family, key_bytes};
use super::overlap::{Pairs, overlapping};
use crate::ir::{FieldBox, Guard, Shape};
use crate::lower::simplified;

/// Up to this many ranges stand in the rule itself.
const FEW_RANGES: usize = 8;
/// Up to this many boxes become a line each.
const FEW_BOXES: usize = 2;
/// A box of many ranges in several fields becomes at most this many elements of a set,
const MOST_ELEMENTS_OF_A_BOX: usize = 64;
/// unless there are more than this many such boxes, so that a line each would be slow,
const FEW_WIDE_BOXES: usize = 16;
/// and the elements are at most this many together.
const MOST_ELEMENTS: usize = 65_536;
/// The longest key of a concatenation in bytes: sixteen 32-bit registers of the kernel.
const LONGEST_KEY: u32 = 64;

/// A named set.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name.
    pub(super) name: String,
    /// The expression that it is a set of.
    pub(super) key: String,
    /// Whether there are ranges among the elements.
    pub(super) intervals: bool,
    /// The elements.
    pub(super) elements: Vec<String>,
}

/// The sets of a block and its parts.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// How often each name was wanted.
    wanted: BTreeMap<String, usize>,
    /// The name of the set with this key and these elements: parts share what is in all of them.
    sets: BTreeMap<(String, Vec<String>), String>,
}

/// What a stage becomes.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// The sets that the lines use.
    pub(super) tables: Vec<Table>,
    /// What each rule asks for, without its verdict.
    pub(super) lines: Vec<String>,
}

/// Writes the boxes of one stage. Names of new sets begin with `name`; those of `names` are there.
///
/// # Errors
///
/// [`UnseenLength`] if nft can't ask for an ethertype of a box.
pub(super) fn write(
    boxes: &[&FieldBox],
    guard: Guard,
    name: &str,
    names: &mut Names,
) -> Result<Rules, UnseenLength> {
    let mut writer = Writer {
        guard,
        name,
        names,
        rules: Rules::default(),
    };
    // What is asked beside a set, and the fields of the set.
    let mut groups: BTreeMap<(FieldBox, Vec<Field>), Vec<FieldBox>> = BTreeMap::new();
    for mut one in simplified(boxes.iter().map(|&one| one.clone()).collect()) {
        let beside = beside(&one);
        for field in beside.fields.keys() {
            one.fields.remove(field);
        }
        let fields = one.fields.keys().copied().collect();
        groups.entry((beside, fields)).or_default().push(one);
    }
    for ((beside, fields), boxes) in groups {
        writer.group(&beside, &fields, boxes)?;
    }
    Ok(writer.rules)
}

/// The part of a box that can't be in the key of a set.
fn beside(one: &FieldBox) -> FieldBox {
    let key: u32 = one.fields.keys().map(|&field| key_bytes(field)).sum();
    FieldBox {
        fields: one
            .fields
            .iter()
            .filter(|(field, _)| key > LONGEST_KEY || !concatenates(**field))
            .map(|(field, values)| (*field, values.clone()))
            .collect(),
    }
}

struct Writer<'a> {
    guard: Guard,
    name: &'a str,
    names: &'a mut Names,
    rules: Rules,
}

impl Writer<'_> {
    fn group(
        &mut self,
        beside: &FieldBox,
        fields: &[Field],
        boxes: Vec<FieldBox>,
    ) -> Result<(), UnseenLength> {
        // All boxes of one field have been joined into one already.
        if fields.len() < 2 || boxes.len() <= FEW_BOXES {
            return boxes.iter().try_for_each(|one| self.line(beside, one));
        }
        let (wide, narrow): (Vec<_>, Vec<_>) = boxes.into_iter().partition(is_wide);
        let together = wide
            .iter()
            .map(elements_of)
            .fold(0_usize, usize::saturating_add);
        let spread = wide.len() > FEW_WIDE_BOXES && together <= MOST_ELEMENTS;
        let (lines, spread) = if spread {
            (Vec::new(), [narrow, wide].concat())
        } else {
            (wide, narrow)
        };
        lines.iter().try_for_each(|one| self.line(beside, one))?;
        let mut elements: Vec<FieldBox> = spread.iter().flat_map(split).collect();
        elements.sort_unstable();
        elements.dedup();
        for layer in disjoint_layers(&elements) {
            if layer.len() <= FEW_BOXES {
                layer.iter().try_for_each(|one| self.line(beside, one))?;
            } else {
                self.table_line(beside, fields, &layer)?;
            }
        }
        Ok(())
    }

    /// A rule that asks for each field by itself.
    fn line(&mut self, beside: &FieldBox, one: &FieldBox) -> Result<(), UnseenLength> {
        let mut asked = Vec::new();
        for (field, values) in beside.fields.iter().chain(&one.fields) {
            asked.push(self.field(*field, values)?);
        }
        self.rules.lines.push(asked.join(" "));
        Ok(())
    }

    /// A rule that asks for several fields at once.
    fn table_line(
        &mut self,
        beside: &FieldBox,
        fields: &[Field],
        elements: &[&FieldBox],
    ) -> Result<(), UnseenLength> {
        let mut asked = Vec::new();
        for (field, values) in &beside.fields {
            asked.push(self.field(*field, values)?);
        }
        let keys: Vec<(Field, Key)> = fields
            .iter()
            .filter_map(|&field| Some((field, Key::new(field, self.guard)?)))
            .collect();
        let loads: Vec<&str> = keys.iter().map(|(_, key)| key.load.as_str()).collect();
        let spelled = |one: &&FieldBox| {
            let parts: Vec<String> = keys
                .iter()
                .filter_map(|(field, key)| {
                    let range = one.fields.get(field)?.ranges().first()?;
                    Some(key.range(*range))
                })
                .collect();
            parts.join(" . ")
        };
        let intervals = elements.iter().any(|one| {
            one.fields.iter().any(|(field, values)| {
                values
                    .ranges()
                    .iter()
                    .any(|r| keys.iter().any(|(f, key)| f == field && !key.is_point(*r)))
            })
        });
        let elements = elements.iter().map(spelled).collect();
        asked.push(self.asked(fields, loads.join(" . "), intervals, elements));
        self.rules.lines.push(asked.join(" "));
        Ok(())
    }

    /// What asks whether one field has one of these values.
    fn field(&mut self, field: Field, values: &ValueSet) -> Result<String, UnseenLength> {
        let Some(key) = Key::new(field, self.guard) else {
            return Ok(String::new());
        };
        let values = if field == Field::Ethertype {
            ethertypes(values, self.guard)?
        } else {
            values.clone()
        };
        let spelled = |values: &ValueSet| -> Vec<String> {
            values
                .ranges()
                .iter()
                .map(|range| key.range(*range))
                .collect()
        };
        if let [only] = spelled(&values).as_slice() {
            return Ok(format!("{} {only}", key.compared()));
        }
        let others = values.complement(field.width());
        if let ([only], [spelled]) = (others.ranges(), spelled(&others).as_slice())
            && key.excludes(*only)
        {
            return Ok(format!("{} {spelled}", key.excluded()));
        }
        let ranges = spelled(&values);
        if ranges.len() <= FEW_RANGES || !concatenates(field) {
            return Ok(format!("{} {{ {} }}", key.compared(), ranges.join(", ")));
        }
        let intervals = !values.ranges().iter().all(|range| key.is_point(*range));
        let second = self.second(field).filter(|_| intervals);
        let (load, elements) = match second {
            Some((load, any)) => (
                format!("{load} . {}", key.load),
                ranges
                    .iter()
                    .map(|range| format!("{any} . {range}"))
                    .collect(),
            ),
            None => (key.load, ranges),
        };
        Ok(self.asked(&[field], load, intervals, elements))
    }

    /// What asks whether a key is in the set of these elements, which is made if there is none.
    fn asked(
        &mut self,
        fields: &[Field],
        key: String,
        intervals: bool,
        elements: Vec<String>,
    ) -> String {
        let content = (key, elements);
        if let Some(name) = self.names.sets.get(&content) {
            return format!("{} @{name}", content.0);
        }
        let name = self.fresh(fields);
        let asked = format!("{} @{name}", content.0);
        self.names.sets.insert(content.clone(), name.clone());
        self.rules.tables.push(Table {
            name,
            key: content.0,
            intervals,
            elements: content.1,
        });
        asked
    }

    /// A second field for a key, and the range of all values that it has in this block.
    fn second(&self, first: Field) -> Option<(String, String)> {
        let range = match self.guard.shape {
            Shape::Any => {
                let other = if first == Field::DstMac {
                    Field::SrcMac
                } else {
                    Field::DstMac
                };
                let key = Key::new(other, self.guard)?;
                let all = key.range(Range::new(0, max_value(other.width())));
                return Some((key.load, all));
            }
            Shape::Plain {
                family: Family::V4, ..
            } => "0x45",
            Shape::Ip(_) | Shape::Plain { .. } => match family(self.guard) {
                Family::V4 => "0x45-0x4f",
                Family::V6 => "0x60-0x6f",
            },
        };
        Some((String::from("@nh,0,8"), range.to_owned()))
    }

    /// A name for a set of these fields that no other set has.
    fn fresh(&mut self, fields: &[Field]) -> String {
        let names: Vec<&str> = fields.iter().map(|&field| word(field)).collect();
        let wanted = format!("{}_{}", self.name, names.join("_"));
        let count = self.names.wanted.entry(wanted.clone()).or_default();
        *count += 1;
        match count {
            1 => wanted,
            n => format!("{wanted}_{n}"),
        }
    }
}

/// How many elements of a set a box becomes.
fn elements_of(one: &FieldBox) -> usize {
    one.fields.values().fold(1, |product, values| {
        product.saturating_mul(values.ranges().len())
    })
}

/// How many elements a box is in sets that have intervals.
pub(super) fn weight(one: &FieldBox) -> usize {
    let ranges = || one.fields.values().map(ValueSet::ranges);
    if ranges().flatten().all(|range| range.low == range.high) {
        0
    } else if is_wide(one) {
        ranges().map(<[Range]>::len).sum()
    } else {
        elements_of(one)
    }
}

fn is_wide(one: &FieldBox) -> bool {
    let ranges: usize = one
        .fields
        .values()
        .map(|values| values.ranges().len())
        .sum();
    let elements = elements_of(one);
    elements > MOST_ELEMENTS_OF_A_BOX && elements > 2 * ranges
}

/// The box as boxes of one range per field.
fn split(one: &FieldBox) -> Vec<FieldBox> {
    one.fields
        .iter()
        .fold(vec![FieldBox::default()], |boxes, (field, values)| {
            boxes
                .iter()
                .flat_map(|before| {
                    values.ranges().iter().map(|&range| {
                        let mut next = before.clone();
                        next.fields.insert(*field, ValueSet::from_ranges([range]));
                        next
                    })
                })
                .collect()
        })
}

/// The boxes without those that lie inside of another one, in as few lists of disjoint boxes as a
/// greedy choice finds. If the overlaps are too many to know, each box is a list of its own.
fn disjoint_layers(boxes: &[FieldBox]) -> Vec<Vec<&FieldBox>> {
    let refs: Vec<&FieldBox> = boxes.iter().collect();
    let Some(pairs) = overlapping(&refs, Pairs::Any) else {
        return refs.into_iter().map(|one| vec![one]).collect();
    };
    let mut needed = vec![true; boxes.len()];
    let mut rivals: Vec<Vec<usize>> = vec![Vec::new(); boxes.len()];
    for (i, j) in pairs {
        let (Some(a), Some(b)) = (boxes.get(i), boxes.get(j)) else {
            continue;
        };
        let inner = if a.contains(b) { j } else { i };
        if a.contains(b) || b.contains(a) {
            if let Some(slot) = needed.get_mut(inner) {
                *slot = false;
            }
        } else if let Some(list) = rivals.get_mut(j) {
            list.push(i);
        }
    }
    let mut layer_of: Vec<Option<usize>> = Vec::with_capacity(boxes.len());
    let mut layers: Vec<Vec<&FieldBox>> = Vec::new();
    for ((one, needed), rivals) in refs.into_iter().zip(needed).zip(rivals) {
        if !needed {
            layer_of.push(None);
            continue;
        }
        let mut taken: Vec<usize> = rivals
            .iter()
            .filter_map(|&rival| layer_of.get(rival).copied().flatten())
            .collect();
        taken.sort_unstable();
        taken.dedup();
        let free = taken.iter().zip(0..).take_while(|(at, n)| *at == n).count();
        layer_of.push(Some(free));
        match layers.get_mut(free) {
            Some(layer) => layer.push(one),
            None => layers.push(vec![one]),
        }
    }
    layers
}

/// A field in the name of a set.
fn word(field: Field) -> &'static str {
    match field {
        Field::SrcMac => "srcmac",
        Field::DstMac => "dstmac",
        Field::VlanId => "vlan",
        Field::Ethertype => "ethertype",
        Field::Protocol => "proto",
        Field::Src4 | Field::Src6 => "src",
        Field::Dst4 | Field::Dst6 => "dst",
        Field::Dscp => "dscp",
        Field::Ecn => "ecn",
        Field::Ttl => "ttl",
        Field::FragmentBits => "fragment",
        Field::Sport => "sport",
        Field::Dport => "dport",
        Field::TcpFlags => "flags",
        Field::IcmpType => "type",
        Field::IcmpCode => "code",
        Field::PayloadFirst => "first",
        Field::PayloadSecond => "second",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn element() -> impl Strategy<Value = FieldBox> {
        let range = || (0_u128..12, 0_u128..12).prop_map(|(a, b)| Range::new(a, b));
        (range(), range()).prop_map(|(s, d)| FieldBox {
            fields: [
                (Field::Sport, ValueSet::from_ranges([s])),
                (Field::Dport, ValueSet::from_ranges([d])),
            ]
            .into(),
        })
    }

    proptest! {
        #[test]
        fn layers_hold_the_same_packets_in_disjoint_boxes(
            mut boxes in proptest::collection::vec(element(), 0..12)
        ) {
            boxes.sort_unstable();
            boxes.dedup();
            let layers = disjoint_layers(&boxes);
            for layer in &layers {
                for (at, one) in layer.iter().enumerate() {
                    prop_assert!(layer[..at].iter().all(|other| one.intersection(other).is_none()));
                }
            }
            for one in &boxes {
                prop_assert!(layers.iter().flatten().any(|kept| kept.contains(one)));
            }
            prop_assert!(layers.iter().flatten().all(|kept| boxes.contains(kept)));
        }
    }
}
