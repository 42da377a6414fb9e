//! Whatever bytes a verb is given, it ends with a code of its own: no panic, no signal.

use std::fs;
use std::process::Command;

use proptest::prelude::*;

use crate::program::{Run, run, run_with};

/// A full disk is said, with the place, and leaves neither half a file nor one of two.
#[test]
fn a_full_disk_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let text = "mount -t tmpfs -o size=8k none \"$1\" || exit 77
\"$2\" compile examples/voip.gate -o \"$1\"; code=$?
ls -A \"$1\"; exit $code";
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", text, "sh"])
        .arg(place.path())
        .arg(env!("CARGO_BIN_EXE_epochgate"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output();
    match output {
        Ok(output) if output.status.code() == Some(2) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                said.contains("cannot write") && said.contains("vif1.0"),
                "{said}"
            );
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                "",
                "something is left"
            );
        }
        // Without root, or without a mount of its own, there is no small disk to fill.
        Ok(output) if output.status.code() == Some(0) => panic!("8 kB were enough"),
        _ => eprintln!("skipped: a_full_disk_leaves_nothing: no small disk can be mounted here"),
    }
}

/// A machine without the memory for a proof, as a small dom0 may be, is no panic.
#[test]
fn no_memory_for_a_proof_is_said() {
    let output = Command::new(env!("CARGO_BIN_EXE_epochgate"))
        .args(["check", "examples/voip.gate"])
        .env("OXIDD_STACK_SIZE", (1_u64 << 50).to_string())
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("E0603") && said.contains("OXIDD_STACK_SIZE"),
        "{said}"
    );
    assert!(!said.contains("panicked"), "{said}");
}

/// Exit codes that are documented. A panic is 101.
fn well_ended(run: &Run) {
    assert!((0..=2).contains(&run.code), "{}", run.transcript());
    assert!(!run.err.contains("panicked"), "{}", run.transcript());
}

/// Bytes that are nearly a policy.
fn nearly_a_policy() -> impl Strategy<Value = Vec<u8>> {
    let word = proptest::sample::select(vec![
        "buffer",
        "bypass",
        "default",
        "let",
        "expect",
        "gate",
        "tcp",
        "udp",
        "dport",
        "src",
        "not",
        "or",
        "and",
        "(",
        ")",
        "{",
        "}",
        ";",
        "=",
        ",",
        "\"",
        "#",
        "\n",
        "-",
        "/",
        "5060",
        "10.0.0.0/8",
        "::/0",
        "40ms",
        "because",
        "rtp",
        "pt",
        "vlan",
        "a",
        "\u{1b}[0m",
        "é",
        "\0",
    ]);
    let words =
        proptest::collection::vec(word, 0..30).prop_map(|words| words.join(" ").into_bytes());
    prop_oneof![words, proptest::collection::vec(any::<u8>(), 0..80)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_bytes_as_a_policy(policy in nearly_a_policy()) {
        for args in [
            &["check", "-"][..],
            &["check", "-", "--error-format", "json"],
            &["fmt", "-"],
            &["compile", "-"],
            &["compile", "-", "--backend", "u32"],
            &["explain", "-", "arp"],
            &["test", "-", "--frames", "20"],
        ] {
            well_ended(&run_with(args, &policy));
        }
    }

    #[test]
    fn any_bytes_as_a_frame(
        text in prop_oneof![
            "[ -~]{0,60}",
            "(udp|tcp|icmp|arp|ip6?) [0-9a-f.:\\[\\]]{0,20} ?>? ?[0-9a-f.:\\[\\]]{0,20}( [a-z0-9+-]{1,9}){0,5}",
            "[0-9a-f :]{0,80}",
        ]
    ) {
        well_ended(&run_with(&["explain", "-", "--", &text], b"bypass udp dport 5;"));
    }

    #[test]
    fn any_bytes_as_a_capture(
        magic in proptest::sample::select(vec![
            vec![], vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0], vec![0xa1, 0xb2, 0xc3, 0xd4, 0, 2, 0, 4],
            vec![0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0],
        ]),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let file = [magic, bytes].concat();
        let policy = "tests/cases/accept/voip.gate";
        for args in [
            &["trace", policy, "-"][..],
            &["trace", policy, "-", "--format", "json"],
            &["explain", policy, "--pcap", "-"],
        ] {
            well_ended(&run_with(args, &file));
        }
    }
}

#[test]
fn large_policies_neither_hang_nor_panic() {
    let rules = "bypass udp dport 5;\n".repeat(1 << 16);
    let brackets = "(".repeat(1 << 20);
    for text in [
        rules + &"#".repeat(10 << 20),
        format!("buffer {brackets}"),
        "\0".repeat(1 << 20),
    ] {
        well_ended(&run_with(&["check", "-"], text.as_bytes()));
        well_ended(&run_with(&["fmt", "-"], text.as_bytes()));
    }
}

#[test]
fn names_of_files_do_not_command_the_terminal() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("\u{1b}[2J\n.gate");
    fs::write(&file, "buffer upd;").unwrap();
    for verb in ["check", "fmt"] {
        let args = [verb, file.to_str().unwrap()];
        let run = run(&args);
        well_ended(&run);
        assert!(!(run.out + &run.err).contains('\u{1b}'), "{verb}");
    }
    run(&["check", "\u{1b}[2J"]).exits(2);
}
