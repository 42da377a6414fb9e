//! The rule program as a decision DAG: which kind of packet it is, then the rules of its block.
//!
//! The guards are asked in an order in which no load can lie behind the end of the frame: the
//! length before what it makes readable. So the kernel's rule for such loads never decides.

use std::collections::BTreeMap;

use policy_lang::Verdict;
use policy_lang::field::{
    Base, ETHERNET_LEN, ETHERTYPE_VLAN, FRAGMENT_MASK, Family, Field, Place, Transport,
};
use policy_lang::values::max_value;

use super::dag::{Compare, Dag, Id, Load, Source};
use crate::ir::{Block, FieldBox, Program, Shape};

/// The ethertype of an 802.1ad tag (IEEE 802.1Q table 9-1).
const ETHERTYPE_SERVICE_TAG: u128 = 0x88a8;

/// Most nodes that are made: a program that fits never needs so many.
const MOST_NODES: usize = 40_000;

/// Most comparisons of a box with a number while the DAG is made.
const MOST_WORK: usize = 100_000_000;

/// The DAG outgrows every program that can be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// In which order the fields of a block are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// From the outermost header on.
    OutsideIn,
    /// From the innermost header on.
    InsideOut,
    /// First the field that tells most rules apart.
    MostFirst,
}

impl Order {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::OutsideIn, Self::InsideOut, Self::MostFirst];
}

/// The DAG of a program, and its entry.
pub(super) fn dag(program: &Program, order: Order) -> Result<(Dag, Id), TooLarge> {
    let mut maker = Maker {
        program,
        order,
        dag: Dag::new(),
        work: 0,
    };
    let untagged = maker.packets(false)?;
    let tagged = maker.packets(true)?;
    let service = maker.service_tag()?;
    let dag = &mut maker.dag;
    let is_tag = dag.test(Compare::Equal, ETHERTYPE_VLAN.into(), tagged, service);
    let kind = dag.load(Load::whole(Source::TagKind), is_tag);
    let present = dag.test(Compare::Equal, 0, untagged, kind);
    let entry = dag.load(Load::whole(Source::TagPresent), present);
    Ok((maker.dag, entry))
}

struct Maker<'a> {
    program: &'a Program,
    order: Order,
    dag: Dag,
    work: usize,
}

impl<'a> Maker<'a> {
    fn blocks(&self, tagged: bool) -> impl Iterator<Item = &'a Block> + use<'a> {
        let program = self.program;
        let wanted = move |block: &&Block| block.guard.tagged.is_none_or(|asked| asked == tagged);
        program.blocks.iter().filter(wanted)
    }

    /// What decides about all frames with, or without, the transparent tag.
    fn packets(&mut self, tagged: bool) -> Result<Id, TooLarge> {
        let mut any = self.dag.verdict(Verdict::Buffer);
        if let Some(block) = self.blocks(tagged).find(|b| b.guard.shape == Shape::Any) {
            any = self.block(block, Family::V4)?;
        }
        let mut runs = vec![(0, any)];
        for family in Family::ALL {
            let ethertype = u128::from(family.ethertype());
            let entry = self.family(tagged, family, any)?;
            runs.extend([(ethertype, entry), (ethertype + 1, any)]);
        }
        Ok(self.dag.find(&words(Base::Type, 0, 16), &runs))
    }

    /// A frame with an 802.1ad tag, of which the kernel shows what is behind: it has that
    /// ethertype and nothing more.
    fn service_tag(&mut self) -> Result<Id, TooLarge> {
        let Some(block) = self.blocks(false).find(|b| b.guard.shape == Shape::Any) else {
            return Ok(self.dag.verdict(Verdict::Buffer));
        };
        let mut block = block.clone();
        for rule in &mut block.rules {
            rule.boxes.retain_mut(|one| {
                let types = one.fields.remove(&Field::Ethertype);
                types.is_none_or(|types| types.contains(ETHERTYPE_SERVICE_TAG))
            });
        }
        self.block(&block, Family::V4)
    }

