//! `tune`: what it prints and writes, and what it says to plans that make no sense.

use std::fs;

use serde_json::Value;

use crate::program::{run, run_with};

const VOIP: &str = "examples/voip.gate";

/// Arguments of a run that takes no time to speak of.
pub(crate) fn quick(policy: &str) -> Vec<&str> {
    vec![
        "tune",
        policy,
        "--to",
        "300ms",
        "--points",
        "5",
        "--seeds",
        "2",
        "--duration",
        "3s",
        "--calls",
        "3",
    ]
}

fn with<'a>(policy: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&quick(policy)[..], more].concat()
}

#[test]
fn an_interval_is_recommended() {
    let table = run(&quick(VOIP)).exits(0);
    assert_eq!(table.err, "");
    insta::assert_snapshot!("tune-table", table.out);
    assert_eq!(table.out, run(&quick(VOIP)).exits(0).out);
    assert_ne!(table.out, run(&with(VOIP, &["--seed", "9"])).exits(0).out);
}

/// The block that is printed can be put into the policy, and is then what `tune` finds there.
#[test]
fn the_block_is_part_of_a_policy() {
    let json = |input: &str| -> Value {
        let out = run_with(&with("-", &["--json"]), input.as_bytes())
            .exits(0)
            .out;
        serde_json::from_str(&out).unwrap()
    };
    let first = json("bypass udp sport 16384-32767;");
    let block = first["recommended"]["gate"].as_str().unwrap();
    let second = json(&format!("bypass udp sport 16384-32767;\n{block}"));
    // The second has tried one interval more beside it.
    for name in ["interval_ms", "limit_bytes", "gate", "worth"] {
        assert_eq!(first["recommended"][name], second["recommended"][name]);
    }
}

#[test]
fn reports_are_written_as_files() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).display().to_string();
    let (html, svg, table, all) = (path("t.html"), path("svg"), path("t.csv"), path("csv"));
    let json = run(&with(
        VOIP,
        &["--json", "--html", &html, "--svg", &svg, "--csv", &table],
    ));
    let json: Value = serde_json::from_str(&json.exits(0).out).unwrap();
    run(&with(VOIP, &["--csv", &all])).exits(0);
    let page = fs::read_to_string(&html).unwrap();
    assert!(page.contains("<figure id=\"mos\">") && page.contains("<table id=\"kinds\""));
    let mut names: Vec<_> = fs::read_dir(&svg)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "goodput.svg",
            "held.svg",
            "lost.svg",
            "mos.svg",
            "recovery.svg",
            "running.svg",
            "worth.svg"
        ]
    );
    let table = fs::read_to_string(&table).unwrap();
    assert_eq!(
        table,
        fs::read_to_string(format!("{all}/curve.csv")).unwrap()
    );
    // The rows are the intervals of the JSON.
    let intervals: Vec<String> = json["curve"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["interval_ms"].to_string())
        .collect();
    let rows: Vec<&str> = table
        .lines()
        .skip(1)
        .map(|row| row.split(',').next().unwrap())
        .collect();
    assert_eq!(rows, intervals);
}

#[test]
fn what_makes_no_sense_is_told() {
    for (args, told) in [
        (&["--from", "2s"][..], "make `--to` longer than `--from`"),
        (&["--from", "1500us"], "in whole milliseconds"),
        (
            &["--to", "3s"],
            "make `--duration` ten times as long as `--to`",
        ),
        (
            &["--weight", "sound=1"],
            "there are `voice`, `guest`, `tcp` and `recovery`",
        ),
        (&["--weight", "voice"], "such as `tcp=2`"),
        (&["--weight", "voice=-1"], "a number from 0"),
        (&["--weight", "voice=NaN"], "a number from 0"),
        (&["--seeds", "0"], "1..=100"),
        (&["--points", "2"], "3..=200"),
        (
            &["--codec", "g711", "--packet-time", "3ms"],
            "20 ms is usual",
        ),
        (&["--html", "docs"], "name a file"),
        (&["--svg", "README.md"], "name a directory"),
    ] {
        let args: Vec<&str> = ["tune", VOIP].iter().chain(args).copied().collect();
        let run = run(&args).exits(2);
        assert!(run.err.contains(told), "{args:?}: {}", run.err);
        assert_eq!(run.out, "");
    }
    let none = ["voice=0", "guest=0", "tcp=0", "recovery=0"];
    let none = none.iter().flat_map(|weight| ["--weight", *weight]);
    let args: Vec<&str> = ["tune", VOIP].into_iter().chain(none).collect();
    assert!(run(&args).exits(2).err.contains("leave one above 0"));
    let broken = run_with(&quick("-"), b"bypass upd;").exits(1);
    assert!(broken.err.contains("write `udp`") && broken.out.is_empty());
}

#[test]
fn the_gate_of_a_policy_that_opens_is_warned_about() {
    let text = b"default buffer; gate { on-overflow release; }";
    let run = run_with(&quick("-"), text).exits(0);
    assert!(run.err.contains("no limit is reached here"), "{}", run.err);
}

/// Checkpoints that take longer than the run: said, and no division by nothing.
#[test]
fn a_link_that_is_too_slow_is_warned_about() {
    let slow = ["--link", "10kbit/s", "--dirty-rate", "10MiB/s", "--json"];
    let run = run(&with(VOIP, &slow)).exits(0);
    assert!(
        run.err.contains("with an interval of 10 ms or more"),
        "{}",
        run.err
    );
    let json: Value = serde_json::from_str(&run.out).unwrap();
    for point in json["curve"].as_array().unwrap() {
        assert!(
            point["running"].as_f64() < Some(1.0) && point["period_ms"].as_f64() > Some(3000.0)
        );
    }
}
