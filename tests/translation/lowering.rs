//! A lowered program decides as its policy does.

use compiler::ir::{Block, Guard, Program, Shape};
use compiler::lower::lower;
use policy_lang::policy::{Condition, Policy, Rule, Test, Verdict};
use policy_lang::set::Decided;
use policy_lang::source::Span;
use policy_lang::{PacketSet, Space};
use proptest::prelude::*;
use tests::generate::policy::{Terms, policy};

/// The frames a program lets pass, read off block by block.
fn bypass_of(space: &Space, program: &Program) -> PacketSet {
    let blocks = program.blocks.iter().map(|block| {
        let guard = guard(space, block.guard);
        let decided = rules(space, block);
        Decided {
            bypass: space.intersection(&guard, &decided).unwrap(),
            matched: guard,
        }
    });
    space.first_match_all(blocks.collect()).unwrap().bypass
}

fn guard(space: &Space, guard: Guard) -> PacketSet {
    let headers = match guard.shape {
        Shape::Any => space.all(),
        Shape::Ip(family) => space.ip(family).unwrap(),
        Shape::Plain {
            family,
            transport,
            payload,
        } => space.plain(family, transport, payload).unwrap(),
    };
    match guard.tagged {
        None => headers,
        Some(true) => space
            .intersection(&headers, &space.tagged().unwrap())
            .unwrap(),
        Some(false) => space.minus(&headers, &space.tagged().unwrap()).unwrap(),
    }
}

fn rules(space: &Space, block: &Block) -> PacketSet {
    let family = match block.guard.shape {
        Shape::Ip(family) | Shape::Plain { family, .. } => family,
        Shape::Any => policy_lang::field::Family::V4,
    };
    let mut decided: Vec<Decided> = Vec::new();
    for rule in &block.rules {
        let boxes = rule.boxes.iter().map(|one| {
            one.fields.iter().fold(space.all(), |set, (field, values)| {
                let place = field.place(family).expect("a field of this kind of packet");
                space
                    .intersection(&set, &space.bits_in(place, values).unwrap())
                    .unwrap()
            })
        });
        let matched = space.union_all(boxes.collect()).unwrap();
        decided.push(space.decided(matched, rule.verdict).unwrap());
    }
    decided.push(space.decided(space.all(), block.default).unwrap());
    space.first_match_all(decided).unwrap().bypass
}

fn agree(policy: &Policy) -> Result<(), TestCaseError> {
    let space = Space::new(1 << 20).unwrap();
    let program = lower(policy).unwrap();
    let (meant, lowered) = (
        space.bypass_of(policy).unwrap(),
        bypass_of(&space, &program),
    );
    let difference = space.difference(&meant, &lowered).unwrap();
    prop_assert!(
        difference.is_none(),
        "{:02x?} in {:#?}",
        difference,
        program
    );
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn lowering_keeps_the_meaning(policy in policy(Terms::All, 6)) {
        agree(&policy)?;
    }
}

#[test]
fn a_policy_that_holds_everything_is_one_block_without_rules() {
    let condition = Test::protocol_condition(policy_lang::field::Transport::Tcp, Span::default());
    let rule = Rule {
        verdict: Verdict::Buffer,
        condition,
        because: None,
        span: Span::default(),
    };
    let policy = Policy {
        rules: vec![rule],
        default: Verdict::Buffer,
        default_span: None,
        expectations: Vec::new(),
        gate: policy_lang::policy::Gate::default(),
    };
    let program = lower(&policy).unwrap();
    assert!(
        matches!(program.blocks.as_slice(), [only] if only.rules.is_empty()),
        "{program:#?}"
    );
}

#[test]
fn an_empty_conjunction_holds_for_everything() {
    let rule = Rule {
        verdict: Verdict::Bypass,
        condition: Condition::All(Vec::new()),
        because: None,
        span: Span::default(),
    };
    let policy = Policy {
        rules: vec![rule],
        default: Verdict::Buffer,
        default_span: None,
        expectations: Vec::new(),
        gate: policy_lang::policy::Gate::default(),
    };
    agree(&policy).unwrap();
}
