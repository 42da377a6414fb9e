//! Large and deep texts are refused with a clear error, at once and in little memory.

use std::time::{Duration, Instant};

use policy_lang::check;
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

/// As [`codes`], of the check.
fn checked(text: String) -> Vec<Code> {
    let start = Instant::now();
    let (_, diagnostics) = check(&SourceFile::new("test", text));
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "took {:?}",
        start.elapsed()
    );
    diagnostics.iter().map(|found| found.code).collect()
}

/// Many definitions, each made from the number of the one before it and its own.
fn chain(step: impl Fn(usize, usize) -> String, last: &str) -> String {
    const LENGTH: usize = 20_000;
    let lets = (1..LENGTH).map(|at| format!("let a{at} = {};\n", step(at - 1, at)));
    format!(
        "let a0 = 5;\n{}{last} a{};",
        lets.collect::<String>(),
        LENGTH - 1
    )
}

#[test]
fn long_chains_of_names_are_followed() {
    assert_eq!(
        checked(chain(|before, _| format!("a{before}"), "buffer udp dport")).first(),
        Some(&Code::ExpansionTooLarge)
    );
    let short = (1..100)
        .map(|at| format!("let a{at} = a{};\n", at - 1))
        .collect::<String>();
    assert_eq!(checked(format!("let a0 = tcp;\n{short}buffer a99;")), []);
    let backwards = (1..10_000).map(|at| format!("let a{} = a{at};\n", at - 1));
    let text = format!(
        "{}let a9999 = tcp;\nbuffer a0;",
        backwards.collect::<String>()
    );
    assert_eq!(checked(text), []);
}

/// Conditions that names make deeper than any text could be.
#[test]
fn the_deepest_condition_is_checked_and_the_next_is_not() {
    let deeper = |at: usize| format!("let a{at} = not (a{} or vlan {at});\n", at - 1);
    let policy = |depth| {
        let lets: String = (1..=depth).map(deeper).collect();
        let wrapped = format!("{}a{depth}{}", "not (arp or ".repeat(32), ")".repeat(32));
        format!("let a0 = tcp;\n{lets}buffer {wrapped};")
    };
    let found = |depth| checked(policy(depth));
    assert_eq!(found(127), []);
    assert_eq!(found(128), [Code::ExpansionTooLarge]);
}

#[test]
fn many_unknown_names_end_soon() {
    let found = checked(chain(|_, at| format!("b{at}"), "buffer udp dport"));
    assert_eq!(found.len(), 101);
}

#[test]
fn policies_made_to_be_hard_end_soon() {
    let sides = |at: usize| format!("(src 10.0.{}.0/24 or dst 10.{}.0.0/16)", at % 256, at % 250);
    let wide = (0..2000).map(sides).collect::<Vec<_>>().join(" and ");
    checked(format!("buffer {wide};"));
    let hard = |at| {
        format!(
            "buffer {} {} not (tcp or not ip) not (ip6 or not tcp);\n",
            sides(at),
            sides(at + 7)
        )
    };
    checked((0..2000).map(hard).collect());
}
