//! Lints about a policy as a whole and its gate.

use std::time::Duration;

use policy_lang::SpaceFull;
use policy_lang::policy::Policy;
use qdisc_model::limit::{LARGEST_PACKET, least_limit};

use super::{Lint, Scene, stateful};
use crate::{hook, script};

/// How long a sender of SIP over UDP waits before it sends again: T1 of RFC 3261, section 17.1.1.1.
const T1: Duration = Duration::from_millis(500);

/// Policies that hold nothing, or let nothing pass.
pub(super) fn one_sided(scene: &Scene<'_>) -> Result<Vec<Lint>, SpaceFull> {
    let delivered = hook::delivered(scene.space)?;
    let is_none = |set| Ok(scene.space.intersection(set, &delivered)?.is_empty());
    Ok(if is_none(&scene.held)? {
        let mut lint = Lint::new("L0401", "everything bypasses");
        lint.notes.push(String::from(
            "after a failover, peers know of everything that was rolled back",
        ));
        lint.help.push(String::from("hold at least `tcp`"));
        vec![lint]
    } else if is_none(&scene.bypass)? {
        let mut lint = Lint::new("L0402", "nothing bypasses");
        lint.notes.push(String::from(
            "that is what a replicator does without a policy",
        ));
        lint.help
            .push(String::from("let media pass: `bypass udp sport RANGE rtp`"));
        vec![lint]
    } else {
        Vec::new()
    })
}

/// SIP over UDP that waits at the gate about as long as its sender waits for an answer.
pub(super) fn near_the_timer(scene: &Scene<'_>) -> Result<Vec<Lint>, SpaceFull> {
    let Some(interval) = scene.policy.gate.interval else {
        return Ok(Vec::new());
    };
    // A frame waits for up to an interval and the commit; a request and its answer may both wait.
    if interval * 2 < T1 {
        return Ok(Vec::new());
    }
    let held = scene
        .space
        .intersection(&stateful::sip(scene)?, &scene.held)?;
    let Some(frame) = scene.space.shortest(&held)? else {
        return Ok(Vec::new());
    };
    let mut lint = Lint::new(
        "L0501",
        format!(
            "SIP over UDP is held for up to {} ms and more",
            interval.as_millis()
        ),
    );
    lint.notes.push(format!(
        "its senders send again after {} ms (T1 of RFC 3261): half of that or more is spent at the gate",
        T1.as_millis()
    ));
    lint.help.push(String::from(
        "take checkpoints more often, or raise T1 at the peers",
    ));
    lint.frames.push(frame);
    Ok(vec![lint])
}

/// A gate that the largest packet of segmentation offload never fits into.
pub(super) fn too_small(policy: &Policy) -> Option<Lint> {
    let limit = policy.gate.limit?;
    (limit < u64::from(LARGEST_PACKET)).then(|| {
        let mut lint = Lint::new("L0502", format!("a limit of {limit} bytes is less than a packet"));
        lint.notes.push(format!(
            "with segmentation offload a packet has up to {LARGEST_PACKET} bytes, and one that does not fit \
             is dropped each time it is sent"
        ));
        lint.help.push(String::from(
            "`compile` refuses such a limit; `epochgate tune` recommends one",
        ));
        lint
    })
}

/// A gate that fills up before the epochs in it are committed.
pub(super) fn overflow(policy: &Policy, bytes_per_second: u64) -> Option<Lint> {
    let interval = policy.gate.interval?;
    // The epoch that is being produced, and the one before it that is being committed.
    let hold = u64::try_from(interval.as_millis() * 2).unwrap_or(u64::MAX);
    let needed = u64::from(least_limit(bytes_per_second, hold));
    let limit = script::limit(policy);
    (limit < needed).then(|| {
        let mut lint = Lint::new(
            "L0503",
            format!("a limit of {limit} bytes is less than the gate gets meanwhile"),
        );
        lint.notes.push(format!(
            "at {bytes_per_second} bytes a second, two intervals of {} ms (one that is sent in, and one \
             that waits for its commit) and one packet come to {needed} bytes",
            interval.as_millis()
        ));
        lint.notes.push(String::from(
            "what does not fit is dropped, and the senders find out late",
        ));
        lint.help.push(format!(
            "`limit {}MiB` is enough, or take checkpoints more often",
            needed.div_ceil(1 << 20)
        ));
        lint
    })
}
