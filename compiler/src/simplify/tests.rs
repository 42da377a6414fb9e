//! Which rules go and which stay, and what becomes of what stands around them.

use super::*;
use policy_lang::check;

fn simple(text: &str) -> Simplified {
    let source = SourceFile::new("case", text);
    let (policy, errors) = check(&source);
    let policy = policy.unwrap_or_else(|| panic!("{text}: {errors:?}"));
    let space = Space::new(1 << 20).unwrap();
    simplify(&space, &source, &policy, &AtomicU64::new(0)).unwrap()
}

/// What is left of a text.
fn left(text: &str) -> String {
    simple(text).text
}

#[test]
fn rules_go_that_change_nothing() {
    assert_eq!(left("buffer tcp; bypass arp;"), "bypass arp;\n");
    assert_eq!(
        left("bypass udp; bypass udp dport 5;"),
        "bypass udp;\n",
        "never decides"
    );
    assert_eq!(
        left("bypass udp dport 5; bypass udp;"),
        "bypass udp;\n",
        "the rule behind says the same"
    );
    // Either may go, but not both.
    assert_eq!(left("bypass arp; bypass arp;"), "bypass arp;\n");
    // The first protects what the second would let pass.
    let needed = "buffer udp dport 5060;\nbypass udp;\n";
    assert_eq!(left(needed), needed);
}

#[test]
fn a_reason_keeps_a_rule_that_decides() {
    let kept = "buffer tcp because \"shown\";\nbypass arp;\n";
    assert_eq!(left(kept), kept);
    assert_eq!(
        left("bypass udp; bypass udp dport 5 because \"voice\";"),
        "bypass udp;\n"
    );
}

#[test]
fn rules_are_joined_that_differ_in_one_field() {
    assert_eq!(
        left("bypass udp dport 5004; bypass dport 5006 udp; bypass udp dport 7000-7001;"),
        "bypass udp dport { 5004, 5006, 7000-7001 };\n"
    );
    assert_eq!(
        left("bypass udp src 10.0.0.0/24 dport 5; bypass udp src 10.0.1.0/24 dport 5;"),
        "bypass udp src 10.0.0.0/23 dport 5;\n"
    );
    // A square of two fields, one field at a time.
    assert_eq!(
        left(
            "bypass udp src 10.0.0.1 dport 5; bypass udp src 10.0.0.1 dport 7;
             bypass udp src 10.9.0.1 dport 5; bypass udp src 10.9.0.1 dport 7;"
        ),
        "bypass udp src { 10.0.0.1, 10.9.0.1 } dport { 5, 7 };\n"
    );
    // A name stays a name.
    assert_eq!(
        left("let media = 7000-7999; bypass udp sport media; bypass udp sport 5004;"),
        "let media = 7000-7999;\nbypass udp sport { 5004, media };\n"
    );
}

#[test]
fn what_can_not_be_joined_stays() {
    for text in [
        "bypass udp dport 5;\nbypass tcp dport 6;\n",
        "bypass udp dport 5 because \"a\";\nbypass udp dport 6 because \"b\";\n",
        "bypass udp not dport 5;\nbypass tcp not dport 6;\n",
        "bypass udp sport 5;\nbypass udp dport 5;\n",
    ] {
        assert_eq!(left(text), text);
    }
}

#[test]
fn a_rule_moves_only_past_rules_that_leave_its_frames_alone() {
    let free = "bypass udp dport 5; buffer udp dport 6; bypass udp dport 7; default bypass;";
    assert_eq!(left(free), "buffer udp dport 6;\ndefault bypass;\n");
    let past = "bypass udp dport 5; buffer tcp; bypass udp dport 7; bypass udp;";
    assert_eq!(left(past), "bypass udp;\n");
    let caught = "bypass udp dport 5;\nbuffer src 10.0.0.0/8;\nbypass udp dport 7;\nbypass arp;\n";
    assert_eq!(left(caught), caught);
    let not_caught = "bypass udp dport 5;\nbuffer tcp;\nbypass udp dport 7;\nbypass ip ttl 9;\n";
    assert_eq!(
        left(not_caught),
        "bypass udp dport { 5, 7 };\nbuffer tcp;\nbypass ip ttl 9;\n"
    );
}

#[test]
fn comments_stay_where_their_rule_stays() {
    let text = "# About the file.
buffer tcp; # goes

# About what follows.

# Goes too.
buffer tcp dport 9;
# Voice.
bypass udp sport 5004; # phones
# Video.
bypass udp sport 5006; # rooms

# At the end.
";
    assert_eq!(
        left(text),
        "# About the file.

# About what follows.

# Voice.
# Video.
# rooms
bypass udp sport { 5004, 5006 }; # phones

# At the end.
"
    );
}

#[test]
fn what_is_not_used_goes_with_a_word() {
    let text = "let a = 5004; let b = udp dport a; let c = 9;
        buffer b; bypass arp; expect buffer udp dport c; gate { interval 40ms; }
        allow L0101 because \"shown\"; allow L0301 because \"no ICE\";";
    let simple = simple(text);
    assert_eq!(
        simple.text,
        "let c = 9;\nbypass arp;\nexpect buffer udp dport c;\ngate {\n    interval 40ms;\n}\n\
         allow L0301 because \"no ICE\";\n"
    );
    let why: Vec<_> = simple.gone.into_iter().map(|gone| gone.why).collect();
    assert_eq!(
        why,
        [
            Why::UnusedName(String::from("a")),
            Why::UnusedName(String::from("b")),
            Why::Redundant { rule: 0 },
            Why::AllowedForNothing(String::from("L0101")),
        ]
    );
}

#[test]
fn what_is_simple_stays_as_it_is() {
    let text = "# None.\nbypass arp;\n\ndefault buffer;\n";
    let simple = simple(text);
    assert_eq!((simple.text.as_str(), simple.rules), (text, 1));
    assert!(simple.gone.is_empty());
}

/// The second buffer rule goes to the first, and what came behind it must not pass it on the way.
#[test]
fn no_rule_passes_one_that_goes_away_itself() {
    let text = "bypass udp sport 1;\nbuffer udp sport 7 dport 5;\nbuffer udp sport 2 dport 5;\n\
                bypass udp sport 2;\nbypass udp dport 5;\n";
    assert_eq!(simple(text).rules, 4);
}