    /// What decides about a frame with the ethertype of `family`; `any` if it has no IP header.
    fn family(&mut self, tagged: bool, family: Family, any: Id) -> Result<Id, TooLarge> {
        let mut ip = any;
        if let Some(block) = self
            .blocks(tagged)
            .find(|b| b.guard.shape == Shape::Ip(family))
        {
            ip = self.block(block, family)?;
        }
        let mut plain: BTreeMap<u128, Vec<(usize, Id)>> = BTreeMap::new();
        for block in self.blocks(tagged) {
            if let Shape::Plain {
                family: of,
                transport,
                payload,
            } = block.guard.shape
                && of == family
            {
                let end = family.header_len() + Transport::header_len(transport) + payload;
                let entry = self.block(block, family)?;
                let protocol = transport.protocol().into();
                plain.entry(protocol).or_default().push((end, entry));
            }
        }
        let mut runs = vec![(0, ip)];
        for (protocol, ends) in plain {
            let entry = self.lengths(&ends, ip);
            if runs.last().is_some_and(|&(low, _)| low == protocol) {
                runs.pop();
            }
            runs.extend([(protocol, entry), (protocol + 1, ip)]);
        }
        let protocol = self.dag.find(&field_words(Field::Protocol, family), &runs);
        let first_byte = match family {
            Family::V4 => {
                let plain = self.dag.test(Compare::Equal, 0, protocol, ip);
                let bits = Load {
                    mask: Some(FRAGMENT_MASK.into()),
                    ..Load::whole(bytes(Base::Network, 6, 2))
                };
                let plain = self.dag.load(bits, plain);
                vec![(0, any), (0x45, plain), (0x46, ip), (0x50, any)]
            }
            Family::V6 => vec![(0, any), (0x60, protocol), (0x70, any)],
        };
        let first = self.dag.find(&words(Base::Network, 0, 8), &first_byte);
        Ok(self.lengths(&[(family.header_len(), first)], any))
    }

    /// The first entry whose end, behind the Ethernet header, the frame reaches.
    fn lengths(&mut self, ends: &[(usize, Id)], otherwise: Id) -> Id {
        let mut found = otherwise;
        for &(end, entry) in ends.iter().rev() {
            let length = u32::try_from(ETHERNET_LEN + end).unwrap_or(u32::MAX);
            found = self.dag.test(Compare::AtLeast, length, entry, found);
        }
        self.dag.load(Load::whole(Source::Length), found)
    }

    /// The rules of a block.
    fn block(&mut self, block: &Block, family: Family) -> Result<Id, TooLarge> {
        let rules = block.rules.iter();
        let boxes: Vec<(&FieldBox, Verdict)> = rules
            .flat_map(|rule| rule.boxes.iter().map(|one| (one, rule.verdict)))
            .collect();
        let mut search = Search {
            fields: fields(&boxes, self.order),
            family,
            known: BTreeMap::new(),
            boxes,
        };
        let live = (0..search.boxes.len()).collect();
        search.decide(self, 0, live, block.default)
    }
}

/// The fields that the boxes ask about, in their order.
fn fields(boxes: &[(&FieldBox, Verdict)], order: Order) -> Vec<Field> {
    let mut borders: BTreeMap<Field, Vec<u128>> = BTreeMap::new();
    for (field, values) in boxes.iter().flat_map(|(one, _)| &one.fields) {
        let lows = values.ranges().iter().map(|range| range.low);
        borders.entry(*field).or_default().extend(lows);
    }
    let mut fields: Vec<Field> = borders.keys().copied().collect();
    match order {
        Order::OutsideIn => {}
        Order::InsideOut => fields.reverse(),
        Order::MostFirst => {
            for lows in borders.values_mut() {
                lows.sort_unstable();
                lows.dedup();
            }
            fields.sort_by_key(|field| std::cmp::Reverse(borders.get(field).map(Vec::len)));
        }
    }
    fields
}

/// Boxes that can still match from a field on, and the verdict if none does.
type Question = (usize, Vec<usize>, bool);

struct Search<'a> {
    boxes: Vec<(&'a FieldBox, Verdict)>,
    fields: Vec<Field>,
    family: Family,
    known: BTreeMap<Question, Id>,
}

