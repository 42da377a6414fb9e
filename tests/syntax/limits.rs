//! Large and deep texts are refused with a clear error, at once and in little memory.

use std::time::{Duration, Instant};

use policy_lang::diagnostic::Code;
use policy_lang::source::SourceFile;
use policy_lang::syntax::{MAX_DEPTH, MAX_POLICY_BYTES, MAX_SET_VALUES, parse};

/// The codes that a text produces. Unoptimised code may take some seconds for the largest texts.
fn codes(text: String) -> Vec<Code> {
    let start = Instant::now();
    let (_, diagnostics) = parse(&SourceFile::new("test", text));
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "took {:?}",
        start.elapsed()
    );
    diagnostics.iter().map(|found| found.code).collect()
}

fn nested(depth: usize) -> String {
    format!("buffer {}tcp{};", "(".repeat(depth), ")".repeat(depth))
}

#[test]
fn ten_megabytes_are_refused_unread() {
    assert_eq!(
        codes("buffer tcp;\n".repeat(10 << 20).split_off(110 << 20)),
        [Code::PolicyTooLarge]
    );
}

#[test]
fn the_deepest_nesting_is_read_and_one_more_is_not() {
    assert_eq!(codes(nested(MAX_DEPTH)), []);
    assert_eq!(codes(nested(MAX_DEPTH + 1)), [Code::TooDeep]);
    let nots = |count| format!("buffer {}tcp;", "not ".repeat(count));
    assert_eq!(codes(nots(MAX_DEPTH)), []);
    assert_eq!(codes(nots(MAX_DEPTH + 1)), [Code::TooDeep]);
    let mixed = |count| format!("buffer {}tcp{};", "not (".repeat(count), ")".repeat(count));
    assert_eq!(codes(mixed(MAX_DEPTH / 2)), []);
    assert_eq!(codes(mixed(MAX_DEPTH / 2 + 1)), [Code::TooDeep]);
    let set = format!(
        "buffer src {}1{};",
        "{".repeat(MAX_DEPTH + 1),
        "}".repeat(MAX_DEPTH + 1)
    );
    assert_eq!(codes(set), [Code::TooDeep]);
}

#[test]
fn a_wide_text_is_not_a_deep_one() {
    assert_eq!(
        codes(format!("buffer {}tcp;", "not tcp (udp) ".repeat(1000))),
        []
    );
}

#[test]
fn the_largest_set_is_read_and_one_more_value_is_not() {
    let set = |count| format!("buffer dport {{{}1}};", "1,".repeat(count - 1));
    assert_eq!(codes(set(MAX_SET_VALUES)), []);
    assert_eq!(codes(set(MAX_SET_VALUES + 1)), [Code::SetTooLarge]);
}

#[test]
fn texts_full_of_one_thing_end_soon() {
    for piece in [
        "(", "{", ")", "not ", ";", "a;", "buffer ", "\"", "x ", "1,", "-", "é", "#\n",
    ] {
        let mut text = "buffer ".to_owned();
        while text.len() + piece.len() <= MAX_POLICY_BYTES {
            text.push_str(piece);
        }
        let found = codes(text);
        assert!(found.len() <= 101, "{piece}: {} findings", found.len());
        assert!(piece == "#\n" || !found.is_empty(), "{piece} is no policy");
    }
}

#[test]
fn after_a_hundred_findings_it_stops() {
    let found = codes("bufer;\n".repeat(1000));
    assert_eq!(found.len(), 101);
    assert_eq!(found.last(), Some(&Code::TooManyErrors));
}
