//! `simulate`: what it prints and writes, and what it says to settings that make no sense.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::program::{run, run_with};

const VOIP: &str = "examples/voip.gate";

fn json(args: &[&str]) -> Value {
    let out = run(&[&["simulate"], args, &["--json"]].concat())
        .exits(0)
        .out;
    serde_json::from_str(&out).unwrap()
}

fn files(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_policy_side_by_side() {
    let table = run(&["simulate", VOIP, "--duration", "10s", "--interval", "300ms"]).exits(0);
    assert_eq!(table.err, "");
    insta::assert_snapshot!("simulate-table", table.out);
}

#[test]
fn the_papers_figures_side_by_side() {
    let table = run(&["simulate", "--paper", "all"]).exits(0);
    assert_eq!(table.err, "");
    insta::assert_snapshot!("simulate-paper", table.out);
}

#[test]
fn json_says_what_others_build_on() {
    let all = json(&["--paper", "all"]);
    let number = |path: &str| {
        let found = all.pointer(&path.replace('.', "/"));
        found
            .and_then(Value::as_f64)
            .unwrap_or_else(|| panic!("no {path}"))
    };
    for (path, least, most) in [
        (".figures.fig3.mean_jitter_ms", 0.08, 0.12),
        (".figures.fig3.paper.mean_jitter_ms", 0.1, 0.1),
        (".figures.fig4.max_jitter_ms", 0.2, 0.5),
        (".figures.fig4.paper.max_jitter_ms", 0.5, 0.5),
        (".figures.fig5.peak_period_ms", 390.0, 410.0),
        (".figures.fig5.paper.peak_period_ms", 400.0, 400.0),
        (".figures.fig5.burst_packets", 19.0, 21.0),
        (".figures.fig5.paper.burst_packets", 20.0, 20.0),
        (".figures.fig6.interruption_period_ms", 299.0, 301.0),
        (".figures.fig6.paper.interruption_period_ms", 300.0, 300.0),
        (".figures.fig6.mean_jitter_ms", 0.5, 10.0),
        (".figures.fig7.gap_ms", 800.0, 1200.0),
        (".figures.fig7.paper.gap_ms", 1000.0, 1000.0),
    ] {
        let is = number(path);
        assert!((least..=most).contains(&is), "{path} is {is}");
    }
    let one = json(&["--paper", "fig5"]);
    assert_eq!(one["figures"]["fig5"], all["figures"]["fig5"]);
    assert_eq!(one["figures"].as_object().unwrap().len(), 1);
}

#[test]
fn the_policys_own_gate_counts_unless_told_otherwise() {
    let policy = b"default buffer; gate { interval 70ms; limit 3MiB; }";
    let settings = |args: &[&str]| {
        let args = [&["simulate", "-", "--json", "--duration", "1s"], args].concat();
        let json: Value = serde_json::from_str(&run_with(&args, policy).exits(0).out).unwrap();
        (
            json["settings"]["checkpoints"]["interval_ms"]
                .as_f64()
                .unwrap(),
            json["settings"]["limit_bytes"].as_u64().unwrap(),
        )
    };
    assert_eq!(settings(&[]), (70.0, 3 << 20));
    let told = settings(&["--interval", "40ms", "--limit", "1MiB"]);
    assert_eq!(told, (40.0, 1 << 20));
    let bare = run_with(
        &["simulate", "-", "--json", "--duration", "1s"],
        b"default buffer;",
    );
    let bare: Value = serde_json::from_str(&bare.exits(0).out).unwrap();
    assert_eq!(bare["settings"]["checkpoints"]["interval_ms"], 200.0);
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    for args in [
        &["simulate", VOIP, "--duration", "5s"][..],
        &["simulate", "--paper", "all"],
    ] {
        let bytes = |seed: &str, format: &[&str]| {
            run(&[args, &["--seed", seed], format].concat())
                .exits(0)
                .out
        };
        for format in [&[][..], &["--json"]] {
            assert_eq!(bytes("4", format), bytes("4", format));
            assert_ne!(bytes("4", format), bytes("5", format));
        }
    }
}

#[test]
fn reports_are_written_as_files() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (csv, svg, html) = (path("csv"), path("deep/svg"), path("report.html"));
    let outputs = ["--csv", &csv, "--svg", &svg, "--html", &html];
    let shown = run(&[&["simulate", "--paper", "all"], &outputs[..]].concat()).exits(0);
    let figures = ["fig3", "fig4", "fig5", "fig6", "fig7"];
    let expected = figures.map(|figure| format!("{figure}.svg"));
    assert_eq!(files(svg.as_ref()), BTreeSet::from(expected));
    let tables = files(csv.as_ref());
    for name in [
        "paper.csv",
        "calls.csv",
        "timers.csv",
        "testbed.csv",
        "fig5.csv",
    ] {
        assert!(tables.contains(name), "{tables:?}");
    }
    let paper = fs::read_to_string(path("csv/paper.csv")).unwrap();
    let all = json(&["--paper", "all"]);
    let period = all["figures"]["fig5"]["peak_period_ms"].as_f64().unwrap();
    let period = format!("{period:.1}");
    let page = fs::read_to_string(&html).unwrap();
    for text in [&paper, &page, &shown.out] {
        assert!(text.contains(&period), "no {period} in {text}");
    }
    let one = path("one.csv");
    run(&["simulate", VOIP, "--duration", "1s", "--csv", &one]).exits(0);
    let text = fs::read_to_string(&one).unwrap();
    assert!(text.contains("no replication,policy,all held"), "{text}");
}

