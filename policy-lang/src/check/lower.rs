//! Conditions: from terms as written to tests of header fields.

use super::resolve::Meaning;
use super::types::{Kind, Values};
use super::{Checker, constant};
use crate::diagnostic::{Code, Diagnostic};
use crate::field::{ETHERTYPE_ARP, Family, Field as Header, Transport};
use crate::policy::{Condition, Media, Test};
use crate::source::Span;
use crate::syntax::condition_words;
use crate::syntax::suggest::closest;
use crate::syntax::tree::{self, Atom, Conjunction, Factor, Field, Shape, Term, TermKind};
use crate::values::ValueSet;

impl Checker<'_> {
    /// What a condition tests; `None` if anything in it is wrong, which is reported.
    pub(super) fn condition(&mut self, condition: &tree::Condition) -> Option<Condition> {
        let parts = condition
            .alternatives
            .iter()
            .map(|part| self.conjunction(part));
        // All of them are read before any fault counts, so that all faults are reported.
        let parts: Vec<_> = parts.collect();
        join(parts.into_iter().collect::<Option<_>>()?, Condition::Any)
    }

    fn conjunction(&mut self, conjunction: &Conjunction) -> Option<Condition> {
        let parts: Vec<_> = conjunction
            .factors
            .iter()
            .map(|factor| self.factor(factor))
            .collect();
        let parts: Vec<_> = parts.into_iter().collect::<Option<_>>()?;
        if !self.spend(parts.len(), conjunction.span) {
            return None;
        }
        let spans: Vec<_> = conjunction
            .factors
            .iter()
            .map(|factor| factor.span)
            .collect();
        if let Some(found) = self.never.contradiction(&parts, &spans, self.source) {
            self.sink.push(found);
            return None;
        }
        join(parts, Condition::All)
    }

    fn factor(&mut self, factor: &Factor) -> Option<Condition> {
        let condition = match &factor.atom {
            Atom::Group { condition, .. } => self.condition(condition),
            Atom::Term(term) => self.term(term),
        }?;
        Some(match factor.negations % 2 {
            0 => condition,
            _ => Condition::Not(Box::new(condition)),
        })
    }

    fn term(&mut self, term: &Term) -> Option<Condition> {
        match &term.kind {
            TermKind::Shape(shape) => Some(shape_condition(*shape, term.span)),
            TermKind::Field { field, set, .. } => {
                let values = self.values(set, Kind::of(*field), None)?;
                Some(field_condition(*field, values, term.span))
            }
            TermKind::Name(text) => self.named(text, term.span),
        }
    }

    fn named(&mut self, text: &str, span: Span) -> Option<Condition> {
        self.mark_used(text);
        match self
            .names
            .get(text)
            .map(|entry| (&entry.meaning, entry.name.span))
        {
            Some((Meaning::Condition { condition, size }, _)) => {
                let (condition, size) = (condition, *size);
                // Cloned only once it is paid for.
                let affordable = self.spent.saturating_add(size) <= super::MAX_EXPANSION;
                let condition = affordable.then(|| condition.clone());
                self.spend(size, span);
                return condition;
            }
            Some((Meaning::Unknown, _)) => {}
            Some((Meaning::Set(..), at)) => {
                let message = format!("`{text}` is a set, not a condition");
                self.sink.push(
                    Diagnostic::new(Code::NotACondition, message, span)
                        .label("which field has these values?")
                        .also(at, "defined here")
                        .help(format!("write for instance `dport {text}` or `src {text}`")),
                );
            }
            None if self.broken_names.contains(text) => {}
            None => {
                let found = self.unknown_term(text, span);
                self.sink.push(found);
            }
        }
        None
    }

    fn unknown_term(&self, text: &str, span: Span) -> Diagnostic {
        if let Some(kind) = constant::kind_of(text) {
            let field = match kind {
                Kind::Protocol => "proto",
                Kind::Dscp => "dscp",
                Kind::Ecn => "ecn",
                _ => "flags",
            };
            let message = format!("`{text}` is a value, not a condition");
            let meant = format!("{field} {text}");
            return Diagnostic::new(Code::NotACondition, message, span).fix(
                format!("write `{meant}`"),
                span,
                meant,
            );
        }
        let message = format!("unknown name `{text}`");
        let found = Diagnostic::new(Code::UnknownName, message, span)
            .label("neither a term nor the name of a condition");
        match closest(
            text,
            self.names_to_suggest()
                .chain(condition_words().map(|word| -> &str { word })),
        ) {
            Some(meant) => found.fix(format!("write `{meant}`"), span, meant),
            None => found.help(format!("define it: `let {text} = ...;`")),
        }
    }
}

