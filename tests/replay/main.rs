//! Replays the corpus of the fuzz targets without a fuzzer: seeds, and whatever a fuzzer once found.

use std::fs;
use std::path::Path;

use tests::fuzz;

fn replay(corpus: &str, target: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(corpus);
    let mut files: Vec<_> = fs::read_dir(directory)
        .expect("a corpus")
        .map(|entry| entry.expect("a readable entry").path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        // Shown if the target panics.
        println!("{}", file.display());
        target(&fs::read(&file).expect("a readable file"));
    }
}

#[test]
fn policies() {
    for corpus in [
        "fuzz/corpus/policy",
        "cases/accept",
        "cases/warn",
        "cases/reject",
    ] {
        replay(corpus, fuzz::policy);
    }
}

#[test]
fn captures() {
    replay("fuzz/corpus/capture", fuzz::capture);
}

#[test]
fn listings() {
    replay("fuzz/corpus/listing", fuzz::listing);
}
