//! The running rules compared with the policy, as sets of frames.
//!
//! The kernel asks tc's filters first and nftables' chains about what those let pass
//! (`__netif_receive_skb_core` of net/core/dev.c). Rules of others are part of the sets where they
//! are understood. Where they are not, they are a finding of their own, and ours are proved alone.

use std::collections::BTreeMap;

use policy_lang::{Space, SpaceFull};

use super::filters::GONE;
use super::finding::{Code, Finding};
use super::hooks::Table;
use super::{AuditError, Scene, Subject};
use crate::readback::{Outcome, ReadbackError, nft, u32};
use crate::verify::{Counterexample, in_space, verify_equivalent, verify_no_leak};

impl Scene<'_> {
    pub(super) fn is_ours(&self, table: &Table) -> bool {
        table.family == "netdev" && table.name == self.table
    }
}

/// Adds what the rules do otherwise than the policy; the size of the proof if it is nothing.
pub(super) fn prove(
    scene: &Scene<'_>,
    subject: &Subject<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Option<usize>, AuditError> {
    if scene.link(scene.vif).is_none() {
        return Ok(None);
    }
    let answer = in_space(|space| compare(scene, subject, space))?;
    let (more, proved) = answer;
    findings.extend(more);
    Ok(proved)
}

fn compare(
    scene: &Scene<'_>,
    subject: &Subject<'_>,
    space: &Space,
) -> Result<(Vec<Finding>, Option<usize>), AuditError> {
    let mut findings = Vec::new();
    let tc = tc(scene, space, &mut findings)?;
    let nft = nft(scene, space, &mut findings)?;
    let (Some(tc), Some(nft)) = (tc, nft) else {
        return Ok((findings, None));
    };
    let mut rules = in_turn(space, tc, &nft)?;
    // A target that is gone is a finding already; apart from that the rules may be right.
    let gone: Vec<String> = rules
        .held
        .keys()
        .filter(|to| is_gone(to))
        .cloned()
        .collect();
    for target in gone {
        if let Some(frames) = rules.held.remove(&target) {
            let none = || space.none();
            let held = rules
                .held
                .entry(subject.ifb.to_string())
                .or_insert_with(none);
            *held = space.union(held, &frames)?;
        }
    }
    if let Err(leak) = verify_no_leak(space, subject.policy, &rules)? {
        findings.push(differs(Code::Leaks, leak));
        return Ok((findings, None));
    }
    match verify_equivalent(space, subject.policy, &rules, &subject.ifb)? {
        Ok(proof) => Ok((findings, Some(proof.nodes))),
        Err(other) => {
            findings.push(differs(Code::Differs, other));
            Ok((findings, None))
        }
    }
}

fn differs(code: Code, frame: Counterexample) -> Finding {
    Finding {
        code,
        seen: String::from("the running rules differ from the policy"),
        frame: Some(frame),
    }
}

/// `fwd to 35` and `to device *`: no device has the name, only the kernel's number for it.
fn is_gone(target: &str) -> bool {
    target == GONE || target.bytes().all(|byte| byte.is_ascii_digit())
}

/// First one set of rules, then the other about what the first lets pass.
fn in_turn(space: &Space, first: Outcome, then: &Outcome) -> Result<Outcome, SpaceFull> {
    let mut held: BTreeMap<_, _> = first.held;
    for (device, frames) in &then.held {
        let frames = space.intersection(&first.bypass, frames)?;
        let all = held.entry(device.clone()).or_insert_with(|| space.none());
        *all = space.union(all, &frames)?;
    }
    let dropped = space.intersection(&first.bypass, &then.dropped)?;
    Ok(Outcome {
        bypass: space.intersection(&first.bypass, &then.bypass)?,
        held,
        dropped: space.union(&first.dropped, &dropped)?,
        unsure: space.union(
            &first.unsure,
            &space.intersection(&first.bypass, &then.unsure)?,
        )?,
    })
}

fn everything_passes(space: &Space) -> Outcome {
    Outcome {
        bypass: space.all(),
        held: BTreeMap::new(),
        dropped: space.none(),
        unsure: space.none(),
    }
}

/// Reads `whole`, or if that is not understood `ours`; `None` with a finding if neither is.
fn read(
    space: &Space,
    [whole, ours]: [&str; 2],
    one: impl Fn(&str) -> Result<Outcome, ReadbackError>,
    findings: &mut Vec<Finding>,
) -> Result<Option<Outcome>, AuditError> {
    if ours.trim().is_empty() && whole.trim().is_empty() {
        return Ok(Some(everything_passes(space)));
    }
    match one(whole) {
        Ok(outcome) => return Ok(Some(outcome)),
        Err(ReadbackError::Full(full)) => return Err(full.into()),
        Err(ReadbackError::NotUnderstood { .. }) if whole != ours => {}
        Err(error) => {
            findings.push(Finding::new(Code::NotUnderstood, error.to_string()));
            return Ok(None);
        }
    }
    if ours.trim().is_empty() {
        return Ok(Some(everything_passes(space)));
    }
    match one(ours) {
        Ok(outcome) => Ok(Some(outcome)),
        Err(ReadbackError::Full(full)) => Err(full.into()),
        Err(error) => {
            findings.push(Finding::new(Code::NotUnderstood, error.to_string()));
            Ok(None)
        }
    }
}

fn tc(
    scene: &Scene<'_>,
    space: &Space,
    findings: &mut Vec<Finding>,
) -> Result<Option<Outcome>, AuditError> {
    if scene.filters.is_empty() {
        return Ok(Some(everything_passes(space)));
    }
    let [whole, ours] = [false, true].map(|only_ours| scene.filters.text(scene.ifb, only_ours));
    read(
        space,
        [&whole, &ours],
        |text| u32::read_listing(space, text),
        findings,
    )
}

fn nft(
    scene: &Scene<'_>,
    space: &Space,
    findings: &mut Vec<Finding>,
) -> Result<Option<Outcome>, AuditError> {
    let asked = |table: &&Table| {
        scene
            .hooked
            .as_ref()
            .is_none_or(|all| all.contains(&table.name))
    };
    let at_vif = |table: &&Table| table.hangs_at("ingress", scene.vif);
    let join = |only_ours: bool| -> String {
        let tables = scene.tables.iter().filter(at_vif).filter(asked);
        tables
            .filter(|table| !only_ours || scene.is_ours(table))
            .map(|table| table.text.as_str())
            .collect()
    };
    let (whole, ours) = (join(false), join(true));
    read(
        space,
        [&whole, &ours],
        |text| nft::read_text(space, text, scene.vif),
        findings,
    )
}
