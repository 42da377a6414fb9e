//! A rule program as one classic BPF program for `tc filter ... bpf bytecode` at clsact ingress.
//!
//! Not direct-action: there a load behind the end of the frame would let it pass. Here it ends the
//! program with 0, which is no match, and what the program does not match goes on to the last
//! pref, which holds. A match ends the walk and the frame passes.
//!
//! Facts from net/core/filter.c and net/sched/cls_bpf.c, and from frames sent through a kernel:
//! offset 0 is the destination address, the first 802.1Q or 802.1ad tag is off the packet before
//! any filter is asked and lies beside it (`SKF_AD_VLAN_TAG` and its neighbours), and the length
//! does not count it.

mod assembly;
mod dag;
mod decide;
mod layout;

use std::fmt::Write as _;

use policy_lang::policy::Policy;

pub use assembly::assembly;
pub use layout::Instruction;

use crate::backend::{Kind, Refusal, Target};
use crate::ir::Program;
use decide::Order;

/// Most instructions of a program. The kernel takes 4,096, but tc's message ends before.
pub const MOST_INSTRUCTIONS: usize = 2_035;

/// The pref of the program.
const PREF: usize = 10;

/// The pref that holds what the program does not match.
pub const LAST_PREF: usize = 65_000;

/// How many rules a refusal names.
const NAMED: usize = 3;

/// Writes the filters: the one that holds first, so that at any moment of loading no frame passes
/// that the policy holds.
///
/// # Errors
///
/// [`Refusal`] for policies that become more than [`MOST_INSTRUCTIONS`].
pub fn emit(program: &Program, policy: &Policy, target: &Target) -> Result<String, Refusal> {
    let code = assemble(program, policy)?;
    let Target { vif, ifb, header } = target;
    let mut text = String::new();
    for line in header.iter().flat_map(|line| line.lines()) {
        let _ = writeln!(text, "# {line}");
    }
    let add = format!("filter add dev {vif} ingress");
    let _ = writeln!(
        text,
        "\n# what the program does not match: buffer\n{add} pref {LAST_PREF} protocol all handle 1 \
         bpf bytecode \"1,6 0 0 4294967295\" flowid :1 action mirred egress redirect dev {ifb}"
    );
    let _ = writeln!(
        text,
        "\n# what the program matches: bypass\n{add} pref {PREF} protocol all handle 1 \
         bpf bytecode \"{}\" flowid :1",
        bytecode(&code)
    );
    Ok(text)
}

/// The program: 0 for frames that are held, anything else for those that pass.
///
/// # Errors
///
/// As [`emit`].
pub fn assemble(program: &Program, policy: &Policy) -> Result<Vec<Instruction>, Refusal> {
    smallest(program)
        .filter(|code| code.len() <= MOST_INSTRUCTIONS)
        .ok_or_else(|| too_large(program, policy))
}

/// The shortest program of all orders of the fields.
fn smallest(program: &Program) -> Option<Vec<Instruction>> {
    let codes = Order::ALL.into_iter().filter_map(|order| {
        let (dag, entry) = decide::dag(program, order).ok()?;
        Some(layout::instructions(&dag, entry))
    });
    codes.min_by_key(Vec::len)
}

/// A program as tc takes it: the number of instructions, then each.
#[must_use]
pub fn bytecode(code: &[Instruction]) -> String {
    let mut text = code.len().to_string();
    for Instruction { code, yes, no, k } in code {
        let _ = write!(text, ",{code} {yes} {no} {k}");
    }
    text
}

/// Names the rules that cost most.
fn too_large(program: &Program, policy: &Policy) -> Refusal {
    let mut costs: Vec<(usize, usize)> = (0..policy.rules.len())
        .map(|rule| (cost(program, rule), rule))
        .collect();
    costs.sort_by_key(|&(cost, rule)| (std::cmp::Reverse(cost), rule));
    costs.truncate(NAMED);
    let named: Vec<String> = costs
        .iter()
        .map(|(cost, rule)| format!("rule {} asks about {cost} ranges", rule + 1))
        .collect();
    let most = costs.first().map_or(0, |&(_, rule)| rule);
    Refusal {
        backend: Kind::Bpf,
        term: format!("rule {}", most + 1),
        span: policy.rules.get(most).map(|rule| rule.span),
        reason: format!(
            "the policy becomes a program of more than {MOST_INSTRUCTIONS} instructions, which tc \
             can't load; most of it comes from: {}",
            named.join(", ")
        ),
        instead: Some(Kind::Nft),
    }
}

/// The ranges of values that a rule asks about, over all blocks.
fn cost(program: &Program, rule: usize) -> usize {
    let rules = program.blocks.iter().flat_map(|block| &block.rules);
    rules
        .filter(|flat| flat.source == rule)
        .flat_map(|flat| &flat.boxes)
        .flat_map(|one| one.fields.values())
        .map(|values| values.ranges().len())
        .sum()
}
