//! What reports look like, and that no place in no text makes the drawing fail.

use policy_lang::diagnostic::Code;
use proptest::prelude::*;

use super::*;

fn example() -> (SourceFile, Report) {
    let source = SourceFile::new("voip.gate", "let media = 1;\nbuffer upd;\nbypass arp;\n");
    let found = Diagnostic::new(Code::UnknownName, "unknown name `upd`", Span::new(22, 25))
        .label("not a term of the language")
        .also(Span::new(4, 9), "the only name there is")
        .help("names are case-sensitive")
        .fix("write `udp`", Span::new(22, 25), "udp");
    (source, Report::from(&found))
}

#[test]
fn a_report_is_drawn() {
    let (source, report) = example();
    insta::assert_snapshot!(terminal(Some(&source), &report, false));
}

#[test]
fn a_report_is_json() {
    let (source, report) = example();
    let line = json(Some(&source), &report);
    assert!(!line.contains('\n'));
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    insta::assert_json_snapshot!(value);
}

#[test]
fn what_is_not_there_is_null() {
    let value: serde_json::Value = serde_json::from_str(&json(None, &Report::error("no"))).unwrap();
    assert!(value["code"].is_null() && value["file"].is_null() && value["fix"].is_null());
    assert_eq!(value["labels"], serde_json::json!([]));
}

#[test]
fn nothing_in_a_message_reaches_the_terminal_as_a_command() {
    let source = SourceFile::new(
        "\u{1b}]0;title\u{7}",
        "buffer \u{1b}[31m\u{202e}\u{9b}\u{200b};\n",
    );
    let report = Report::error("bad \u{1b}[2J")
        .at(Span::new(7, 9), "\u{9b}1m")
        .note("a\nb");
    let drawn = terminal(Some(&source), &report, false);
    assert!(
        !drawn.contains(|c: char| c.is_control() && c != '\n'),
        "{drawn:?}"
    );
    assert!(!drawn.contains(['\u{202e}', '\u{200b}']), "{drawn:?}");
}

proptest! {
    /// Any spans in any text: the report is drawn and is JSON.
    #[test]
    fn any_place_can_be_drawn(
        text in "[a-zä€😀\u{301}\u{1b}\t \r\n]{0,60}",
        spans in proptest::collection::vec((0_usize..90, 0_usize..90), 1..4),
        colour: bool,
    ) {
        let source = SourceFile::new("x", text);
        let mut report = Report::error("m");
        report.fix = Some(Fix { message: String::from("f"), edits: Vec::new() });
        for (start, end) in spans {
            let span = Span::new(start, end);
            report = report.at(span, "p").also(span, "");
            if let Some(fix) = &mut report.fix {
                fix.edits = vec![(span, String::from("ä\nb"))];
            }
        }
        prop_assert!(!terminal(Some(&source), &report, colour).is_empty());
        prop_assert!(!json(Some(&source), &report).is_empty());
    }
}
