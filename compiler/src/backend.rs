//! Back ends: a rule program becomes text that a kernel tool loads.
//!
//! A back end has exactly the program's meaning or refuses it, naming the term it can't express.
//! None is approximately right, not even on the safe side.

pub mod bpf;
pub mod flower;
pub mod nft;
pub mod u32;

use std::fmt;

use policy_lang::field::{Field, Layer};
use policy_lang::policy::{Policy, Test};
use policy_lang::source::Span;

use crate::device::Device;
use crate::ir::Program;

/// The kinds of rules that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An nftables ruleset for the netdev ingress hook.
    Nft,
    /// A batch of tc u32 filters for the clsact ingress hook.
    U32,
    /// A classic BPF program for the clsact ingress hook.
    Bpf,
    /// The same hook with chains of flower filters behind the guards of u32.
    Flower,
}

impl Kind {
    /// Every back end.
    pub const ALL: [Self; 4] = [Self::Nft, Self::U32, Self::Bpf, Self::Flower];

    /// The name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::U32 => "u32",
            Self::Bpf => "bpf",
            Self::Flower => "flower",
        }
    }

    /// The program that loads the rules.
    #[must_use]
    pub const fn loader(self) -> Loader {
        match self {
            Self::Nft => Loader::Nft,
            Self::U32 | Self::Bpf | Self::Flower => Loader::Tc,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What loads rules into the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    /// `nft -f`, in one transaction.
    Nft,
    /// `tc -batch`, line by line.
    Tc,
}

/// What the rules are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The VM's interface, at whose ingress the rules work.
    pub vif: Device,
    /// The interface that held frames are sent to.
    pub ifb: Device,
    /// Lines without line breaks that say where the rules come from, written as comments on top.
    pub header: Vec<String>,
}

/// A back end can't express a policy exactly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {backend} back end can't express `{term}` exactly: {reason}")]
pub struct Refusal {
    /// Who refuses.
    pub backend: Kind,
    /// The term of the language that is the trouble.
    pub term: String,
    /// Where it stands in the policy, if one place can be named.
    pub span: Option<Span>,
    /// Why it can't be expressed.
    pub reason: String,
    /// A back end that can express this term.
    pub instead: Option<Kind>,
}

/// Writes the rules of a kind.
///
/// # Errors
///
/// [`Refusal`] for what that back end can't express.
pub fn emit(
    kind: Kind,
    program: &Program,
    policy: &Policy,
    target: &Target,
) -> Result<String, Refusal> {
    match kind {
        Kind::Nft => nft::emit(program, policy, target),
        Kind::U32 => u32::emit(program, policy, target),
        Kind::Bpf => bpf::emit(program, policy, target),
        Kind::Flower => flower::emit(program, policy, target),
    }
}

/// The first place of a policy, in rule `source`, that asks about `field`.
#[must_use]
pub fn span_of(policy: &Policy, source: usize, field: Field) -> Option<Span> {
    fn asks(test: &Test, field: Field) -> bool {
        match test {
            Test::Tagged => field == Field::VlanId,
            Test::Ip(_) => field == Field::Ethertype,
            Test::Fragment => matches!(field, Field::FragmentBits | Field::Protocol),
            Test::Field(asked, _) => *asked == field,
            Test::EitherPort(_) => matches!(field, Field::Sport | Field::Dport),
            Test::Media(_) | Test::RtpPayloadType(_) => field.layer() == Layer::Payload,
        }
    }
    let rule = policy.rules.get(source)?;
    let mut tests = rule.condition.tests();
    let asked = tests.find(|(test, _)| asks(test, field));
    Some(asked.map_or(rule.span, |(_, span)| span))
}
