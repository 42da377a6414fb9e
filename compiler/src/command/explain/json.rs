//! `explain --json`: the same as the words, for programs. Its form is `docs/schema/explain.json`.

use policy_lang::Policy;
use policy_lang::source::SourceFile;
use serde::Serialize;

use super::{Args, flips, left_out, no_such_frame};
use crate::capture::Capture;
use crate::cli::Console;
use crate::command::finding::{self, decided_by, quote};
use crate::exit::{Exit, Failure};
use crate::explain::explain;
use crate::explain::why::{Edit, FrameChange, PolicyChange};
use crate::frame_text;
use crate::render::hex;

#[derive(Serialize)]
struct Whole<'a> {
    schema: &'static str,
    policy: &'a str,
    frames: Vec<Shown>,
    error: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    number: Option<u64>,
    original_bytes: u64,
    #[serde(flatten)]
    frame: Frame,
    verdict: &'static str,
    decided_by: String,
    nearly: Option<Near>,
    flips: Option<Flips>,
}

#[derive(Serialize)]
struct Frame {
    hex: String,
    text: String,
}

#[derive(Serialize)]
struct Near {
    rule: usize,
    statement: String,
    failed: Vec<String>,
}

#[derive(Serialize)]
struct Flips {
    frame: Option<Changed>,
    policy: Vec<Edited>,
}

#[derive(Serialize)]
struct Changed {
    parts: Vec<Part>,
    #[serde(flatten)]
    frame: Frame,
    decided_by: String,
}

#[derive(Serialize)]
struct Part {
    part: &'static str,
    from: String,
    to: String,
}

#[derive(Serialize)]
struct Edited {
    change: &'static str,
    rules: Vec<usize>,
    before: Option<usize>,
    statement: Option<String>,
    besides: Option<Frame>,
}

/// Where a frame comes from: its number in a capture, and its length on the wire.
type Origin = (Option<u64>, u64);

/// Explains frames that were described, and prints them as one object.
pub(super) fn described(
    args: &Args,
    frames: &[Vec<u8>],
    policy: &Policy,
    source: &SourceFile,
    console: &mut Console,
) -> Result<Exit, Failure> {
    let mut all = Vec::with_capacity(frames.len());
    for frame in frames {
        let origin = (None, frame.len() as u64);
        match shown(args, (policy, source), frame, origin, console)? {
            Some(one) => all.push(one),
            None => return Ok(Exit::Findings),
        }
    }
    print(source, all, None, console)?;
    Ok(Exit::Fine)
}

/// Explains the frames of a capture, up to where it is damaged, and prints them as one object.
pub(super) fn captured(
    args: &Args,
    content: &[u8],
    name: &str,
    policy: &Policy,
    source: &SourceFile,
    console: &mut Console,
) -> Result<Exit, Failure> {
    let mut all = Vec::new();
    let damaged = |error: &dyn std::fmt::Display| format!("`{name}`: {error}");
    let mut capture = match Capture::open(content) {
        Ok(capture) => capture,
        Err(error) => {
            print(source, all, Some(damaged(&error)), console)?;
            return Ok(Exit::Findings);
        }
    };
    for record in capture.by_ref() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                print(source, all, Some(damaged(&error)), console)?;
                return Ok(Exit::Findings);
            }
        };
        if args.frame.is_some_and(|wanted| wanted != record.number) {
            continue;
        }
        let origin = (Some(record.number), record.original_len.into());
        match shown(args, (policy, source), &record.frame, origin, console)? {
            Some(one) => all.push(one),
            None => return Ok(Exit::Findings),
        }
        if args.frame.is_some() {
            break;
        }
    }
    if let Some(wanted) = args.frame
        && all.is_empty()
    {
        return Err(no_such_frame(name, wanted));
    }
    left_out(&capture, name, console)?;
    print(source, all, None, console)?;
    Ok(Exit::Fine)
}

fn print(
    source: &SourceFile,
    frames: Vec<Shown>,
    error: Option<String>,
    console: &mut Console,
) -> Result<(), Failure> {
    let whole = Whole {
        schema: "epochgate-explain-1",
        policy: source.name(),
        frames,
        error,
    };
    // Strings and numbers always become JSON.
    console.raw(&(serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n"))
}

/// What happens to one frame; `None` if the policy is too complicated to say why, which has been said.
fn shown(
    args: &Args,
    (policy, source): (&Policy, &SourceFile),
    frame: &[u8],
    (number, original_bytes): Origin,
    console: &mut Console,
) -> Result<Option<Shown>, Failure> {
    let explanation = explain(policy, frame);
    let near = explanation.near.and_then(|near| {
        let rule = policy.rules.get(near.rule)?;
        Some(Near {
            rule: near.rule + 1,
            statement: quote(source, rule.span),
            failed: near.failed.into_iter().map(|term| term.why).collect(),
        })
    });
    let flips = if args.why {
        match flips(policy, frame) {
            Ok((of_frame, of_policy)) => Some(Flips {
                frame: of_frame.map(|change| changed(policy, source, change)),
                policy: of_policy.into_iter().map(edited).collect(),
            }),
            Err(full) => {
                console.report(Some(source), &finding::too_complicated(&full))?;
                return Ok(None);
            }
        }
    } else {
        None
    };
    Ok(Some(Shown {
        number,
        original_bytes,
        frame: Frame::of(frame),
        verdict: explanation.decision.verdict.keyword(),
        decided_by: decided_by(policy, source, explanation.decision),
        nearly: near,
        flips,
    }))
}

impl Frame {
    fn of(frame: &[u8]) -> Self {
        Self {
            hex: hex(frame),
            text: frame_text::describe(frame),
        }
    }
}

fn changed(policy: &Policy, source: &SourceFile, change: FrameChange) -> Changed {
    let parts = change.changed.into_iter().map(|part| Part {
        part: part.what,
        from: part.from,
        to: part.to,
    });
    Changed {
        parts: parts.collect(),
        frame: Frame::of(&change.frame),
        decided_by: decided_by(policy, source, change.decision),
    }
}

/// Rules are numbered from 1 here, as in the words.
fn edited(change: PolicyChange) -> Edited {
    let besides = change.besides.as_deref().map(Frame::of);
    let (change, rules, before, statement) = match change.edit {
        Edit::Remove(rules) => ("remove", rules, None, None),
        Edit::Move { rule, before } => ("move", vec![rule], Some(before + 1), None),
        Edit::Add(text) => ("add", Vec::new(), None, Some(text)),
    };
    Edited {
        change,
        rules: rules.into_iter().map(|rule| rule + 1).collect(),
        before,
        statement,
        besides,
    }
}
