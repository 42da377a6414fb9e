//! For each lint one policy that it fires for, and one like it that it must not.

use super::*;
use policy_lang::check;

fn found(text: &str) -> Vec<Lint> {
    let (policy, errors) = check(&SourceFile::new("case", text));
    let policy = policy.unwrap_or_else(|| panic!("{text}: {errors:?}"));
    let space = Space::new(1 << 20).unwrap();
    let mut found = lints(&space, &policy).unwrap();
    found.extend(overflow(&policy, 125_000_000));
    for lint in &found {
        assert!(LINTS.iter().any(|(code, _)| *code == lint.code));
    }
    found
}

/// Code, a policy that it fires for, and one that it must not.
const CASES: [(&str, &str, &str); 21] = [
    (
        "L0101",
        "buffer tcp; bypass arp;",
        "buffer tcp; bypass ip; default buffer;",
    ),
    (
        "L0102",
        "bypass udp sport 5004; buffer udp dport 5060; bypass arp;",
        "bypass udp sport 5004; buffer udp; bypass arp;",
    ),
    ("L0201", "bypass tcp dport 80;", "bypass udp dport 80;"),
    (
        "L0202",
        "bypass udp;",
        "buffer udp port { 5060, 5061 }; bypass udp;",
    ),
    ("L0203", "bypass udp sport 53;", "bypass udp sport 54;"),
    (
        "L0204",
        "bypass udp sport 67 dport 68;",
        "bypass udp sport 69;",
    ),
    ("L0205", "bypass proto esp;", "bypass proto gre;"),
    (
        "L0206",
        "bypass udp sport 51820;",
        "bypass udp sport 51820 rtp;",
    ),
    (
        "L0207",
        "bypass udp dport 443;",
        "bypass udp sport 5000 dport 443;",
    ),
    ("L0208", "bypass udp sport 1194;", "bypass udp sport 1195;"),
    ("L0209", "bypass sctp;", "bypass udplite;"),
    (
        "L0210",
        "bypass udp sport 5000-6000;",
        "bypass udp sport 5000-6000 rtp;",
    ),
    (
        "L0301",
        "bypass udp sport 5004 rtp;",
        "bypass udp sport 5004;",
    ),
    (
        "L0302",
        "bypass udp sport 5004; bypass tcp;",
        "bypass udp sport 5004-5005; bypass tcp;",
    ),
    ("L0303", "bypass udp;", "bypass udp sport 5004;"),
    ("L0401", "default bypass;", "buffer arp; default bypass;"),
    ("L0402", "buffer tcp;", "bypass arp;"),
    (
        "L0403",
        "bypass udp dport 16384-32767 rtp;",
        "bypass udp dport 16384-32767 rtp; bypass udp sport 16384-32767 rtp;",
    ),
    (
        "L0501",
        "gate { interval 300ms; }; bypass arp;",
        "gate { interval 200ms; }; bypass arp;",
    ),
    (
        "L0502",
        "gate { limit 64KiB; }; bypass arp;",
        "gate { limit 65553B; }; bypass arp;",
    ),
    (
        "L0503",
        "gate { interval 40ms; limit 8MiB; }; bypass arp;",
        "gate { interval 40ms; limit 10MiB; }; bypass arp;",
    ),
];

#[test]
fn each_lint_fires_where_it_must_and_nowhere_else() {
    for ((code, fires, silent), (listed, _)) in CASES.into_iter().zip(LINTS) {
        assert_eq!(code, listed);
        let fires: Vec<_> = found(fires).into_iter().map(|lint| lint.code).collect();
        assert!(fires.contains(&code), "{code} is not among {fires:?}");
        let silent = found(silent);
        assert!(silent.iter().all(|lint| lint.code != code), "{code} fires");
    }
}

#[test]
fn the_frames_of_a_split_flow_are_one_flow() {
    use policy_lang::field::Field;
    use policy_lang::packet::Packet;
    let text = "bypass udp sport 5004 rtp;";
    let split = found(text).into_iter().find(|lint| lint.code == "L0301");
    let frames = split.unwrap().frames;
    let (policy, _) = check(&SourceFile::new("case", text));
    let policy = policy.unwrap();
    let verdicts: Vec<_> = frames
        .iter()
        .map(|frame| policy_lang::classify(&policy, frame).verdict.keyword())
        .collect();
    assert_eq!(verdicts, ["buffer", "bypass"]);
    for field in [
        Field::Protocol,
        Field::Src4,
        Field::Dst4,
        Field::Sport,
        Field::Dport,
    ] {
        let [first, second] = [0, 1].map(|at: usize| Packet::new(&frames[at]).read(field));
        assert!(first.is_some() && first == second, "{field:?}");
    }
}

