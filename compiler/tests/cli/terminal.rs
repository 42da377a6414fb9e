//! Long work on a terminal: how far it has come is told there, wiped in the end, and never told into
//! a file or a pipe.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use compiler::capture::{Record, write};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::program::{command, run};

/// Both ends of a terminal: that of who looks at it, and that of programs.
fn terminal() -> (File, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let looker = openpt(flags).unwrap();
    grantpt(&looker).unwrap();
    unlockpt(&looker).unwrap();
    let name = ptsname(&looker, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    (looker.into(), open(name, flags, Mode::empty()).unwrap())
}

/// What a run that ends well shows on a terminal as its standard error.
fn shown(args: &[&str]) -> String {
    shown_of(args, &[])
}

/// The same of a run that gets these on its standard input, one after the other with time between them.
fn shown_of(args: &[&str], pieces: &[&[u8]]) -> String {
    let (mut looker, end) = terminal();
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(end)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 {
            thread::sleep(Duration::from_millis(1_600));
        }
        stdin.write_all(piece).unwrap();
    }
    drop(stdin);
    let mut shown = Vec::new();
    // With the last program gone reading ends, on Linux as an error.
    let _ = looker.read_to_end(&mut shown);
    assert!(child.wait().unwrap().success(), "{args:?}");
    String::from_utf8(shown).unwrap()
}

/// A longer and longer run, until it is long enough for a line of progress.
fn first_shown(text: &str) -> (Vec<String>, String) {
    for seconds in [30, 120, 480, 1920] {
        let text = format!("{text} --duration {seconds}s");
        let args: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        let shown = shown(&words);
        if !shown.is_empty() {
            return (args, shown);
        }
    }
    panic!("no run was long enough");
}

/// `what: 3 of 9`, again and again in one line, never backwards; then the line is wiped.
fn counts(shown: &str, what: &str) {
    let lines = shown.strip_suffix("\r\u{1b}[K").expect(shown);
    let mut last = 0;
    for line in lines.split('\r').skip(1) {
        let numbers = line.strip_prefix(what).and_then(|n| n.strip_prefix(": "));
        let (done, all) = numbers.and_then(|n| n.split_once(" of ")).expect(line);
        let (done, all): (u64, u64) = (done.parse().unwrap(), all.parse().unwrap());
        assert!(last <= done && done <= all && all > 0, "{line}");
        last = done;
    }
    assert!(last > 0, "{shown:?}");
}

#[test]
fn long_simulations_say_on_a_terminal_how_far_they_have_come() {
    let (args, shown) = first_shown("simulate examples/voip.gate --calls 500");
    counts(&shown, "simulated seconds");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    assert_eq!(run(&args).exits(0).err, "", "a pipe is no terminal");
    let as_json = [&args[..], &["--error-format", "json"]].concat();
    assert_eq!(self::shown(&as_json), "", "a program reads that");
}

#[test]
fn long_tunings_say_so_too() {
    let (_, shown) = first_shown("tune examples/voip.gate --points 5");
    counts(&shown, "runs done");
}

/// Of a pipe nobody knows how long it is.
#[test]
fn long_captures_say_how_much_is_read() {
    let frame = compiler::frame_text::parse("udp 10.0.0.2:9000 > 192.0.2.9:9000 len 1000").unwrap();
    let record = |number| Record {
        number,
        time: Duration::from_millis(number),
        original_len: 1042,
        frame: frame.clone(),
    };
    let records: Vec<Record> = (1..=8).map(record).collect();
    let capture = write::pcap(&records);
    let (first, rest) = capture.split_at(5 * 1024);
    for verb in ["trace", "replay"] {
        let shown = shown_of(&[verb, "examples/voip.gate", "-"], &[first, rest]);
        let lines = shown.strip_suffix("\r\u{1b}[K").expect(&shown);
        assert!(
            lines.split('\r').skip(1).all(|line| line == "KiB read: 5"),
            "{shown:?}"
        );
        assert_eq!(
            shown_of(&[verb, "examples/voip.gate", "-"], &[&capture]),
            ""
        );
    }
}

#[test]
fn short_work_says_nothing() {
    let args = ["simulate", "--paper", "fig3"];
    assert_eq!(shown(&args), "");
}
