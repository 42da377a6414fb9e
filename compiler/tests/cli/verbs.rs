//! Each verb does what its help says, and ends as it says.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::program::{command, run, run_with};

const VERBS: [&str; 13] = [
    "check", "fmt", "compile", "verify", "diff", "query", "simplify", "explain", "trace", "replay",
    "simulate", "tune", "test",
];

/// What `--help` prints, without the blanks that clap leaves at the ends of lines.
fn help(args: &[&str]) -> String {
    let printed = run(args).exits(0).out;
    printed
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

#[test]
fn help_is_as_it_was() {
    insta::assert_snapshot!("help", help(&["--help"]));
    for verb in VERBS {
        insta::assert_snapshot!(format!("help-{verb}"), help(&[verb, "--help"]));
    }
}

#[test]
fn wrong_use_is_2() {
    for args in [
        &[][..],
        &["chekc"],
        &["check"],
        &["check", "--color", "red", "-"],
        &["check", "no/such.gate"],
        &["check", "."],
        &["compile", "-", "--backend", "xdp"],
        &["compile", "-", "--vif", "a", "--ifb", "a"],
        &["compile", "-", "--gate", "pfifo"],
        &["compile", "-", "--gate", "epochgate", "--emit", "xen-hook"],
        &["explain", "-"],
        &["explain", "-", "udp"],
        &["explain", "-", "udp 10.0.0.1:1 > 10.0.0.2:99999"],
        &["explain", "-", "--pcap", "-"],
        &["explain", "-", "arp", "--frame", "1"],
        &["trace", "-", "-"],
        &["trace", "-", "no/such.pcap"],
        &["test", "-", "--frames", "-1"],
    ] {
        let run = run(args).exits(2);
        assert!(!run.err.is_empty(), "{args:?} says nothing");
        assert_eq!(run.out, "", "{args:?}");
    }
}

#[test]
fn check_says_what_it_proved() {
    let run = run_with(
        &["check", "--no-lints", "-"],
        b"buffer tcp; expect buffer tcp; expect bypass udp;",
    );
    insta::assert_snapshot!("check-broken", run.exits(1).transcript());
    let run = run_with(
        &["check", "--no-lints", "-"],
        b"buffer tcp; bypass udp; default bypass; expect buffer tcp;",
    );
    let said = "<stdin>: 2 rules, default bypass, 1 expectation proved\n";
    assert_eq!(run.exits(0).out, said);
}

#[test]
fn warnings_fail_only_if_denied() {
    let policy = b"let a = udp; buffer tcp;";
    let run = run_with(&["check", "-"], policy).exits(0);
    assert!(run.err.contains("warning[W0201]"), "{}", run.err);
    run_with(&["check", "--deny-warnings", "-"], policy).exits(1);
}

#[test]
fn one_bad_policy_among_many_is_enough() {
    let run = run(&[
        "check",
        "tests/cases/accept/voip.gate",
        "tests/cases/reject/arp-and-tcp.gate",
    ]);
    assert_eq!(run.exits(1).out.lines().count(), 2);
}

#[test]
fn fmt_changes_files_in_place() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a.gate");
    let name = file.to_str().unwrap();
    fs::write(&file, "buffer   tcp;# kept\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let checked = run(&["fmt", "--check", name]).exits(1);
    assert!(checked.out.contains("not formatted"), "{}", checked.out);
    assert_eq!(fs::read_to_string(&file).unwrap(), "buffer   tcp;# kept\n");
    run(&["fmt", name]).exits(0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "buffer tcp; # kept\n");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o640
    );
    run(&["fmt", "--check", name]).exits(0);
    fs::write(&file, "buffer tcp").unwrap();
    assert_eq!(
        run_with(&["fmt", "-"], b"buffer tcp").exits(0).out,
        "buffer tcp;\n"
    );
}

#[test]
fn fmt_leaves_alone_what_it_cannot_read() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("a.gate");
    for text in [&b"buffer   (tcp;"[..], b"buffer   tcp; # \xff"] {
        fs::write(&file, text).unwrap();
        run(&["fmt", file.to_str().unwrap()]).exits(1);
        assert_eq!(fs::read(&file).unwrap(), text);
    }
}