impl Search<'_> {
    fn decide(
        &mut self,
        maker: &mut Maker<'_>,
        mut level: usize,
        mut live: Vec<usize>,
        mut default: Verdict,
    ) -> Result<Id, TooLarge> {
        let rest = self.fields.get(level..).unwrap_or_default();
        let open = |at: &usize| {
            let asked = self.boxes.get(*at).map(|(one, _)| &one.fields);
            asked.is_none_or(|asked| !rest.iter().any(|field| asked.contains_key(field)))
        };
        if let Some(end) = live.iter().position(open) {
            let decides = live.get(end).and_then(|at| self.boxes.get(*at));
            default = decides.map_or(default, |(_, verdict)| *verdict);
            live.truncate(end);
        }
        while live
            .last()
            .and_then(|at| self.boxes.get(*at))
            .is_some_and(|(_, v)| *v == default)
        {
            live.pop();
        }
        let asks = |field: &Field| {
            let mut boxes = live.iter().filter_map(|at| self.boxes.get(*at));
            boxes.any(|(one, _)| one.fields.contains_key(field))
        };
        let Some(skipped) = rest.iter().position(asks) else {
            return Ok(maker.dag.verdict(default));
        };
        level += skipped;
        let question = (level, live.clone(), default == Verdict::Bypass);
        if let Some(known) = self.known.get(&question) {
            return Ok(*known);
        }
        let Some(&field) = self.fields.get(level) else {
            return Ok(maker.dag.verdict(default));
        };
        let mut runs: Vec<(u128, Id)> = Vec::new();
        for low in self.borders(&live, field) {
            maker.work += live.len();
            if maker.work > MOST_WORK || maker.dag.len() > MOST_NODES {
                return Err(TooLarge);
            }
            let matches = |at: &usize| {
                let values = self
                    .boxes
                    .get(*at)
                    .and_then(|(one, _)| one.fields.get(&field));
                values.is_none_or(|values| values.contains(low))
            };
            let inside = live.iter().copied().filter(matches).collect();
            let entry = self.decide(maker, level + 1, inside, default)?;
            if runs.last().is_none_or(|&(_, last)| last != entry) {
                runs.push((low, entry));
            }
        }
        let entry = maker.dag.find(&field_words(field, self.family), &runs);
        self.known.insert(question, entry);
        Ok(entry)
    }

    /// The numbers at which another set of boxes begins, from 0 on.
    fn borders(&self, live: &[usize], field: Field) -> Vec<u128> {
        let mut borders = vec![0];
        for (one, _) in live.iter().filter_map(|at| self.boxes.get(*at)) {
            for range in one.fields.get(&field).map_or(&[][..], |v| v.ranges()) {
                borders.push(range.low);
                borders.extend(range.high.checked_add(1));
            }
        }
        borders.retain(|&low| low <= max_value(field.width()));
        borders.sort_unstable();
        borders.dedup();
        borders
    }
}

/// The loads that read a field, from its highest bits on, and the width of each.
fn field_words(field: Field, family: Family) -> Vec<(Load, u32)> {
    field
        .place(family)
        .map_or_else(Vec::new, |Place { base, bit, width }| {
            words(base, bit, width)
        })
}

fn words(base: Base, bit: usize, width: u32) -> Vec<(Load, u32)> {
    if base == Base::Tag {
        let mask = u32::try_from(max_value(width)).ok();
        let load = Load {
            mask,
            ..Load::whole(Source::Tag)
        };
        return vec![(load, width)];
    }
    let mut words = Vec::new();
    let (mut bit, mut left) = (bit, width);
    while left > 0 {
        let part = left.min(32);
        let skipped = u32::try_from(bit % 8).unwrap_or(0);
        let count = match (skipped + part).div_ceil(8) {
            3 => 4,
            count => count,
        };
        let shift = count * 8 - skipped - part;
        let mask = max_value(part) << shift;
        let mask = u32::try_from(mask).ok().filter(|_| part != count * 8);
        let source = bytes(base, bit / 8, count);
        words.push((
            Load {
                source,
                mask,
                shift,
            },
            part,
        ));
        bit += 32;
        left -= part;
    }
    words
}

fn bytes(base: Base, byte: usize, count: u32) -> Source {
    let start = match base {
        Base::Frame => 0,
        Base::Type => ETHERNET_LEN - 2,
        Base::Tag | Base::Network => ETHERNET_LEN,
    };
    let at = u32::try_from(start + byte).unwrap_or(u32::MAX);
    Source::Bytes { at, count }
}
