//! Which values a field takes, and sets of them.
//!
//! A set has no type of its own: `{ 5060 }` is ports behind `dport` and protocols behind `proto`.
//! So a named set is read again for each kind of field that it is used for.

use super::literal::{self, Literal};
use super::resolve::Meaning;
use super::{Checker, MAX_EXPANSION, constant};
use crate::diagnostic::{Code, Diagnostic};
use crate::field::{Family, Field as Header};
use crate::source::Span;
use crate::syntax::suggest::closest;
use crate::syntax::tree::{Element, Field, Set, Value, ValueKind};
use crate::values::{Range, max_value};

/// A kind of field, as far as values go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Mac,
    Vlan,
    Ethertype,
    Protocol,
    Address,
    Dscp,
    Ecn,
    Ttl,
    Port,
    TcpFlags,
    IcmpType,
    IcmpCode,
    PayloadType,
}

impl Kind {
    pub(super) fn of(field: Field) -> Self {
        match field {
            Field::SrcMac | Field::DstMac => Self::Mac,
            Field::Vlan => Self::Vlan,
            Field::Ethertype => Self::Ethertype,
            Field::Proto => Self::Protocol,
            Field::Src | Field::Dst => Self::Address,
            Field::Dscp => Self::Dscp,
            Field::Ecn => Self::Ecn,
            Field::Ttl => Self::Ttl,
            Field::Sport | Field::Dport | Field::Port => Self::Port,
            Field::Flags => Self::TcpFlags,
            Field::Type => Self::IcmpType,
            Field::Code => Self::IcmpCode,
            Field::RtpPt => Self::PayloadType,
        }
    }

    /// One value of it, with article.
    fn noun(self) -> &'static str {
        match self {
            Self::Mac => "a MAC address",
            Self::Vlan => "a VLAN ID",
            Self::Ethertype => "an ethertype",
            Self::Protocol => "a protocol",
            Self::Address => "an address or prefix",
            Self::Dscp => "a DSCP code point",
            Self::Ecn => "an ECN code point",
            Self::Ttl => "a time to live",
            Self::Port => "a port",
            Self::TcpFlags => "TCP flags",
            Self::IcmpType => "an ICMP type",
            Self::IcmpCode => "an ICMP code",
            Self::PayloadType => "an RTP payload type",
        }
    }

    /// The largest value, from the width of the header field. RTP's payload type is 7 bits of the
    /// second payload byte (RFC 3550 section 5.1), the eighth being the marker.
    pub(super) fn max(self) -> u128 {
        let field = match self {
            Self::Mac => Header::SrcMac,
            Self::Vlan => Header::VlanId,
            Self::Ethertype => Header::Ethertype,
            Self::Protocol => Header::Protocol,
            Self::Address => Header::Src6,
            Self::Dscp => Header::Dscp,
            Self::Ecn => Header::Ecn,
            Self::Ttl => Header::Ttl,
            Self::Port => Header::Dport,
            Self::TcpFlags => Header::TcpFlags,
            Self::IcmpType => Header::IcmpType,
            Self::IcmpCode => Header::IcmpCode,
            Self::PayloadType => return max_value(Header::PayloadSecond.width() - 1),
        };
        max_value(field.width())
    }
}

/// The values of a set for one kind of field.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    /// Values of the field; of addresses, the IPv4 ones.
    pub(super) plain: Vec<Range>,
    /// IPv6 addresses.
    pub(super) v6: Vec<Range>,
}

impl Values {
    fn side(&mut self, family: Family) -> &mut Vec<Range> {
        match family {
            Family::V4 => &mut self.plain,
            Family::V6 => &mut self.v6,
        }
    }

    fn len(&self) -> usize {
        self.plain.len() + self.v6.len()
    }
}

impl<'a> Checker<'a> {
    /// Reads a set as values of a kind; `None` if anything in it is wrong, which is reported.
    /// `used` is where a named set is used, if it is one.
    pub(super) fn values(&mut self, set: &Set, kind: Kind, used: Option<Span>) -> Option<Values> {
        match set {
            Set::Braces { span, items, .. } => {
                if items.is_empty() {
                    self.sink.push(
                        Diagnostic::new(Code::EmptySet, "empty set", *span)
                            .label("holds no value, so the term never holds"),
                    );
                    return None;
                }
                let mut all = Some(Values::default());
                for item in items {
                    let part = self.values(&item.set, kind, used);
                    all = all.zip(part).map(|(mut all, part)| {
                        all.plain.extend(part.plain);
                        all.v6.extend(part.v6);
                        all
                    });
                }
                all
            }
            Set::Element(Element::Value(value)) if value.kind == ValueKind::Word => {
                self.word(value, kind, used)
            }
            Set::Element(element) => {
                let (family, range) = match element {
                    Element::Value(value) => self.single(value, kind, used)?,
                    Element::Range(low, high) => self.range(low, high, kind, used)?,
                };
                let mut values = Values::default();
                values.side(family).push(range);
                self.spend(1, element.span()).then_some(values)
            }
        }
    }

