//! A checked policy: rules over packet fields, with every name resolved.
//!
//! This is what a policy text means once it has been parsed and checked. The rest of the program
//! knows policies only in this form; [`crate::classify`] says what they do.

use std::time::Duration;

use crate::field::{Family, Field, Transport};
use crate::source::Span;
use crate::values::{Range, ValueSet};

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Held until the epoch that produced it is committed.
    Buffer,
    /// Passes at once.
    Bypass,
}

impl Verdict {
    /// The keyword of the language.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Buffer => "buffer",
            Self::Bypass => "bypass",
        }
    }
}

/// A checked policy. The first rule whose condition holds decides; with none, `default` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The rules in the order of the text.
    pub rules: Vec<Rule>,
    /// The verdict of a packet that no rule matches; [`Verdict::Buffer`] unless the text says else.
    pub default: Verdict,
    /// Where the text states the default, if it does.
    pub default_span: Option<Span>,
    /// Claims to be proved for every packet.
    pub expectations: Vec<Expectation>,
    /// Settings of the gate.
    pub gate: Gate,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What the rule decides.
    pub verdict: Verdict,
    /// Which packets it decides.
    pub condition: Condition,
    /// The operator's reason, `because "..."`.
    pub because: Option<String>,
    /// The whole rule in the text, without the semicolon.
    pub span: Span,
}

/// `expect VERDICT CONDITION`: every packet of the condition has the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// The claimed verdict.
    pub verdict: Verdict,
    /// The packets it is claimed for.
    pub condition: Condition,
    /// The whole statement in the text.
    pub span: Span,
}

/// What the gate does when its byte limit is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Drop the newest packet and count it: nothing uncommitted ever leaves.
    #[default]
    Drop,
    /// Open the gate, which breaks the law of output commit; only on the operator's word.
    Release,
}

/// Settings of the gate, `gate { ... }`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gate {
    /// Time from one checkpoint to the next, if stated.
    pub interval: Option<Duration>,
    /// Most bytes held at a time, if stated.
    pub limit: Option<u64>,
    /// What happens at the limit.
    pub on_overflow: Overflow,
}

/// A condition on a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Holds for every frame: a rule without a condition.
    Always,
    /// A single test.
    Test {
        /// What is tested.
        test: Test,
        /// The term in the text.
        span: Span,
    },
    /// Holds where the inner condition does not.
    Not(Box<Self>),
    /// Holds where all of the conditions hold.
    All(Vec<Self>),
    /// Holds where at least one of the conditions holds.
    Any(Vec<Self>),
}

impl Condition {
    /// All of its tests with their places, in the order of the text, whatever joins them.
    pub fn tests(&self) -> impl Iterator<Item = (&Test, Span)> {
        let mut waiting = vec![self];
        std::iter::from_fn(move || {
            loop {
                match waiting.pop()? {
                    Self::Always => {}
                    Self::Test { test, span } => return Some((test, *span)),
                    Self::Not(inner) => waiting.push(inner),
                    Self::All(parts) | Self::Any(parts) => waiting.extend(parts.iter().rev()),
                }
            }
        })
    }
}

/// A single test of a packet. A test about a header that is not there is false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// The frame has one transparent 802.1Q tag.
    Tagged,
    /// The frame has an IP header of this family.
    Ip(Family),
    /// An IPv4 fragment (offset or more-fragments), or IPv6 with a fragment header next.
    Fragment,
    /// The field is there and its value is in the set.
    Field(Field, ValueSet),
    /// The source or the destination port is there and in the set.
    EitherPort(ValueSet),
    /// The payload of a plain UDP packet looks like this protocol.
    Media(Media),
    /// The payload looks like RTP and its payload type is in the set.
    RtpPayloadType(ValueSet),
}

impl Test {
    /// The test for a protocol keyword: the IP header names this protocol, in the families that
    /// the transport runs over. Says nothing about the transport header being there.
    #[must_use]
    pub fn protocol_condition(transport: Transport, span: Span) -> Condition {
        let named = Condition::Test {
            test: Self::Field(
                Field::Protocol,
                ValueSet::single(u128::from(transport.protocol())),
            ),
            span,
        };
        let families: Vec<Family> = Family::ALL
            .into_iter()
            .filter(|&f| transport.runs_over(f))
            .collect();
        match families.as_slice() {
            [only] => Condition::All(vec![
                Condition::Test {
                    test: Self::Ip(*only),
                    span,
                },
                named,
            ]),
            _ => named,
        }
    }
}

/// Protocols told apart by the first bytes of a UDP payload (RFC 7983 section 7, RFC 5761).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Media {
    /// RTP, RFC 3550 section 5.1.
    Rtp,
    /// RTCP, RFC 3550 section 6.4.
    Rtcp,
    /// STUN, RFC 8489 section 5.
    Stun,
    /// DTLS, RFC 9147 section 4: the DTLS 1.2 record header.
    Dtls,
    /// ZRTP, RFC 6189 section 5.
    Zrtp,
    /// TURN channel data, RFC 8656 section 12.4.
    Turn,
}

impl Media {
    /// All media protocols, in the order of the language reference.
    pub const ALL: [Self; 6] = [
        Self::Rtp,
        Self::Rtcp,
        Self::Stun,
        Self::Dtls,
        Self::Zrtp,
        Self::Turn,
    ];

    /// The keyword of the language.
    #[must_use]
    pub const fn keyword(self) -> &'static str {
        match self {
            Self::Rtp => "rtp",
            Self::Rtcp => "rtcp",
            Self::Stun => "stun",
            Self::Dtls => "dtls",
            Self::Zrtp => "zrtp",
            Self::Turn => "turn",
        }
    }

    /// Bytes of the fixed header that must be in the frame behind the UDP header.
    #[must_use]
    pub const fn header_len(self) -> usize {
        match self {
            Self::Rtp | Self::Zrtp => 12,
            Self::Rtcp => 8,
            Self::Stun => 20,
            Self::Dtls => 13,
            Self::Turn => 4,
        }
    }

    /// Values of the first payload byte.
    #[must_use]
    pub fn first_byte(self) -> ValueSet {
        match self {
            Self::Rtp | Self::Rtcp => ValueSet::range(128, 191),
            Self::Stun => ValueSet::range(0, 3),
            Self::Dtls => ValueSet::range(20, 63),
            Self::Zrtp => ValueSet::range(16, 19),
            Self::Turn => ValueSet::range(64, 79),
        }
    }

    /// Values of the second payload byte: RTCP packet types are 192 to 223, RTP is the rest.
    #[must_use]
    pub fn second_byte(self) -> ValueSet {
        match self {
            Self::Rtp => ValueSet::range(192, 223).complement(8),
            Self::Rtcp => ValueSet::range(192, 223),
            Self::Stun | Self::Dtls | Self::Zrtp | Self::Turn => ValueSet::full(8),
        }
    }
}

/// Second payload bytes of RTP packets whose 7-bit payload type is in `types`, marker bit or not.
#[must_use]
pub fn rtp_second_byte(types: &ValueSet) -> ValueSet {
    let types = types.intersection(&ValueSet::full(7));
    let marked = types
        .ranges()
        .iter()
        .map(|r| Range::new(r.low + 128, r.high + 128));
    ValueSet::from_ranges(types.ranges().iter().copied().chain(marked))
        .intersection(&Media::Rtp.second_byte())
}
