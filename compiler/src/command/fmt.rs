//! `epochgate fmt`: policies in the one form that they all have.

use std::path::PathBuf;

use policy_lang::syntax::{parse, print};

use crate::cli::{Console, is_standard, read_text, replace, report_all};
use crate::exit::{self, Exit, Failure};

/// Write policies in the canonical form.
///
/// Files are changed in place, standard input is written to standard output. Comments stay; a
/// policy with syntax errors is left alone.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// Policies to format; `-` is standard input.
    #[arg(required = true, value_name = "POLICY")]
    policies: Vec<PathBuf>,
    /// Change nothing; name the policies that are not in the canonical form.
    #[arg(long)]
    check: bool,
}

/// Formats each policy.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    let mut exit = Exit::Fine;
    for path in &args.policies {
        let (source, not_text) = read_text(path)?;
        let (tree, mut findings) = parse(&source);
        findings.extend(not_text);
        report_all(&source, &findings, console)?;
        if findings
            .iter()
            .any(policy_lang::diagnostic::Diagnostic::is_error)
        {
            exit = Exit::Findings;
            continue;
        }
        let text = print(&tree);
        let same = text == source.text();
        if args.check {
            if !same {
                exit = Exit::Findings;
                console.line(&format!("{}: not formatted", source.name()))?;
            }
        } else if is_standard(path) {
            console.raw(&text)?;
        } else if !same {
            replace(path, &text)?;
        }
    }
    Ok(exit)
}