#[test]
fn what_makes_no_sense_is_told() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let (file, directory) = (file.to_str().unwrap(), place.path().to_str().unwrap());
    let below = format!("{file}/below");
    for (args, told) in [
        (&[][..], "`--paper all`"),
        (&[VOIP, "--codec", "g722"], "g711, g729, opus"),
        (&[VOIP, "--interval", "0ms"], "must be more than zero"),
        (&[VOIP, "--interval", "0.1"], ""),
        (&[VOIP, "--calls", "0"], "0 is not in 1..=100000"),
        (&[VOIP, "--link", "100"], "end it in `/s`"),
        (&[VOIP, "--dirty-rate", "4MiB"], "end it in `/s`"),
        (&[VOIP, "--working-set", "4M"], "such as `64MiB`"),
        (&[VOIP, "--loss", "0.01"], "such as `0.5%`"),
        (&[VOIP, "--signalling", "often"], "such as `5/s`"),
        (
            &[VOIP, "--packet-time", "15ms", "--codec", "g729"],
            "frames of 10 ms",
        ),
        (
            &[VOIP, "--packet-time", "30ms", "--codec", "opus"],
            "20 ms is usual",
        ),
        (&[VOIP, "--packet-time", "1us"], "whole milliseconds"),
        (&[VOIP, "--failover-at", "60s"], "make `--duration` longer"),
        (&[VOIP, "--detection", "1s"], "--failover-at"),
        (&[VOIP, "--guest", "fe80::1"], "addresses of one family"),
        (&[VOIP, "--bulk", "2GiB"], "at most 1GiB"),
        (
            &[VOIP, "--calls", "100", "--network-rate", "1Mbit/s"],
            "fewer `--calls`",
        ),
        (&[VOIP, "--paper", "all"], "cannot be used with"),
        (&["--paper", "fig5", "--calls", "3"], "cannot be used with"),
        (&["--paper", "fig8"], "fig3, fig4, fig5, fig6, fig7, all"),
        (&["--paper", "fig3", "--svg", file], "is no directory"),
        (&["--paper", "fig3", "--html", directory], "is a directory"),
        (&["--paper", "fig3", "--svg", &below], "cannot write"),
        (&["no/such.gate"], "cannot read"),
    ] {
        let args = [&["simulate"], args].concat();
        let said = run(&args);
        if told.is_empty() {
            said.exits(0);
            continue;
        }
        let said = said.exits(2);
        assert!(said.err.contains(told), "{args:?}: {}", said.err);
        assert_eq!(said.out, "", "{args:?}");
    }
    assert_eq!(files(place.path()), BTreeSet::from([String::from("file")]));
    let broken = run_with(&["simulate", "-"], b"bypass upd;").exits(1);
    assert!(broken.err.contains("E0201"), "{}", broken.err);
}

#[test]
fn nothing_is_written_if_anything_cant_be() {
    let place = tempfile::tempdir().unwrap();
    let html = place.path().join("report.html");
    let csv = place.path().join("no/such/place.csv");
    let (html, csv) = (html.to_str().unwrap(), csv.to_str().unwrap());
    let args = ["simulate", "--paper", "fig3", "--html", html, "--csv", csv];
    let said = run(&args).exits(2);
    assert!(said.err.contains("cannot write"), "{}", said.err);
    assert_eq!(files(place.path()), BTreeSet::new());
}

#[test]
fn the_gate_of_a_policy_that_opens_is_warned_about() {
    let policy = b"default buffer; gate { on-overflow release; }";
    let said = run_with(&["simulate", "-", "--duration", "1s"], policy).exits(0);
    assert!(said.err.contains("simulated as `drop`"), "{}", said.err);
}
