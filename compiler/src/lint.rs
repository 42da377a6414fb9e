//! Lints: what is allowed in a policy and yet seldom meant, found in the sets of frames.
//!
//! Each has a code, which a policy may allow with a reason: `allow L0301 because "...";`. What a lint
//! says about frames comes with frames. The rest of the checks of a policy are in `policy-lang`.

mod flow;
mod rules;
mod stateful;
mod whole;

use policy_lang::policy::Policy;
use policy_lang::set::Space;
use policy_lang::source::{SourceFile, Span};
use policy_lang::syntax::parse;
use policy_lang::syntax::tree::StatementKind;
use policy_lang::{PacketSet, SpaceFull};

/// Codes of all lints with what they find, in order.
pub const LINTS: [(&str, &str); 21] = [
    ("L0101", "a rule without which the policy is the same"),
    (
        "L0102",
        "a rule that holds only part of what it names, since a rule in front lets the rest pass",
    ),
    ("L0201", "TCP bypasses"),
    ("L0202", "SIP over UDP bypasses"),
    ("L0203", "answers of a DNS server bypass"),
    ("L0204", "DHCP bypasses"),
    ("L0205", "IKE or ESP bypasses"),
    ("L0206", "WireGuard bypasses"),
    ("L0207", "QUIC bypasses"),
    ("L0208", "OpenVPN bypasses"),
    ("L0209", "SCTP bypasses"),
    ("L0210", "STUN or DTLS bypasses"),
    ("L0301", "one flow is split over both paths"),
    ("L0302", "RTP passes and its RTCP is held"),
    ("L0303", "SIP between two hosts is split over both paths"),
    ("L0401", "everything bypasses"),
    ("L0402", "nothing bypasses"),
    ("L0403", "a range of media ports only as destination"),
    (
        "L0501",
        "SIP over UDP is held for nearly as long as its senders wait",
    ),
    ("L0502", "the limit of the gate is smaller than a packet"),
    (
        "L0503",
        "the limit of the gate is smaller than what is sent meanwhile, at a rate that is given",
    ),
];

/// The code of rules that never decide. `policy_lang` finds them, and they may be allowed as what a
/// lint finds.
pub const NEVER_DECIDES: &str = "W0302";

/// What a lint found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lint {
    /// Its code, such as `L0301`.
    pub code: &'static str,
    /// What it found, in a line.
    pub message: String,
    /// Where in the policy, if one place can be named.
    pub span: Option<Span>,
    /// Another place that it is about, and what is there.
    pub also: Option<(Span, String)>,
    /// Facts, one line each.
    pub notes: Vec<String>,
    /// What to do, one line each.
    pub help: Vec<String>,
    /// Frames that show it, in the order in which a sender would send them.
    pub frames: Vec<Vec<u8>>,
}

impl Lint {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            span: None,
            also: None,
            notes: Vec::new(),
            help: Vec::new(),
            frames: Vec::new(),
        }
    }
}

/// What a policy allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The code as written.
    pub code: String,
    /// Where.
    pub span: Span,
}

impl Allowance {
    /// Whether there is anything of this code to allow.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.code == NEVER_DECIDES || LINTS.iter().any(|(code, _)| *code == self.code)
    }
}

/// What the text of a policy allows, in its order.
#[must_use]
pub fn allowances(source: &SourceFile) -> Vec<Allowance> {
    let (tree, _) = parse(source);
    let allowed = |kind| match kind {
        StatementKind::Allow(allow) => Some(Allowance {
            span: allow.lint.span,
            code: allow.lint.text,
        }),
        _ => None,
    };
    tree.statements
        .into_iter()
        .filter_map(|statement| allowed(statement.kind))
        .collect()
}

/// What the lints look at.
struct Scene<'a> {
    space: &'a Space,
    policy: &'a Policy,
    /// What each rule matches, whatever stands before it.
    sets: Vec<PacketSet>,
    bypass: PacketSet,
    held: PacketSet,
}

/// Everything that the lints find, in the order of their codes.
///
/// # Errors
///
/// [`SpaceFull`] if the sets outgrow their space.
pub fn lints(space: &Space, policy: &Policy) -> Result<Vec<Lint>, SpaceFull> {
    let sets: Result<Vec<_>, _> = policy
        .rules
        .iter()
        .map(|rule| space.condition(&rule.condition))
        .collect();
    let bypass = space.bypass_of(policy)?;
    let scene = Scene {
        space,
        policy,
        sets: sets?,
        held: space.complement(&bypass)?,
        bypass,
    };
    let mut found = rules::redundant(&scene)?;
    found.extend(rules::partly_passed(&scene)?);
    found.extend(stateful::bypassing(&scene)?);
    found.extend(flow::split(&scene)?);
    found.extend(flow::media_without_reports(&scene)?);
    found.extend(flow::dialogs(&scene)?);
    found.extend(whole::one_sided(&scene)?);
    found.extend(rules::only_as_destination(&scene)?);
    found.extend(whole::near_the_timer(&scene)?);
    found.extend(whole::too_small(policy));
    Ok(found)
}

/// A gate whose limit is less than what the VM sends, at `bytes_per_second`, while it is held. Nothing
/// can be said of a policy that states no interval.
#[must_use]
pub fn overflow(policy: &Policy, bytes_per_second: u64) -> Option<Lint> {
    whole::overflow(policy, bytes_per_second)
}

#[cfg(test)]
mod tests;
