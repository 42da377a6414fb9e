//! A policy from its file to its checked form, with all findings reported on the way.

use std::path::Path;

use policy_lang::Policy;
use policy_lang::check::check;
use policy_lang::diagnostic::{Diagnostic, Severity};
use policy_lang::source::SourceFile;

use super::{Console, input};
use crate::exit::Failure;
use crate::render::Report;

/// What a policy file holds.
#[derive(Debug)]
pub(crate) struct PolicyFile {
    /// Its text.
    pub(crate) source: SourceFile,
    /// Its meaning, if it has no errors.
    pub(crate) policy: Option<Policy>,
    /// How many errors were reported.
    pub(crate) errors: usize,
    /// How many warnings were reported.
    pub(crate) warnings: usize,
}

impl PolicyFile {
    /// Reads and checks a policy, and reports what is wrong with it.
    pub(crate) fn open(path: &Path, console: &mut Console) -> Result<Self, Failure> {
        let (source, not_text) = read_text(path)?;
        let (policy, findings) = match not_text {
            Some(finding) => (None, vec![finding]),
            None => check(&source),
        };
        report_all(&source, &findings, console)?;
        let count = |severity| {
            findings
                .iter()
                .filter(|found| found.severity == severity)
                .count()
        };
        Ok(Self {
            source,
            policy,
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
        })
    }
}

/// Reads the text of a policy, with a finding if it is not UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<(SourceFile, Option<Diagnostic>), Failure> {
    input::policy(path)
}

/// Reports findings about one policy.
pub(crate) fn report_all(
    source: &SourceFile,
    findings: &[Diagnostic],
    console: &mut Console,
) -> Result<(), Failure> {
    findings
        .iter()
        .try_for_each(|found| console.report(Some(source), &Report::from(found)))
}
