//! What holds of the syntax for every text: reading never fails, printing and reading are
//! inverse, the formatter is idempotent and loses no comment, and the limits keep large texts
//! cheap.

mod generate;
mod limits;
mod messages;

use generate::{file, scattered};
use policy_lang::check;
use policy_lang::source::SourceFile;
use policy_lang::syntax::tree::File;
use policy_lang::syntax::{parse, print};
use proptest::prelude::*;

/// Reads a text that must have no errors.
fn read(text: &str) -> File {
    let (tree, diagnostics) = parse(&SourceFile::new("test", text));
    assert!(diagnostics.is_empty(), "{diagnostics:#?}\nin\n{text}");
    tree
}

/// A tree as text without its places, for comparing.
fn bare(tree: &File) -> String {
    let debug = format!("{tree:#?}");
    let places = ["span: Span", "head: Span", "start:", "end: "];
    let is_place = |line: &str| {
        let line = line.trim();
        places.iter().any(|place| line.starts_with(place)) && !line.starts_with("end: [")
    };
    debug
        .lines()
        .filter(|line| !is_place(line))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The comments of a text, sorted.
fn comments(text: &str) -> Vec<&str> {
    let mut found: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once("#~"))
        .map(|(_, c)| c.trim_end())
        .collect();
    found.sort_unstable();
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// A tree that is printed and read again is the same tree.
    #[test]
    fn print_then_parse_is_identity(tree in file()) {
        let text = print(&tree);
        let again = read(&text);
        prop_assert_eq!(bare(&again), bare(&tree), "\n{}", text);
        prop_assert_eq!(print(&again), text);
    }

    /// However a policy is laid out and commented, formatting it once is enough, changes nothing
    /// but layout, and keeps every comment.
    #[test]
    fn formatting_is_idempotent_and_keeps_comments(text in scattered()) {
        let first = print(&read(&text));
        let second = print(&read(&first));
        prop_assert_eq!(&second, &first, "\nfrom\n{}", text);
        prop_assert_eq!(comments(&first), comments(&text), "\nfrom\n{}\nto\n{}", text, first);
        let words = |text: &str| -> Vec<String> {
            let code = text.lines().map(|line| line.split("#~").next().unwrap_or(""));
            let code = code.collect::<Vec<_>>().join(" ").replace("};", "}").replace("gate", ";gate");
            let code = code.replace(|c: char| "(){},;".contains(c), " ");
            code.split_whitespace().map(str::to_owned).collect()
        };
        prop_assert_eq!(words(&first), words(&text));
    }

    /// No text makes the parser or the check fail, and every span it reports can be cut out of the text.
    #[test]
    fn any_text_is_read_and_checked(text in prop_oneof![".*", generate::token_soup(), generate::damaged()]) {
        let source = SourceFile::new("test", text.clone());
        let (tree, diagnostics) = parse(&source);
        let (policy, checked) = check(&source);
        prop_assert_eq!(policy.is_some(), checked.iter().all(|found| !found.is_error()));
        for found in diagnostics.iter().chain(&checked) {
            for label in found.secondary.iter().chain([&found.primary]) {
                prop_assert!(text.get(label.span.start..label.span.end).is_some(), "{:?}", found);
            }
            if let Some(fix) = &found.fix {
                prop_assert!(fix.apply(&text).is_some(), "{:?}", found);
            }
        }
        let printed = print(&tree);
        if diagnostics.is_empty() {
            prop_assert_eq!(print(&read(&printed)), printed);
        }
    }

    /// Bytes that are not text are no exception.
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let (source, _) = SourceFile::from_bytes("test", &bytes);
        let (policy, found) = check(&source);
        prop_assert_eq!(policy.is_some(), found.iter().all(|found| !found.is_error()));
    }
}

#[test]
fn a_comment_stays_at_its_value() {
    let text = "\
# The head.

# Phones.
let phones = { # all of them
  10.0.0.1, # alice
  10.0.0.2  # bob
  # 10.0.0.3 was carol
}; # done
buffer tcp # state
  because \"exact\";
gate { interval 40ms; # as configured
  # limit 1MiB;
}
bypass udp
  # media
  (dport 16384-32767 # phones'
   or sport 16384-32767) dst phones;
# the end
";
    let formatted = "\
# The head.

# Phones.
let phones = {
    # all of them
    10.0.0.1, # alice
    10.0.0.2 # bob
    # 10.0.0.3 was carol
}; # done
buffer tcp because \"exact\"; # state
gate {
    interval 40ms; # as configured
    # limit 1MiB;
}
bypass
    udp
    (
        # media
        dport 16384-32767 # phones'
        or sport 16384-32767
    )
    dst phones;
# the end
";
    assert_eq!(print(&read(text)), formatted);
    assert_eq!(print(&read(formatted)), formatted);
}

#[test]
fn every_statement_of_the_grammar_is_built() {
    let text = "\
default bypass;
allow L0301 because \"a reason\";
let a = tcp;
let b = fe80::/10;
let c = { 1, { 2, 3-4 }, 0x10 };
let d = syn+ack;
let e = 00:16:3e:00:00:00-00:16:3e:ff:ff:ff;
expect bypass udp and not (rtp pt 8 or rtcp);
buffer;
buffer vlan and vlan 5 and vlan { 6, 7 } vlan c;
buffer src mac 00:16:3e:01:02:03 dst mac e src b dst 10.0.0.0/8;
bypass proto { esp, udp, 50 } flags syn+ack dscp ef because \"a \\\"quoted\\\" \\\\ reason\";
";
    assert_eq!(print(&read(text)), text);
}

#[test]
fn long_statements_are_opened_up_at_the_last_bracket() {
    let prefixes = (0..8)
        .map(|at| format!("10.{at}.0.0/16"))
        .collect::<Vec<_>>();
    let flat = prefixes.join(", ");
    let lines = prefixes.join(",\n    ");
    let short = format!("bypass udp dst {{ {} }};\n", prefixes[..4].join(", "));
    assert_eq!(print(&read(&short)), short);
    let long = format!("bypass udp dport 16384-32767 dst {{{flat}}} because \"media\";");
    let opened =
        format!("bypass udp dport 16384-32767 dst {{\n    {lines}\n}} because \"media\";\n");
    assert_eq!(print(&read(&long)), opened);
    // With no room for the head of the bracket, every factor gets its own line.
    let ports = "dport { 1000-1999, 3000-3999, 5000-5999, 7000-7999, 9000-9999 }";
    let wide = format!("bypass udp {ports} src 10.255.255.255 dst {{{flat}}};");
    let each = lines.replace('\n', "\n    ");
    let stacked = format!(
        "bypass\n    udp\n    {ports}\n    src 10.255.255.255\n    dst {{\n        {each}\n    }};\n"
    );
    assert_eq!(print(&read(&wide)), stacked);
}