/// The lint of this code for a policy, if it finds anything.
fn of(code: &str, text: &str) -> Option<Lint> {
    found(text).into_iter().find(|lint| lint.code == code)
}

#[test]
fn a_rule_holds_less_than_it_names_only_where_that_is_not_plain() {
    let overlap = |text: &str| of("L0102", text);
    // A special case in front of what is held all around it.
    assert_eq!(overlap("bypass udp dport 5; buffer udp; bypass arp;"), None);
    // The safe side: what was to pass is held.
    assert_eq!(
        overlap("buffer udp dport 5; bypass udp sport 6; bypass arp;"),
        None
    );
    // A rule that never decides is another finding.
    assert_eq!(overlap("bypass udp; buffer udp dport 5; bypass arp;"), None);
    // The same verdict.
    assert_eq!(overlap("bypass udp sport 5; bypass udp dport 6;"), None);
    let text = "bypass arp; bypass udp dport 7; bypass udp sport 5; buffer udp dport 7-9;";
    let lint = overlap(text).unwrap();
    let named = |span: Span| SourceFile::new("case", text).slice(span).to_owned();
    assert_eq!(named(lint.span.unwrap()), "buffer udp dport 7-9");
    assert_eq!(named(lint.also.unwrap().0), "bypass udp sport 5");
}

#[test]
fn reports_belong_to_the_media_at_the_port_before() {
    use policy_lang::field::Field;
    use policy_lang::packet::Packet;
    let lint = of("L0302", "bypass udp sport 5004;").unwrap();
    let port = |at: usize, field| Packet::new(&lint.frames[at]).read(field).unwrap();
    assert_eq!([port(0, Field::Sport), port(1, Field::Sport)], [5005, 5004]);
    assert_eq!(port(0, Field::Dport), port(1, Field::Dport) + 1);
    // All that is held is what signalling has: no media is at these ports.
    let signalling = "buffer udp port { 53, 443, 5061 }; bypass udp;";
    assert_eq!(of("L0302", signalling), None);
    assert_eq!(of("L0302", "bypass udp rtcp;"), None, "media is held");
}

#[test]
fn a_dialog_is_split_by_transport_and_by_direction() {
    let split = |text: &str| of("L0303", text).is_some();
    assert!(split("bypass udp port { 5060, 5061 };"), "TCP is held");
    assert!(
        split("bypass (udp or tcp) sport { 5060, 5061 };"),
        "one way"
    );
    assert!(split("bypass udp dst 192.0.2.1;"), "UDP to one host");
    assert!(!split("bypass (udp or tcp) port { 5060, 5061 };"));
    // Media at a port of SIP is another finding: no kind of SIP passes wholly.
    assert!(!split("bypass udp sport 5004;"));
    assert!(!split(
        "bypass udp dst 192.0.2.1; bypass tcp dst 192.0.2.1;"
    ));
    assert!(!split("buffer udp port { 5060, 5061 }; bypass udp;"));
}

#[test]
fn nothing_is_said_of_a_gate_without_an_interval() {
    assert_eq!(of("L0503", "gate { limit 128KiB; }"), None);
    let said = of("L0503", "gate { interval 1s; }").unwrap();
    assert!(said.help[0].contains("`limit 239MiB`"), "{:?}", said.help);
}

#[test]
fn a_reason_keeps_a_rule() {
    assert!(found("buffer tcp because \"shown\"; bypass arp;").is_empty());
}

#[test]
fn what_is_allowed_is_read_from_the_text() {
    let source = SourceFile::new("case", "allow L0301 because \"x\"; allow L9 because \"y\";");
    let allowed = allowances(&source);
    let known: Vec<_> = allowed.iter().map(Allowance::is_known).collect();
    assert_eq!(known, [true, false]);
}
