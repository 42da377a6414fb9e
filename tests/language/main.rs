//! The language by its corpus: one file, one case, one named test.
//!
//! `cases/accept` has no finding, `cases/warn` only warnings, `cases/reject` at least one error.
//! The findings of the latter two are listed in the first lines of the file, each as
//! `# expect: CODE at "text under the primary span"`, in the order of the text; all of them and
//! no others must be found. Every code must have a case, and every fix must mend its finding.

mod meaning;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};
use policy_lang::check;
use policy_lang::check::overlap::unreachable_rules;
use policy_lang::diagnostic::{Code, Diagnostic, Severity};
use policy_lang::policy::Policy;
use policy_lang::set::Space;
use policy_lang::source::SourceFile;
use policy_lang::syntax::{self, MAX_POLICY_BYTES, MAX_SET_VALUES, MAX_STATEMENT_LEXEMES};

fn main() {
    let mut trials = Vec::new();
    let mut covered = BTreeSet::new();
    for kind in ["accept", "warn", "reject"] {
        for path in files(kind) {
            let name = format!("{kind}/{}", path.file_stem().unwrap().to_string_lossy());
            let expected = expectations(&load(&path).0);
            covered.extend(expected.iter().map(|(code, _)| code.clone()));
            trials.push(Trial::test(name, move || case(kind, &path, &expected)));
        }
    }
    for (code, text) in large() {
        covered.insert(code.as_str().to_owned());
        trials.push(Trial::test(format!("large/{code}"), move || {
            let found: Vec<_> = check(&SourceFile::new("case", text)).1;
            let codes: Vec<_> = found.iter().map(|found| found.code).collect();
            equal(&codes, &vec![code])
        }));
    }
    trials.push(Trial::test("every code has a case", move || {
        let codes = Code::ALL.iter().map(|code| code.as_str());
        let missing: Vec<_> = codes.filter(|&code| !covered.contains(code)).collect();
        equal(&missing, &Vec::new())
    }));
    trials.push(Trial::test("every example of a code triggers it", || {
        for &code in Code::ALL.iter().filter(|code| !code.example().is_empty()) {
            let found: Vec<_> = findings(&SourceFile::new("case", code.example())).1;
            if found.iter().all(|found| found.code != code) {
                return Err(format!("{code}: {:?} gives {found:#?}", code.example()).into());
            }
        }
        Ok(())
    }));
    trials.push(Trial::test(
        "conditions hold where the table says",
        meaning::conditions_hold_where_the_table_says,
    ));
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn files(kind: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("cases")
        .join(kind);
    let mut files: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no cases in {}", dir.display());
    files
}

fn load(path: &Path) -> (SourceFile, Option<Diagnostic>) {
    SourceFile::from_bytes(path.display().to_string(), &fs::read(path).unwrap())
}

/// All that there is to say about a policy.
fn findings(source: &SourceFile) -> (Option<Policy>, Vec<Diagnostic>) {
    let (policy, mut found) = check(source);
    if let Some(policy) = &policy {
        let space = Space::new(1 << 18).unwrap();
        found.extend(unreachable_rules(policy, &space).unwrap());
    }
    (policy, found)
}

/// The findings listed at the head of a case: code and text.
fn expectations(source: &SourceFile) -> Vec<(String, String)> {
    let lines = source
        .text()
        .lines()
        .map_while(|line| line.strip_prefix("# expect: "));
    let read = |line: &str| {
        let (code, text) = line.split_once(" at \"").expect("CODE at \"text\"");
        let text = text.strip_suffix('"').expect("closing quote");
        (
            code.to_owned(),
            text.replace("\\\"", "\"").replace("\\\\", "\\"),
        )
    };
    lines.map(read).collect()
}

fn case(kind: &str, path: &Path, expected: &[(String, String)]) -> Result<(), Failed> {
    let (source, unreadable) = load(path);
    let (policy, mut found) = findings(&source);
    found.extend(unreadable);
    let listed: Vec<_> = found
        .iter()
        .map(|found| {
            (
                found.code.to_string(),
                source.slice(found.primary.span).to_owned(),
            )
        })
        .collect();
    equal(&listed, &expected.to_vec())
        .map_err(|e| format!("{}\n{found:#?}", e.message().unwrap()))?;
    let worst = found.iter().map(|found| found.severity).max();
    let wanted = match kind {
        "accept" => None,
        "warn" => Some(Severity::Warning),
        _ => Some(Severity::Error),
    };
    equal(&worst, &wanted)?;
    for diagnostic in &found {
        well_formed(diagnostic)?;
        fix_mends(&source, diagnostic, &found)?;
    }
    match policy {
        Some(policy) => formatting_keeps_the_meaning(&source, &policy),
        None => equal(&kind, &"reject"),
    }
}

/// Messages start in lower case or with user input, and end without a stop.
fn well_formed(found: &Diagnostic) -> Result<(), Failed> {
    let labels = found
        .secondary
        .iter()
        .chain([&found.primary])
        .map(|label| &label.message);
    for text in labels.chain(&found.help).chain([&found.message]) {
        let capital = text.starts_with(char::is_uppercase)
            && !["IPv4", "TCP", "UDP", "MAC", "VLAN"]
                .iter()
                .any(|name| text.starts_with(name));
        if capital || text.ends_with('.') || text.contains('\n') {
            return Err(format!("{}: badly worded: {text:?}", found.code).into());
        }
    }
    Ok(())
}

/// A fix that a tool applies unasked must make its finding go away and bring no other.
fn fix_mends(source: &SourceFile, found: &Diagnostic, all: &[Diagnostic]) -> Result<(), Failed> {
    let Some(fix) = &found.fix else { return Ok(()) };
    let mended = fix
        .apply(source.text())
        .ok_or("the fix does not fit the text")?;
    let left = check(&SourceFile::new("mended", mended.clone())).1;
    if left.len() >= all.len() && all.len() < policy_lang::diagnostic::MAX_FINDINGS {
        return Err(format!(
            "{} is not mended by {fix:?}:\n{mended}\n{left:#?}",
            found.code
        )
        .into());
    }
    Ok(())
}

/// A policy without its places, for comparing.
fn meaning(policy: &Policy) -> String {
    let text = format!("{policy:#?}");
    let place = |line: &str| {
        let line = line.trim();
        ["span: ", "default_span: ", "start: ", "end: "]
            .iter()
            .any(|start| line.starts_with(start))
    };
    text.lines()
        .filter(|line| !place(line))
        .collect::<Vec<_>>()
        .join("\n")
}

fn formatting_keeps_the_meaning(source: &SourceFile, policy: &Policy) -> Result<(), Failed> {
    let formatted = syntax::print(&syntax::parse(source).0);
    let (again, found) = check(&SourceFile::new("formatted", formatted.clone()));
    let again = again.ok_or_else(|| format!("{formatted}\n{found:#?}"))?;
    equal(&meaning(&again), &meaning(policy))?;
    let twice = syntax::print(&syntax::parse(&SourceFile::new("formatted", formatted.clone())).0);
    equal(&twice, &formatted)
}

/// Cases too large for a file.
fn large() -> Vec<(Code, String)> {
    let values = "1, ".repeat(MAX_SET_VALUES);
    let words = "not tcp ".repeat(MAX_STATEMENT_LEXEMES / 2 + 1);
    vec![
        (Code::PolicyTooLarge, "#".repeat(MAX_POLICY_BYTES + 1)),
        (
            Code::SetTooLarge,
            format!("buffer udp dport {{ {values}1 }};"),
        ),
        (Code::StatementTooLong, format!("buffer {words};")),
    ]
}

fn equal<T: PartialEq + std::fmt::Debug>(found: &T, wanted: &T) -> Result<(), Failed> {
    if found == wanted {
        return Ok(());
    }
    Err(format!("found  {found:#?}\nwanted {wanted:#?}").into())
}