#[test]
fn colours_are_asked_for() {
    let coloured = |args: &[&str]| {
        run_with(args, b"buffer upd;")
            .exits(1)
            .err
            .contains('\u{1b}')
    };
    assert!(
        !coloured(&["check", "-"]),
        "standard error is no terminal here"
    );
    assert!(coloured(&["check", "-", "--color", "always"]));
    assert!(!coloured(&["--color=never", "check", "-"]));
}

#[test]
fn findings_as_json_are_one_object_per_line() {
    let run = run_with(
        &["check", "-", "--error-format", "json"],
        b"buffer upd; bypass tpc;",
    )
    .exits(1);
    let lines: Vec<serde_json::Value> = run
        .err
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    insta::assert_json_snapshot!("check-json", lines);
    let failed = run_with(&["check", "no-such", "--error-format", "json"], b"").exits(2);
    assert!(
        serde_json::from_str::<serde_json::Value>(&failed.err).is_ok(),
        "{}",
        failed.err
    );
}

#[test]
fn nobody_is_left_to_read() {
    let mut child = command(&[
        "compile",
        "tests/cases/accept/voip.gate",
        "--emit",
        "script",
    ])
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "quiet");
    assert_eq!(
        output.status.code(),
        Some(2),
        "but not as if all had been written"
    );
}

#[test]
fn test_covers_every_rule() {
    let policy = b"buffer tcp; bypass udp dport 5; bypass udp dport 5 ttl 3; default buffer;";
    let run = run_with(&["test", "-", "--frames", "300", "--seed", "7"], policy);
    insta::assert_snapshot!("test-coverage", run.exits(0).transcript());
}

#[test]
fn test_repeats_itself() {
    let policy = b"bypass udp dport {1, 7-9}; bypass ip6;";
    let run = |seed| {
        run_with(&["test", "-", "--frames", "200", "--seed", seed], policy)
            .exits(0)
            .out
    };
    assert_eq!(run("3"), run("3"));
    assert_ne!(run("3"), run("4"));
}

/// The same program, in numbers and in words.
#[test]
fn a_program_can_be_read() {
    let policy = b"bypass udp dport 16384-32767; bypass ip6 dst 2001:db8::/32;";
    let emit = |what| {
        let args = ["compile", "--backend", "bpf", "--emit", what, "-"];
        run_with(&args, policy).exits(0).out
    };
    insta::assert_snapshot!("program", emit("asm"));
    let numbers = emit("bytecode");
    let lines = emit("asm").lines().count();
    assert!(numbers.starts_with(&format!("{lines},")), "{numbers}");
    assert!(emit("rules").contains(numbers.trim_end()));
    run_with(&["compile", "--emit", "asm", "-"], policy).exits(2);
}

/// Which back end it becomes depends on the kernel, and on the policy: nft sees no 802.3 length behind a tag.
#[test]
fn a_back_end_is_chosen_and_said_why() {
    for (policy, refused) in [
        ("bypass udp dport 16384-32767;", None),
        ("bypass ethertype 0x100-0x200;", Some("nft")),
    ] {
        let chosen = run_with(&["compile", "--backend", "auto", "-"], policy.as_bytes()).exits(0);
        let said = chosen.err.strip_prefix("epochgate: back end ");
        let (kind, why) = said.and_then(|said| said.split_once(": ")).unwrap();
        assert!(
            why.contains("Linux ") || why.contains("was not asked"),
            "{why}"
        );
        if let Some(refused) = refused {
            assert_ne!(kind, refused);
            let says = format!("; {refused} can't express `ethertype`");
            assert!(why.contains(&says) || !why.contains("not asked"), "{why}");
        }
        let asked = run_with(&["compile", "--backend", kind, "-"], policy.as_bytes());
        assert_eq!(chosen.out, asked.exits(0).out);
    }
}
