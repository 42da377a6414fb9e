//! Sets as they are written, joined to one as a person would write it.
//!
//! Names and words stay as they are. Numbers and addresses that touch or overlap become one range or
//! prefix; what does neither keeps its spelling and its order.

use super::literal::{self, Literal};
use crate::field::Family;
use crate::source::Span;
use crate::syntax::tree::{Comments, Element, Field, Item, Set, Value, ValueKind};
use crate::values::{Range, ValueSet};

/// A set with the values of all of these, for a term about `field`. Comments inside of the sets are
/// lost: join sets that have none.
pub fn joined<'a>(sets: impl IntoIterator<Item = &'a Set>, field: Field) -> Set {
    let mut elements = Vec::new();
    sets.into_iter().for_each(|set| flatten(set, &mut elements));
    let mut kept: Vec<Element> = Vec::new();
    for kind in [
        ValueKind::Number,
        ValueKind::Mac,
        ValueKind::Ipv4,
        ValueKind::Ipv6,
    ] {
        let is_kind = |element: &Element| range_of(element).is_some_and(|(k, _)| k == kind);
        let (of_kind, others): (Vec<_>, Vec<_>) = elements.into_iter().partition(is_kind);
        elements = others;
        kept.extend(merged(&of_kind, kind, field));
    }
    for word in elements {
        if !kept.iter().any(|known| text(known) == text(&word)) {
            kept.push(word);
        }
    }
    match <[Element; 1]>::try_from(kept) {
        Ok([only]) => Set::Element(only),
        Err(several) => Set::Braces {
            span: Span::default(),
            items: several
                .into_iter()
                .map(|element| Item {
                    comments: Comments::default(),
                    set: Set::Element(element),
                })
                .collect(),
            end: Vec::new(),
        },
    }
}

fn flatten(set: &Set, into: &mut Vec<Element>) {
    match set {
        Set::Braces { items, .. } => items.iter().for_each(|item| flatten(&item.set, into)),
        Set::Element(element) => into.push(element.clone()),
    }
}

fn text(element: &Element) -> String {
    match element {
        Element::Value(value) => value.text.clone(),
        Element::Range(low, high) => format!("{}-{}", low.text, high.text),
    }
}

/// Which values an element has, if they are spelt as numbers or addresses.
fn range_of(element: &Element) -> Option<(ValueKind, Range)> {
    let ends = |value: &Value| match literal::read(value).ok()? {
        Literal::Number(number) | Literal::Mac(number) => Some((number, number)),
        Literal::Address { low, high, .. } => Some((low, high)),
        Literal::Word => None,
    };
    match element {
        Element::Value(value) => {
            let (low, high) = ends(value)?;
            Some((value.kind, Range::new(low, high)))
        }
        Element::Range(low, high) if low.kind == high.kind => {
            Some((low.kind, Range::new(ends(low)?.0, ends(high)?.1)))
        }
        Element::Range(..) => None,
    }
}

/// Elements of one kind, those that touch joined. Addresses are joined only to prefixes: a range that
/// is none reads worse than the prefixes it was made of.
fn merged(elements: &[Element], kind: ValueKind, field: Field) -> Vec<Element> {
    let ranges: Vec<Range> = elements
        .iter()
        .filter_map(|element| Some(range_of(element)?.1))
        .collect();
    let joined = ValueSet::from_ranges(ranges.iter().copied());
    let mut kept: Vec<(Range, Element)> = Vec::new();
    for range in joined.ranges() {
        let parts: Vec<_> = ranges
            .iter()
            .zip(elements)
            .filter(|(part, _)| range.contains(part.low))
            .collect();
        let spelt = match parts.as_slice() {
            [(_, only)] => Some((*only).clone()),
            _ => spell(*range, kind, field),
        };
        match spelt {
            Some(element) => kept.push((*range, element)),
            // Not one prefix: those that lie in others go, at least.
            None => {
                for (at, (part, element)) in parts.iter().enumerate() {
                    let within = |(other, (whole, _)): (usize, &(&Range, &Element))| {
                        let covers = whole.low <= part.low && part.high <= whole.high;
                        covers && (**whole != **part || other < at)
                    };
                    let inside = parts
                        .iter()
                        .enumerate()
                        .filter(|(other, _)| *other != at)
                        .any(within);
                    if !inside {
                        kept.push((**part, (*element).clone()));
                    }
                }
            }
        }
    }
    // In the order of the text, as far as the elements still stand in it.
    let place = |range: &Range| ranges.iter().position(|part| range.contains(part.low));
    kept.sort_by_key(|(range, _)| place(range));
    kept.into_iter().map(|(_, element)| element).collect()
}

