//! What the parser says about slips that people make.

use policy_lang::diagnostic::{Code, Diagnostic};
use policy_lang::source::SourceFile;
use policy_lang::syntax::parse;

fn findings(text: &str) -> Vec<Diagnostic> {
    parse(&SourceFile::new("test", text)).1
}

/// The only finding about `text`: its message, the text it points at, and the text once fixed.
fn one(text: &str) -> (String, &str, Option<String>) {
    let found = findings(text);
    let [found] = found.as_slice() else {
        panic!("not one finding in {text}: {found:#?}")
    };
    let span = found.primary.span;
    let fixed = found.fix.as_ref().and_then(|fix| fix.apply(text));
    (found.message.clone(), &text[span.start..span.end], fixed)
}

#[test]
fn every_syntax_code_has_an_example_that_triggers_it() {
    for code in Code::ALL {
        if code.as_str().starts_with("E01") && !code.example().is_empty() {
            let found: Vec<_> = findings(code.example())
                .iter()
                .map(|found| found.code)
                .collect();
            assert_eq!(found, [*code], "{}", code.example());
        }
    }
}

#[test]
fn misspelt_words_come_with_a_fix() {
    let fixed = |text| one(text).2;
    assert_eq!(fixed("bufer tcp;").as_deref(), Some("buffer tcp;"));
    assert_eq!(fixed("Bypass tcp;").as_deref(), Some("bypass tcp;"));
    // What another tool calls `accept` may not be what is wanted here.
    assert_eq!(fixed("accept tcp;"), None);
    assert_eq!(fixed("default bufer;").as_deref(), Some("default buffer;"));
    assert_eq!(
        fixed("buffer udp dprt 5;").as_deref(),
        Some("buffer udp dport 5;")
    );
    assert_eq!(
        fixed("buffer tcp && udp;").as_deref(),
        Some("buffer tcp and udp;")
    );
    assert_eq!(fixed("buffer !tcp;").as_deref(), Some("buffer not tcp;"));
    assert_eq!(
        fixed("buffer tcp\nbypass udp;").as_deref(),
        Some("buffer tcp;\nbypass udp;")
    );
    assert_eq!(fixed("buffer tcp;;").as_deref(), Some("buffer tcp;"));
}

#[test]
fn the_message_says_what_could_stand_there() {
    let (message, at, _) = one("buffer tcp and;");
    assert_eq!(
        message,
        "expected a condition such as `tcp` or `udp dport 5060`, found the end of the statement"
    );
    assert_eq!(at, "and");
    let (message, at, _) = one("buffer udp dport and tcp;");
    assert_eq!(
        message,
        "expected a port, a range such as `16384-32767` or a set, found `and`"
    );
    assert_eq!(at, "and");
    let (message, ..) = one("let x tcp;");
    assert_eq!(message, "expected `=`, found `tcp`");
    let (message, at, _) = one("buffer tcp 80;");
    assert_eq!((message.as_str(), at), ("`tcp` takes no value", "80"));
    let (message, ..) = one("buffer tcp because state;");
    assert_eq!(message, "expected a reason in quotes, found `state`");
    let (message, ..) = one("expect tcp;");
    assert_eq!(message, "expected `buffer` or `bypass`, found `tcp`");
    let (message, ..) = one("buffer dport { 1, };");
    assert_eq!(message, "expected a value, a range or a set, found `}`");
    let (message, ..) = one("gate { interval 40ms limit; { } }");
    assert_eq!(
        message,
        "expected a setting such as `interval 40ms` or `}`, found `{`"
    );
}

#[test]
fn an_error_leaves_the_other_statements_readable() {
    let text = "bufer tcp;\nbypass (udp\nbuffer arp;\nlet = 5;\nbuffer \"x;\nbuffer ip;";
    let source = SourceFile::new("test", text);
    let (tree, found) = parse(&source);
    let at: Vec<_> = found
        .iter()
        .map(|found| (found.code, source.place(found.primary.span.start).line))
        .collect();
    assert_eq!(
        at,
        [
            (Code::UnknownStatement, 1),
            (Code::Unclosed, 2),
            (Code::Unexpected, 4),
            (Code::UnterminatedString, 5),
        ]
    );
    assert_eq!(tree.statements.len(), 6);
}

#[test]
fn a_place_is_never_inside_a_character() {
    let text = "é buffer";
    let found = findings(text)
        .into_iter()
        .find(|found| found.code == Code::MissingSemicolon);
    let found = found.expect("`buffer` starts another statement");
    assert_eq!(&text[found.primary.span.start..found.primary.span.end], "é");
    assert_eq!(
        found.fix.and_then(|fix| fix.apply(text)).as_deref(),
        Some("é; buffer")
    );
}
