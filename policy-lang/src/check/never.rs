//! Terms that contradict each other: a conjunction that no packet at all fulfils.
//!
//! A frame that fulfils it ends the question; if none is found at once the packet sets answer,
//! exactly. Only where the diagrams outgrow a small space, or the questions a fixed amount of
//! work, is nothing said: a policy made to be hard must not make the check hang.

use super::guess;
use crate::diagnostic::{Code, Diagnostic};
use crate::field::{Field, Layer, Transport};
use crate::policy::{Condition, Test};
use crate::set::{PacketSet, Space};
use crate::source::{SourceFile, Span};
use crate::values::ValueSet;

/// Room for diagrams; a space of this size is made in about a millisecond.
const NODES: usize = 1 << 18;
/// Most diagram nodes made in answering, over the whole policy.
const MOST_WORK: usize = 20 * NODES;
/// Most conditions among which the two that exclude each other are looked for.
const MOST_PAIRED: usize = 64;

/// Finds contradictions. Makes its space when first asked.
#[derive(Default)]
pub(super) struct Prover {
    space: Option<Space>,
    /// Diagram nodes made so far.
    work: usize,
}

impl Prover {
    /// Reports conditions that never hold together, although each does by itself. `spans` are
    /// their places.
    pub(super) fn contradiction(
        &mut self,
        parts: &[Condition],
        spans: &[Span],
        source: &SourceFile,
    ) -> Option<Diagnostic> {
        if parts.len() < 2 || guess::example(parts).is_some() || self.work > MOST_WORK {
            return None;
        }
        let Some(sets) = self.sets(parts) else {
            self.work += NODES;
            return None;
        };
        let space = self.space.as_ref()?;
        let mut all = space.all();
        for set in &sets {
            all = space.intersection(&all, set).ok()?;
            self.work += all.complexity();
        }
        if !all.is_empty() {
            return None;
        }
        Some(
            no_such_header(parts, spans, source)
                .or_else(|| pair(space, &sets, spans, source))
                .unwrap_or_else(|| together(spans)),
        )
    }

    fn sets(&mut self, parts: &[Condition]) -> Option<Vec<PacketSet>> {
        if self.space.is_none() {
            self.space = Space::new(NODES).ok();
        }
        let space = self.space.as_ref()?;
        parts
            .iter()
            .map(|part| space.condition(part).ok())
            .collect()
    }
}

/// A field of a header that the protocol of the packet lacks: `icmp dport 5`.
fn no_such_header(parts: &[Condition], spans: &[Span], source: &SourceFile) -> Option<Diagnostic> {
    for (part, &span) in parts.iter().zip(spans) {
        let Some(transports) = transports_of(part) else {
            continue;
        };
        for (other, &at) in parts.iter().zip(spans) {
            let Some(protocols) = protocols_of(other) else {
                continue;
            };
            if transports
                .iter()
                .any(|t| protocols.contains(t.protocol().into()))
            {
                continue;
            }
            let (field, protocol) = (source.slice(span), source.slice(at));
            let message = format!("`{field}` asks for a header that `{protocol}` excludes");
            let wanted: Vec<_> = transports.iter().map(|t| keyword(*t)).collect();
            return Some(
                Diagnostic::new(Code::NoSuchHeader, message, span)
                    .label(format!("holds only for {}", wanted.join(", ")))
                    .also(at, "fixes another protocol"),
            );
        }
    }
    None
}

fn keyword(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::UdpLite => "udplite",
        Transport::Tcp => "tcp",
        Transport::Sctp => "sctp",
        Transport::Icmp => "icmp",
        Transport::Icmp6 => "icmp6",
    }
}

/// The transports that have the field a test asks for; `None` if it asks for no transport.
fn transports_of(condition: &Condition) -> Option<&'static [Transport]> {
    let Condition::Test { test, .. } = condition else {
        return None;
    };
    let field = match test {
        Test::Field(field, _) => *field,
        Test::EitherPort(_) => Field::Dport,
        Test::Media(_) | Test::RtpPayloadType(_) => Field::PayloadFirst,
        Test::Tagged | Test::Ip(_) | Test::Fragment => return None,
    };
    match field.layer() {
        Layer::Transport(transports) => Some(transports),
        Layer::Payload => Some(&[Transport::Udp]),
        Layer::Ethernet | Layer::Tag | Layer::Ip(_) => None,
    }
}

/// The protocol numbers that a condition allows, if it is about them.
fn protocols_of(condition: &Condition) -> Option<&ValueSet> {
    match condition {
        Condition::Test {
            test: Test::Field(Field::Protocol, set),
            ..
        } => Some(set),
        // `icmp` and `icmp6` also fix the family.
        Condition::All(parts) => parts.iter().find_map(protocols_of),
        _ => None,
    }
}

/// Two of the conditions that already exclude each other.
fn pair(
    space: &Space,
    sets: &[PacketSet],
    spans: &[Span],
    source: &SourceFile,
) -> Option<Diagnostic> {
    for (at, (set, &span)) in sets.iter().zip(spans).enumerate().take(MOST_PAIRED) {
        for (other, &before) in sets.iter().zip(spans).take(at) {
            if space.intersection(set, other).ok()?.is_empty() {
                let (a, b) = (short(source.slice(before)), short(source.slice(span)));
                let message = format!("{a} and {b} never hold together");
                return Some(
                    Diagnostic::new(Code::NeverHolds, message, span)
                        .label("no packet left for this")
                        .also(before, "because of this"),
                );
            }
        }
    }
    None
}

/// The text of a term, if it is short enough for a message.
fn short(text: &str) -> String {
    match text.len() {
        0..=40 if !text.contains(['\n', '#']) => format!("`{text}`"),
        _ => "these terms".to_owned(),
    }
}

fn together(spans: &[Span]) -> Diagnostic {
    let whole = spans.iter().copied().reduce(Span::to).unwrap_or_default();
    Diagnostic::new(Code::NeverHolds, "these terms never hold together", whole)
        .label("no packet fulfils all of them")
}
