//! `epochgate diff`: which frames a change of the policy treats otherwise.

use std::path::PathBuf;

use policy_lang::classes::Classes;
use policy_lang::policy::Policy;
use serde::Serialize;

use super::finding;
use crate::cli::{Console, PolicyFile, is_standard};
use crate::diff::{Changed, changed_sides, decisions};
use crate::exit::{self, Exit, Failure};
use crate::frame_text;
use crate::render::{hex, visible};
use crate::smt;
use crate::verify::in_space;

/// Show which frames change side when one policy is replaced by another.
///
/// Frames are told in classes, as conditions of the language, each with a frame and the rules that
/// decided about it before and decide after. Policies that differ only in order, names or form are
/// equal. Exits with 1 if a frame changes side.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// The policy as it was; `-` is standard input.
    old: PathBuf,
    /// The policy as it is to be; `-` is standard input.
    new: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print the question as SMT-LIB 2, for a solver of your own; nothing is compared here.
    #[arg(long, conflicts_with = "json")]
    smt: bool,
}

/// Compares the policies.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    if is_standard(&args.old) && is_standard(&args.new) {
        return Err(Failure::usage(
            "only one of the policies can come from standard input",
        ));
    }
    let old = PolicyFile::open(&args.old, console)?;
    let new = PolicyFile::open(&args.new, console)?;
    let (Some(before), Some(after)) = (&old.policy, &new.policy) else {
        return Ok(Exit::Findings);
    };
    if args.smt {
        console.raw(&smt::differ(before, after))?;
        return Ok(Exit::Fine);
    }
    let changed = match in_space(|space| changed_sides(space, before, after)) {
        Ok(changed) => changed,
        Err(full) => {
            console.report(Some(&new.source), &finding::too_complicated(&full))?;
            return Ok(Exit::Findings);
        }
    };
    let changes = Changes {
        old: (&old, before),
        new: (&new, after),
    };
    console.raw(&if args.json {
        changes.json(&changed)
    } else {
        changes.text(&changed)
    })?;
    Ok(if changed.is_nothing() {
        Exit::Fine
    } else {
        Exit::Findings
    })
}

/// Both policies, for whoever tells what changed.
struct Changes<'a> {
    old: (&'a PolicyFile, &'a Policy),
    new: (&'a PolicyFile, &'a Policy),
}

#[derive(Serialize)]
struct Whole<'a> {
    schema: &'static str,
    old: &'a str,
    new: &'a str,
    equal: bool,
    opened: Vec<Shown>,
    closed: Vec<Shown>,
    opened_rest: Option<String>,
    closed_rest: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    condition: String,
    hex: String,
    text: String,
    old: String,
    new: String,
}

impl Changes<'_> {
    fn shown(&self, classes: &Classes) -> Vec<Shown> {
        let ((old, before), (new, after)) = (self.old, self.new);
        let show = |class| {
            let [was, is] = decisions(before, after, class);
            Shown {
                condition: class.text(),
                hex: hex(&class.frame),
                text: frame_text::describe(&class.frame),
                old: finding::decided_by(before, &old.source, was),
                new: finding::decided_by(after, &new.source, is),
            }
        };
        classes.classes.iter().map(show).collect()
    }

    fn text(&self, changed: &Changed) -> String {
        let names = [self.old, self.new].map(|(file, _)| file.source.name());
        let mut lines = Vec::new();
        if changed.is_nothing() {
            let [old, new] = names;
            lines.push(format!("{old} and {new} treat every frame alike"));
        }
        let sides = [
            ("was held, now passes", &changed.opened),
            ("passed, is now held", &changed.closed),
        ];
        for (side, classes) in sides {
            for class in self.shown(classes) {
                lines.push(format!("{side}: {}", class.condition));
                lines.push(format!("  frame  {}", class.text));
                lines.push(format!("  old    {}", class.old));
                lines.push(format!("  new    {}", class.new));
            }
            if let Some(frame) = &classes.rest {
                lines.push(format!("{side}, and more: {}", frame_text::describe(frame)));
            }
        }
        lines.iter().map(|line| visible(line) + "\n").collect()
    }

    fn json(&self, changed: &Changed) -> String {
        let whole = Whole {
            schema: "epochgate-diff-1",
            old: self.old.0.source.name(),
            new: self.new.0.source.name(),
            equal: changed.is_nothing(),
            opened: self.shown(&changed.opened),
            closed: self.shown(&changed.closed),
            opened_rest: changed.opened.rest.as_deref().map(hex),
            closed_rest: changed.closed.rest.as_deref().map(hex),
        };
        // Strings and booleans always become JSON.
        serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n"
    }
}
