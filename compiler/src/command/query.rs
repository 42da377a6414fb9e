//! `epochgate query`: what a policy does with the frames of a condition.

use std::path::PathBuf;

use policy_lang::check::check;
use policy_lang::classify;
use policy_lang::policy::{Condition, Policy};
use policy_lang::source::SourceFile;
use serde::Serialize;

use super::finding;
use crate::cli::{Console, PolicyFile, report_all};
use crate::diff::{Part, verdicts_within};
use crate::exit::{self, Exit, Failure};
use crate::frame_text;
use crate::render::{hex, visible};
use crate::verify::in_space;

/// Say what a policy does with every frame of a condition.
///
/// The condition is one of the language and may use the policy's names. The frames that pass and
/// those that are held are told in classes, each with a frame and the rule that decides about it.
/// A share counts every bit that can differ the same: it says how much of the condition is meant,
/// not how much of any traffic.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// The policy; `-` is standard input.
    policy: PathBuf,
    /// The condition, such as `udp dport 5060`; several words need no quotes.
    #[arg(required = true, value_name = "CONDITION")]
    condition: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Answers the question.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    let file = PolicyFile::open(&args.policy, console)?;
    let Some(policy) = &file.policy else {
        return Ok(Exit::Findings);
    };
    let text = args.condition.join(" ");
    let Some(condition) = condition(&text, &file.source, console)? else {
        return Ok(Exit::Findings);
    };
    let parts = match in_space(|space| verdicts_within(space, policy, &condition)) {
        Ok(parts) => parts,
        Err(full) => {
            console.report(Some(&file.source), &finding::too_complicated(&full))?;
            return Ok(Exit::Findings);
        }
    };
    console.raw(&if args.json {
        json(policy, &file.source, &text, &parts)
    } else {
        story(policy, &file.source, &text, &parts)
    })?;
    Ok(Exit::Fine)
}

/// Reads the condition as a statement in front of the policy, so that the policy's names mean what
/// they mean there.
fn condition(
    text: &str,
    policy: &SourceFile,
    console: &mut Console,
) -> Result<Option<Condition>, Failure> {
    if text.contains(';') {
        return Err(Failure::Usage {
            message: String::from("a condition has no `;`"),
            help: Some(String::from("ask one question at a time")),
        });
    }
    let source = SourceFile::new(
        "the condition",
        format!("expect buffer {text}\n;\n{}", policy.text()),
    );
    let (checked, mut findings) = check(&source);
    findings.retain(policy_lang::diagnostic::Diagnostic::is_error);
    report_all(&source, &findings, console)?;
    let asked = checked.and_then(|policy| policy.expectations.into_iter().next());
    Ok(asked.map(|asked| asked.condition))
}

/// `12.5 %`, and never 0 or 100 for what is neither.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if share <= 0.0 || share >= 1.0 {
        format!("{percent:.0} %")
    } else if percent < 0.01 {
        String::from("less than 0.01 %")
    } else if percent > 99.99 {
        String::from("more than 99.99 %")
    } else {
        format!("{percent:.2} %")
    }
}

fn story(policy: &Policy, source: &SourceFile, asked: &str, parts: &[Part; 2]) -> String {
    let mut lines = vec![format!("{}: {asked}", source.name())];
    for part in parts {
        let word = part.verdict.keyword();
        if part.classes.classes.is_empty() {
            lines.push(format!("  {word}: no such frame"));
            continue;
        }
        lines.push(format!("  {word}: {} of it", percent(part.share)));
        for class in &part.classes.classes {
            let decision = classify(policy, &class.frame);
            let what = if class.terms.is_empty() {
                String::from("all of it")
            } else {
                class.text()
            };
            lines.push(format!("    {what}"));
            lines.push(format!(
                "      frame  {}",
                frame_text::describe(&class.frame)
            ));
            let by = finding::decided_by(policy, source, decision);
            lines.push(format!("      by     {by}"));
        }
        if let Some(frame) = &part.classes.rest {
            lines.push(format!("    and more: {}", frame_text::describe(frame)));
        }
    }
    lines.iter().map(|line| visible(line) + "\n").collect()
}

#[derive(Serialize)]
struct Whole<'a> {
    schema: &'static str,
    policy: &'a str,
    condition: &'a str,
    bypass: Side,
    buffer: Side,
}

#[derive(Serialize)]
struct Side {
    share: f64,
    classes: Vec<Shown>,
    rest: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    condition: String,
    hex: String,
    text: String,
    decided_by: String,
}

fn json(policy: &Policy, source: &SourceFile, asked: &str, [bypass, buffer]: &[Part; 2]) -> String {
    let side = |part: &Part| Side {
        share: part.share,
        classes: part
            .classes
            .classes
            .iter()
            .map(|class| Shown {
                condition: class.text(),
                hex: hex(&class.frame),
                text: frame_text::describe(&class.frame),
                decided_by: finding::decided_by(policy, source, classify(policy, &class.frame)),
            })
            .collect(),
        rest: part.classes.rest.as_deref().map(hex),
    };
    let whole = Whole {
        schema: "epochgate-query-1",
        policy: source.name(),
        condition: asked,
        bypass: side(bypass),
        buffer: side(buffer),
    };
    // Shares are finite: they are parts of a whole.
    serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n"
}
