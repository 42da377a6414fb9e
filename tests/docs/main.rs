//! The documents say what the program does: every policy in them is checked and compiled, which
//! proves its claims, and the reference has every code of a finding with an example that gives it.

mod blocks;

use blocks::{Block, Document};
use compiler::backend::Kind;
use compiler::compile::{CompileError, Request, compile};
use compiler::device::Device;
use policy_lang::check::overlap::unreachable_rules;
use policy_lang::diagnostic::Code;
use policy_lang::source::SourceFile;
use policy_lang::syntax::{parse, print};
use policy_lang::{Policy, Space, check};
use tests::examples;

const REFERENCE: &str = "docs/language.md";
const DOCUMENTS: [&str; 2] = [REFERENCE, "README.md"];

/// What a block promises about its policy.
#[derive(Debug, PartialEq, Eq)]
enum Promise {
    /// No findings, and it compiles, which proves its claims.
    Fine,
    /// Findings of this code and no others.
    Finds(Code),
    /// No findings, but a claim that is not true.
    Broken,
    /// No findings, but u32 refuses it and nft does not.
    RefusedByU32,
    /// No findings, but its gate can't be made.
    BadGate,
}

/// The promise of a block that holds a policy.
fn promise(block: &Block) -> Option<Promise> {
    let rest = block.info.strip_prefix("gate")?;
    match rest {
        "" => return Some(Promise::Fine),
        ",broken" => return Some(Promise::Broken),
        ",refused-by-u32" => return Some(Promise::RefusedByU32),
        ",not-compiled" => return Some(Promise::BadGate),
        _ => {}
    }
    let found = rest
        .strip_prefix(",reject=E")
        .map(|number| format!("E{number}"))
        .or_else(|| rest.strip_prefix(",warns=W").map(|n| format!("W{n}")))
        .and_then(|code| Code::from_text(&code));
    let code = found.unwrap_or_else(|| panic!("{}: `{}`?", block.place, block.info));
    Some(Promise::Finds(code))
}

fn checked(block: &Block) -> (Option<Policy>, Vec<Code>) {
    let (policy, mut found) = check(&SourceFile::new(&block.place, block.text.as_str()));
    if let Some(policy) = &policy {
        let space = Space::new(1 << 18).unwrap();
        found.extend(unreachable_rules(policy, &space).unwrap());
    }
    (policy, found.into_iter().map(|found| found.code).collect())
}

/// Every block of the documents that holds a policy.
fn policies() -> Vec<(Block, Promise)> {
    let documents = DOCUMENTS.map(Document::load);
    let blocks = documents.into_iter().flat_map(|document| document.blocks);
    blocks
        .filter_map(|block| promise(&block).map(|promise| (block, promise)))
        .collect()
}

/// What compiling a policy of a document ends with.
fn compiled(block: &Block, policy: &Policy, backend: Kind) -> Result<(), CompileError> {
    let device = |name| Device::new(name).unwrap();
    compile(&Request {
        policy,
        name: &block.place,
        text: &block.text,
        backend,
        vif: device("vif1.0"),
        ifb: device("ifb1"),
    })
    .map(drop)
}

#[test]
fn policies_in_the_documents_are_what_they_are_said_to_be() {
    let policies = policies();
    assert!(policies.len() > 70, "only {} found", policies.len());
    let mut wrong = Vec::new();
    for (block, promise) in &policies {
        let (_, codes) = checked(block);
        let kept = match promise {
            Promise::Finds(code) => !codes.is_empty() && codes.iter().all(|found| found == code),
            _ => codes.is_empty(),
        };
        if !kept {
            wrong.push(format!("{}: {}: found {codes:?}", block.place, block.info));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn policies_in_the_documents_and_the_examples_are_in_the_canonical_form() {
    let documents = policies().into_iter();
    let fine = documents.filter(|(_, promise)| *promise == Promise::Fine);
    let examples = examples::all().into_iter();
    let texts = fine
        .map(|(block, _)| (block.place, block.text))
        .chain(examples.map(|example| (example.name, example.text)));
    for (place, text) in texts {
        let (tree, _) = parse(&SourceFile::new(&place, text.as_str()));
        assert_eq!(print(&tree), text, "{place}");
    }
}

#[test]
fn policies_in_the_documents_compile_unless_they_are_said_not_to() {
    let mut seen = [0; 4];
    for (block, promise) in policies() {
        let (Some(policy), _) = checked(&block) else {
            continue;
        };
        let nft = compiled(&block, &policy, Kind::Nft);
        let (kind, kept) = match promise {
            Promise::Fine | Promise::Finds(_) => (0, nft.is_ok()),
            Promise::Broken => (1, matches!(nft, Err(CompileError::Broken(_)))),
            Promise::RefusedByU32 => {
                let u32 = compiled(&block, &policy, Kind::U32);
                (
                    2,
                    nft.is_ok() && matches!(u32, Err(CompileError::Refused(_))),
                )
            }
            Promise::BadGate => (3, matches!(nft, Err(CompileError::Limit { .. }))),
        };
        assert!(kept, "{}: {}: {nft:?}", block.place, block.info);
        seen[kind] += 1;
    }
    assert!(seen.iter().all(|&count| count > 0), "{seen:?}");
}

#[test]
fn every_code_has_its_section() {
    let document = Document::load(REFERENCE);
    let listed: Vec<_> = document
        .headings
        .iter()
        .filter(|heading| {
            heading
                .split(':')
                .next()
                .and_then(Code::from_text)
                .is_some()
        })
        .cloned()
        .collect();
    let wanted: Vec<_> = Code::ALL
        .iter()
        .map(|code| format!("{code}: {}", code.title()))
        .collect();
    assert_eq!(listed, wanted);
}

#[test]
fn every_code_with_an_example_shows_one_first() {
    let document = Document::load(REFERENCE);
    for &code in Code::ALL.iter().filter(|code| !code.example().is_empty()) {
        let section = format!("{code}: {}", code.title());
        let here: Vec<_> = document
            .blocks
            .iter()
            .filter(|block| block.heading == section)
            .collect();
        let promises: Vec<_> = here.iter().filter_map(|block| promise(block)).collect();
        assert_eq!(
            promises.first(),
            Some(&Promise::Finds(code)),
            "{section}: no example"
        );
    }
}
