//! The frames that stand for simulated traffic, and what a policy says of them.
//!
//! Directions are those of the rules: what the guest sends. A server's own media port is therefore
//! the source port, and the phone's is the destination.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use policy_lang::source::SourceFile;
use policy_lang::{Decision, Policy, Reason, Verdict, classify};
use qdisc_model::packet;
use qdisc_model::simulate::{Calls, Verdicts};
use serde::Serialize;

use crate::frame_text;

/// Who talks to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The guest.
    pub guest: IpAddr,
    /// The other end, of the same family.
    pub phone: IpAddr,
    /// The guest's port of RTP.
    pub media_port: u16,
    /// The phone's port of RTP.
    pub phone_port: u16,
    /// Both ends' port of SIP.
    pub sip_port: u16,
    /// The guest's port of bulk TCP.
    pub bulk_port: u16,
}

impl Traffic {
    /// The first port of FreeSWITCH's media range 16384-32768, a phone outside of it, SIP on 5060
    /// and a download over HTTPS. The addresses are private and for documentation (RFC 5737).
    pub const USUAL: Self = Self {
        guest: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
        phone: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9)),
        media_port: 16384,
        phone_port: 40000,
        sip_port: 5060,
        bulk_port: 443,
    };
}

/// A kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// RTP of a call.
    Media,
    /// SIP over UDP.
    Signalling,
    /// Bulk TCP.
    Bulk,
}

impl Kind {
    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Media => "RTP",
            Self::Signalling => "SIP",
            Self::Bulk => "bulk TCP",
        }
    }
}

/// What a policy says of a kind of traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The kind.
    pub kind: Kind,
    /// The frame that stands for it, in words.
    pub frame: String,
    /// The verdict on that frame, and why.
    pub decision: Decision,
}

/// A [`Judged`] in the words of its policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Told {
    /// The kind.
    pub kind: &'static str,
    /// The frame that stands for it, in words.
    pub frame: String,
    /// `buffer` or `bypass`.
    pub verdict: &'static str,
    /// Number of the rule that decided, from 1; none if no rule matched.
    pub rule: Option<usize>,
    /// Where in the policy that rule or the default stands; none if nothing is stated.
    pub line: Option<usize>,
    /// What decided.
    pub because: String,
}

/// Says what decided, in the words of the policy.
#[must_use]
pub fn told(policy: &Policy, source: &SourceFile, judged: &Judged) -> Told {
    let (rule, span) = match judged.decision.reason {
        Reason::Rule(index) => (
            Some(index + 1),
            policy.rules.get(index).map(|rule| rule.span),
        ),
        Reason::Default => (None, policy.default_span),
        Reason::NothingMatched => (None, None),
    };
    let statement = span.map(|span| {
        let words: Vec<&str> = source
            .slice(span)
            .split_whitespace()
            .take_while(|word| *word != "because")
            .collect();
        words.join(" ")
    });
    let because = match (rule, statement) {
        (Some(number), Some(statement)) => format!("rule {number}: {statement}"),
        (_, Some(statement)) => format!("no rule: {statement}"),
        (_, None) => String::from("no rule, and no default is stated"),
    };
    Told {
        kind: judged.kind.name(),
        frame: judged.frame.clone(),
        verdict: judged.decision.verdict.keyword(),
        rule,
        line: span.map(|span| source.place(span.start).line),
        because,
    }
}

/// Judges a frame of each kind.
#[must_use]
pub fn judge(policy: &Policy, traffic: &Traffic, calls: Calls) -> Vec<Judged> {
    let from = |port| SocketAddr::new(traffic.guest, port);
    let to = |port| SocketAddr::new(traffic.phone, port);
    let payload = 12 + calls.codec.bit_rate() * calls.packet_time / 8_000_000_000;
    let frames = [
        (
            Kind::Media,
            format!(
                "udp {} > {} rtp pt {} len {payload}",
                from(traffic.media_port),
                to(traffic.phone_port),
                calls.codec.payload_type()
            ),
        ),
        // The first byte of any SIP message is a letter; that of an INVITE is 0x49.
        (
            Kind::Signalling,
            format!(
                "udp {} > {} payload 494e56495445 len 858",
                from(traffic.sip_port),
                to(traffic.sip_port)
            ),
        ),
        // Of the payload 12 bytes stand for the option with timestamps, which words can't say.
        (
            Kind::Bulk,
            format!(
                "tcp {} > {} flags ack len 1460",
                from(traffic.bulk_port),
                to(traffic.phone_port)
            ),
        ),
    ];
    frames
        .into_iter()
        .map(|(kind, frame)| Judged {
            kind,
            // Words that are made here are words: the tests judge one of each kind.
            decision: classify(policy, &frame_text::parse(&frame).unwrap_or_default()),
            frame,
        })
        .collect()
}

/// The verdicts for the simulation.
#[must_use]
pub fn verdicts(judged: &[Judged]) -> Verdicts {
    let of = |kind| {
        let found = judged.iter().find(|one| one.kind == kind);
        match found.map(|one| one.decision.verdict) {
            Some(Verdict::Bypass) => packet::Verdict::Bypass,
            Some(Verdict::Buffer) | None => packet::Verdict::Buffer,
        }
    };
    Verdicts {
        media: of(Kind::Media),
        signalling: of(Kind::Signalling),
        bulk: of(Kind::Bulk),
    }
}