    /// A word in a set: a named value or the name of a set.
    fn word(&mut self, value: &Value, kind: Kind, used: Option<Span>) -> Option<Values> {
        let text = value.text.as_str();
        if let Some(number) = constant::value(kind, text) {
            return Some(Values {
                plain: vec![Range::new(number, number)],
                v6: Vec::new(),
            });
        }
        if self.broken_names.contains(text) {
            return None;
        }
        let Some((name, entry)) = self.names.get_key_value(text) else {
            let found = self.unknown_value(value, kind);
            self.sink.push(seen_from(found, used, kind));
            return None;
        };
        let (name, at) = (*name, entry.name.span);
        if let Some(known) = self.typed.get(&(name, kind)) {
            let size = known.as_ref().map_or(0, Values::len);
            let affordable = self.spent.saturating_add(size) <= MAX_EXPANSION;
            let known = known.as_ref().filter(|_| affordable).cloned();
            self.spend(size, value.span);
            return known;
        }
        let set = match &entry.meaning {
            Meaning::Set(set, _) => set.clone(),
            Meaning::Condition { .. } => {
                let message = format!("`{text}` is a condition, not {}", kind.noun());
                let found =
                    Diagnostic::new(Code::NotASet, message, value.span).also(at, "defined here");
                self.mark_used(name);
                self.sink.push(match kind {
                    Kind::Vlan => found.help(format!(
                        "for tagged packets that fulfil it write `vlan and {text}`"
                    )),
                    _ => found,
                });
                return None;
            }
            Meaning::Unknown => {
                self.mark_used(name);
                return None;
            }
        };
        self.mark_used(name);
        let values = self.values(&set, kind, used.or(Some(value.span)));
        self.typed.insert((name, kind), values.clone());
        values
    }

    /// Reports a word that is no value of the kind and no name.
    fn unknown_value(&self, value: &Value, kind: Kind) -> Diagnostic {
        let text = value.text.as_str();
        let shape = crate::syntax::is_reserved(text);
        if shape || constant::kind_of(text).is_some() {
            return wrong_kind(value, kind);
        }
        let constants = constant::of(kind).iter().map(|(name, _)| *name);
        let names = self.names_to_suggest();
        let message = format!("unknown name `{text}`");
        let found = Diagnostic::new(Code::UnknownName, message, value.span)
            .label(format!("neither {} nor the name of a set", kind.noun()));
        match closest(text, names.chain(constants)) {
            Some(meant) => found.fix(format!("write `{meant}`"), value.span, meant),
            None if kind == Kind::Port => found.help("ports are written as numbers"),
            None => found.help(format!("define it: `let {text} = {{ ... }};`")),
        }
    }

    /// A value by itself. IPv4 is also the family of what has none.
    fn single(&mut self, value: &Value, kind: Kind, used: Option<Span>) -> Option<(Family, Range)> {
        let read = match literal::read(value) {
            Ok(Literal::Word) => flags(value, kind),
            Ok(literal) => fit(value, literal, kind),
            Err(found) => Err(found),
        };
        match read {
            Ok(read) => Some(read),
            Err(found) => {
                self.sink.push(seen_from(found, used, kind));
                None
            }
        }
    }

    fn range(
        &mut self,
        low: &Value,
        high: &Value,
        kind: Kind,
        used: Option<Span>,
    ) -> Option<(Family, Range)> {
        let ends = self
            .single(low, kind, used)
            .zip(self.single(high, kind, used));
        let ((family, start), (other, stop)) = ends?;
        let span = low.span.to(high.span);
        let text = |value: &Value| value.text.clone();
        let found = if let Some(end) = [low, high].into_iter().find(|end| end.text.contains('/')) {
            let message = format!("prefix `{}` as an end of a range", end.text);
            Diagnostic::new(Code::WrongKind, message, end.span)
                .label("a range goes from one address to another")
                .help("write the prefixes one by one, in braces")
        } else if family != other {
            let message = "range from one address family to the other";
            Diagnostic::new(Code::MixedFamilies, message, span)
                .label("IPv4 and IPv6 addresses have no common order")
                .help(format!(
                    "write `{{ {}, {} }}` for the two addresses",
                    text(low),
                    text(high)
                ))
        } else if start.low > stop.high {
            let swapped = format!("{}-{}", text(high), text(low));
            Diagnostic::new(Code::ReversedRange, "reversed range", span)
                .label("the low end is above the high end")
                .fix(format!("write `{swapped}`"), span, swapped)
        } else {
            return Some((family, Range::new(start.low, stop.high)));
        };
        self.sink.push(seen_from(found, used, kind));
        None
    }