fn spell(range: Range, kind: ValueKind, field: Field) -> Option<Element> {
    let value = |text: String| Value {
        span: Span::default(),
        kind,
        text,
    };
    let family = match kind {
        ValueKind::Ipv4 => Family::V4,
        ValueKind::Ipv6 => Family::V6,
        _ => {
            let spelt = |number: u128| match (kind, field) {
                (ValueKind::Mac, _) => mac(number),
                (_, Field::Ethertype) => format!("0x{number:04x}"),
                (_, Field::Flags) => format!("0x{number:02x}"),
                _ => number.to_string(),
            };
            let low = value(spelt(range.low));
            return Some(if range.low == range.high {
                Element::Value(low)
            } else {
                Element::Range(low, value(spelt(range.high)))
            });
        }
    };
    let width = match family {
        Family::V4 => 32,
        Family::V6 => 128_u32,
    };
    let size = (range.high - range.low).checked_add(1);
    let bits = size.map_or(128, u128::trailing_zeros);
    let aligned = size.is_none_or(|size| size.is_power_of_two() && range.low.is_multiple_of(size));
    let address = literal::spell(range.low, family);
    let length = width.checked_sub(bits)?;
    aligned.then(|| {
        Element::Value(value(if length == width {
            address
        } else {
            format!("{address}/{length}")
        }))
    })
}

fn mac(number: u128) -> String {
    let bytes = number.to_be_bytes();
    let pairs: Vec<String> = bytes.iter().skip(10).map(|b| format!("{b:02x}")).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::SourceFile;
    use crate::syntax::tree::{Atom, StatementKind, TermKind};
    use crate::syntax::{factor_text, parse};

    /// The joined set of the first terms of two conditions, as text.
    fn join(first: &str, second: &str) -> String {
        let factor = |text: &str| {
            let source = SourceFile::new("case", format!("buffer {text};"));
            let (mut tree, errors) = parse(&source);
            assert!(errors.is_empty(), "{errors:?}");
            match tree.statements.remove(0).kind {
                StatementKind::Rule(rule) => rule
                    .condition
                    .unwrap()
                    .alternatives
                    .remove(0)
                    .factors
                    .remove(0),
                other => panic!("{other:?}"),
            }
        };
        let (mut one, two) = (factor(first), factor(second));
        let (Atom::Term(into), Atom::Term(from)) = (&mut one.atom, &two.atom) else {
            panic!("terms");
        };
        let (TermKind::Field { set, field, .. }, TermKind::Field { set: other, .. }) =
            (&mut into.kind, &from.kind)
        else {
            panic!("fields");
        };
        *set = joined([&*set, other], *field);
        factor_text(&one).unwrap()
    }

    #[test]
    fn sets_are_joined_as_people_write_them() {
        for (first, second, wanted) in [
            ("sport 5004", "sport 5006", "sport { 5004, 5006 }"),
            ("sport 5004", "sport 5005", "sport 5004-5005"),
            (
                "sport 5006",
                "sport { 5004, media }",
                "sport { 5006, 5004, media }",
            ),
            ("sport media", "sport media", "sport media"),
            ("sport 1-9", "sport { 4, 20 }", "sport { 1-9, 20 }"),
            (
                "ethertype 0x88cc",
                "ethertype 0x88cb",
                "ethertype 0x88cb-0x88cc",
            ),
            ("src 10.0.0.0/24", "src 10.0.1.0/24", "src 10.0.0.0/23"),
            (
                "src 10.0.1.0/24",
                "src 10.0.2.0/24",
                "src { 10.0.1.0/24, 10.0.2.0/24 }",
            ),
            (
                "src 10.0.0.0/8",
                "src { 10.1.0.1, ::1 }",
                "src { 10.0.0.0/8, ::1 }",
            ),
            ("dscp ef", "dscp { 46, af11 }", "dscp { 46, ef, af11 }"),
            (
                "src mac 00:16:3e:00:00:01",
                "src mac 00:16:3e:00:00:02",
                "src mac 00:16:3e:00:00:01-00:16:3e:00:00:02",
            ),
        ] {
            assert_eq!(join(first, second), wanted);
        }
    }
}