/// Several conditions as one.
fn join(mut parts: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Option<Condition> {
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(many(parts)),
    }
}

fn shape_condition(shape: Shape, span: Span) -> Condition {
    let test = |test| Condition::Test { test, span };
    let protocol = |transport| Test::protocol_condition(transport, span);
    match shape {
        Shape::Arp => test(Test::Field(
            Header::Ethertype,
            ValueSet::single(ETHERTYPE_ARP.into()),
        )),
        Shape::Vlan => test(Test::Tagged),
        Shape::Untagged => Condition::Not(Box::new(test(Test::Tagged))),
        Shape::Ip => test(Test::Ip(Family::V4)),
        Shape::Ip6 => test(Test::Ip(Family::V6)),
        Shape::Tcp => protocol(Transport::Tcp),
        Shape::Udp => protocol(Transport::Udp),
        Shape::UdpLite => protocol(Transport::UdpLite),
        Shape::Sctp => protocol(Transport::Sctp),
        Shape::Icmp => protocol(Transport::Icmp),
        Shape::Icmp6 => protocol(Transport::Icmp6),
        Shape::Fragment => test(Test::Fragment),
        Shape::Rtp => test(Test::Media(Media::Rtp)),
        Shape::Rtcp => test(Test::Media(Media::Rtcp)),
        Shape::Stun => test(Test::Media(Media::Stun)),
        Shape::Dtls => test(Test::Media(Media::Dtls)),
        Shape::Zrtp => test(Test::Media(Media::Zrtp)),
        Shape::Turn => test(Test::Media(Media::Turn)),
    }
}

fn field_condition(field: Field, values: Values, span: Span) -> Condition {
    let Values { plain, v6 } = values;
    let set = ValueSet::from_ranges(plain);
    let test = |test| Condition::Test { test, span };
    let one = |header| test(Test::Field(header, set.clone()));
    match field {
        Field::Ethertype => one(Header::Ethertype),
        Field::SrcMac => one(Header::SrcMac),
        Field::DstMac => one(Header::DstMac),
        Field::Vlan => one(Header::VlanId),
        Field::Proto => one(Header::Protocol),
        Field::Src => address(
            Header::Src4,
            Header::Src6,
            set,
            ValueSet::from_ranges(v6),
            span,
        ),
        Field::Dst => address(
            Header::Dst4,
            Header::Dst6,
            set,
            ValueSet::from_ranges(v6),
            span,
        ),
        Field::Dscp => one(Header::Dscp),
        Field::Ecn => one(Header::Ecn),
        Field::Ttl => one(Header::Ttl),
        Field::Sport => one(Header::Sport),
        Field::Dport => one(Header::Dport),
        Field::Port => test(Test::EitherPort(set)),
        Field::Flags => one(Header::TcpFlags),
        Field::Type => one(Header::IcmpType),
        Field::Code => one(Header::IcmpCode),
        Field::RtpPt => test(Test::RtpPayloadType(set)),
    }
}

/// Each family's side of the set for its own packets.
fn address(v4: Header, v6: Header, set4: ValueSet, set6: ValueSet, span: Span) -> Condition {
    let sides = [(v4, set4), (v6, set6)]
        .into_iter()
        .filter(|(_, set)| !set.is_empty());
    let mut tests: Vec<_> = sides
        .map(|(field, set)| Condition::Test {
            test: Test::Field(field, set),
            span,
        })
        .collect();
    match tests.len() {
        1 => tests.pop().unwrap_or(Condition::Any(Vec::new())),
        _ => Condition::Any(tests),
    }
}