    /// Reports what is wrong with the values of a set whatever they are used for.
    pub(super) fn check_spelling(&mut self, set: &Set) {
        match set {
            Set::Braces { items, .. } => items.iter().for_each(|i| self.check_spelling(&i.set)),
            Set::Element(Element::Value(value)) => {
                literal::read(value)
                    .err()
                    .into_iter()
                    .for_each(|found| self.sink.push(found));
            }
            Set::Element(Element::Range(low, high)) => {
                for end in [low, high] {
                    literal::read(end)
                        .err()
                        .into_iter()
                        .for_each(|found| self.sink.push(found));
                }
            }
        }
    }
}

/// Whether a literal is a value of the kind.
fn fit(value: &Value, literal: Literal, kind: Kind) -> Result<(Family, Range), Diagnostic> {
    match (literal, kind) {
        (
            Literal::Address {
                family, low, high, ..
            },
            Kind::Address,
        ) => Ok((family, Range::new(low, high))),
        (Literal::Mac(address), Kind::Mac) => Ok((Family::V4, Range::new(address, address))),
        (Literal::Number(_), Kind::Address | Kind::Mac) => Err(wrong_kind(value, kind)),
        (Literal::Number(number), _) if number > kind.max() => {
            let message = format!("`{}` is too large for {}", value.text, kind.noun());
            Err(Diagnostic::new(Code::TooLarge, message, value.span)
                .label(format!("the largest value is {}", kind.max())))
        }
        (Literal::Number(number), _) => Ok((Family::V4, Range::new(number, number))),
        _ => Err(wrong_kind(value, kind)),
    }
}

/// TCP flags joined by `+`: the flags byte has these bits and no others.
fn flags(value: &Value, kind: Kind) -> Result<(Family, Range), Diagnostic> {
    if kind != Kind::TcpFlags {
        return Err(wrong_kind(value, kind));
    }
    let mut byte = 0;
    for word in value.text.split('+') {
        let bit = constant::value(kind, word).ok_or_else(|| {
            let names = constant::of(kind).iter().map(|(name, _)| *name);
            let message = format!("`{word}` is not a TCP flag");
            let found = Diagnostic::new(Code::BadLiteral, message, value.span);
            match closest(word, names) {
                Some(meant) => {
                    let mended = value.text.replace(word, meant);
                    found.fix(format!("write `{mended}`"), value.span, mended)
                }
                None => found.help("the flags are fin, syn, rst, psh, ack, urg, ece and cwr"),
            }
        })?;
        if byte & bit != 0 {
            let message = format!("flag `{word}` given twice");
            return Err(Diagnostic::new(Code::BadLiteral, message, value.span));
        }
        byte |= bit;
    }
    Ok((Family::V4, Range::new(byte, byte)))
}

fn wrong_kind(value: &Value, kind: Kind) -> Diagnostic {
    let (what, help) = match value.kind {
        ValueKind::Number => (
            "the number",
            "numbers go with fields such as `dport` or `proto`",
        ),
        ValueKind::Ipv4 | ValueKind::Ipv6 if value.text.contains('/') => {
            ("the prefix", "prefixes go with `src` and `dst`")
        }
        ValueKind::Ipv4 | ValueKind::Ipv6 => ("the address", "addresses go with `src` and `dst`"),
        ValueKind::Mac => (
            "the MAC address",
            "MAC addresses go with `src mac` and `dst mac`",
        ),
        ValueKind::Word | ValueKind::Flags => match constant::kind_of(&value.text) {
            Some(Kind::Protocol) => ("the protocol", "protocol names go with `proto`"),
            Some(Kind::Dscp) => ("the code point", "names of code points go with `dscp`"),
            Some(Kind::Ecn) => ("the code point", "names of ECN code points go with `ecn`"),
            _ => ("", "names of TCP flags go with `flags`"),
        },
    };
    let space = if what.is_empty() { "" } else { " " };
    let message = format!(
        "expected {}, found {what}{space}`{}`",
        kind.noun(),
        value.text
    );
    Diagnostic::new(Code::WrongKind, message, value.span)
        .label(format!("not {}", kind.noun()))
        .help(help)
}

/// Says where a named set is used, since its values are only wrong there.
fn seen_from(found: Diagnostic, used: Option<Span>, kind: Kind) -> Diagnostic {
    match used {
        Some(span) => found.also(span, format!("used as {} here", kind.noun())),
        None => found,
    }
}
