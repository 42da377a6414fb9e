//! For each lint one policy that it fires for, and one like it that it must not.

use super::*;
use policy_lang::check;

fn found(text: &str) -> Vec<Lint> {
    let (policy, errors) = check(&SourceFile::new("case", text));
    let policy = policy.unwrap_or_else(|| panic!("{text}: {errors:?}"));
    let space = Space::new(1 << 20).unwrap();
    let found = lints(&space, &policy).unwrap();
    for lint in &found {
        assert!(LINTS.iter().any(|(code, _)| *code == lint.code));
    }
    found
}

/// Code, a policy that it fires for, and one that it must not.
const CASES: [(&str, &str, &str); 17] = [
    (
        "L0101",
        "buffer tcp; bypass arp;",
        "buffer tcp; bypass ip; default buffer;",
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
