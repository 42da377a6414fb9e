//! From one frame to the class around it.

use super::{Class, Term, Vocabulary};
use crate::classify::test_holds;
use crate::field::{Family, Field};
use crate::packet::Packet;
use crate::policy::Test;
use crate::set::{PacketSet, Space, SpaceFull};
use crate::values::ValueSet;

/// Fields in the order in which terms about them are given up: what says least comes first.
const GIVEN_UP: [Field; 20] = [
    Field::PayloadSecond,
    Field::PayloadFirst,
    Field::SrcMac,
    Field::DstMac,
    Field::VlanId,
    Field::Ttl,
    Field::Ecn,
    Field::FragmentBits,
    Field::Dscp,
    Field::IcmpCode,
    Field::TcpFlags,
    Field::IcmpType,
    Field::Src6,
    Field::Dst6,
    Field::Src4,
    Field::Dst4,
    Field::Ethertype,
    Field::Sport,
    Field::Dport,
    Field::Protocol,
];

/// The class of `frame` that touches nothing of `whole` that is `outside`, and its frames.
pub(super) fn grow(
    space: &Space,
    [whole, outside]: [&PacketSet; 2],
    vocabulary: &Vocabulary,
    frame: Vec<u8>,
) -> Result<(Class, PacketSet), SpaceFull> {
    let all = terms(vocabulary, Packet::new(&frame));
    let sets: Result<Vec<_>, _> = all.iter().map(|term| set(space, term)).collect();
    let sets = sets?;
    // What the terms behind each one leave.
    let mut behind = vec![space.all()];
    for set in sets.iter().rev() {
        let before = behind.last().cloned().unwrap_or_else(|| space.all());
        behind.push(space.intersection(&before, set)?);
    }
    behind.pop();
    let mut kept: Vec<Term> = Vec::new();
    let mut within = space.all();
    for (term, set) in all.into_iter().zip(&sets) {
        let rest = behind.pop().unwrap_or_else(|| space.all());
        let without = space.intersection(&within, &rest)?;
        if !space.intersection(&without, outside)?.is_empty() {
            within = space.intersection(&within, set)?;
            kept.push(term);
        }
    }
    for at in 0..kept.len() {
        widen(space, [whole, outside], &mut kept, at)?;
    }
    let covered = conjunction(space, &kept, None)?;
    kept.reverse();
    Ok((Class { terms: kept, frame }, covered))
}

/// How every test comes out for a packet, in the order in which they are given up.
fn terms(vocabulary: &Vocabulary, packet: Packet<'_>) -> Vec<Term> {
    let mut absent = Vec::new();
    let mut present = Vec::new();
    for field in GIVEN_UP {
        if !vocabulary.steps.contains_key(&field) {
            continue;
        }
        match packet.read(field) {
            Some(value) => present.push(Term {
                test: Test::Field(field, vocabulary.around(field, value)),
                holds: true,
            }),
            None => absent.push(Term {
                test: Test::Field(field, ValueSet::full(field.width())),
                holds: false,
            }),
        }
    }
    let mut flags = Vec::new();
    flags.extend(vocabulary.tagged.then_some(Test::Tagged));
    flags.extend(vocabulary.fragment.then_some(Test::Fragment));
    let types = vocabulary.payload_types.iter().cloned();
    flags.extend(types.map(Test::RtpPayloadType));
    flags.extend(vocabulary.media.iter().copied().map(Test::Media));
    flags.extend(vocabulary.families.iter().copied().map(Test::Ip));
    let flags = flags.into_iter().map(|test| Term {
        holds: test_holds(&test, packet),
        test,
    });
    let (yes, no): (Vec<_>, Vec<_>) = flags.partition(|term| term.holds);
    absent
        .into_iter()
        .chain(no)
        .chain(present)
        .chain(yes)
        .collect()
}

/// Lets the term at `at` have every value that occurs in `whole` and with which the class stays clear of `outside`.
fn widen(
    space: &Space,
    [whole, outside]: [&PacketSet; 2],
    kept: &mut [Term],
    at: usize,
) -> Result<(), SpaceFull> {
    let Some(Term {
        test: Test::Field(field, values),
        holds: true,
    }) = kept.get(at).cloned()
    else {
        return Ok(());
    };
    let full = ValueSet::full(field.width());
    let has = space.test(&Test::Field(field, full))?;
    let has = space.intersection(&has, whole)?;
    let others = space.intersection(&conjunction(space, kept, Some(at))?, &has)?;
    let bad = space.intersection(&others, outside)?;
    let mut wide = ValueSet::empty();
    let mut never = ValueSet::empty();
    for family in Family::ALL {
        let Some(place) = field.place(family) else {
            continue;
        };
        let mut found = others.clone();
        let mut wrong = bad.clone();
        if field.place(Family::V4) != field.place(Family::V6) {
            let of_family = space.ip(family)?;
            found = space.intersection(&found, &of_family)?;
            wrong = space.intersection(&wrong, &of_family)?;
        }
        let sets = [
            space.values_at(&found, place)?,
            space.values_at(&wrong, place)?,
        ];
        let [Some(found), Some(wrong)] = sets else {
            return Ok(());
        };
        wide = wide.union(&found);
        never = never.union(&wrong);
    }
    wide = wide.minus(&never);
    if let Some(term) = kept.get_mut(at) {
        term.test = Test::Field(field, wide.union(&values));
    }
    Ok(())
}

fn conjunction(
    space: &Space,
    terms: &[Term],
    without: Option<usize>,
) -> Result<PacketSet, SpaceFull> {
    let mut all = space.all();
    for (at, term) in terms.iter().enumerate() {
        if Some(at) != without {
            all = space.intersection(&all, &set(space, term)?)?;
        }
    }
    Ok(all)
}

fn set(space: &Space, term: &Term) -> Result<PacketSet, SpaceFull> {
    let set = space.test(&term.test)?;
    if term.holds {
        Ok(set)
    } else {
        space.complement(&set)
    }
}
