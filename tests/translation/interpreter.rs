//! What the bpf back end writes, run frame by frame by an interpreter: it lets pass what `classify` lets
//! pass. The interpreter itself is compared with libpcap's, on programs that libpcap has made.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use compiler::backend::bpf::{Instruction, assemble};
use compiler::hook;
use compiler::lower::lower;
use pcap_file::pcap::{PcapPacket, PcapReader, PcapWriter};
use policy_lang::{Verdict, classify};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use tests::bpf::{Packet, run};
use tests::generate::frame::frame;
use tests::generate::policy::{Terms, policy};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_program_lets_pass_what_the_policy_does(
        policy in policy(Terms::All, 6),
        frames in proptest::collection::vec(frame(), 60),
    ) {
        let Ok(program) = assemble(&lower(&policy).unwrap(), &policy) else {
            return Ok(());
        };
        for frame in frames.iter().filter(|frame| hook::reaches(frame)) {
            let passes = run(&program, &Packet::received(frame)) != 0;
            let meant = classify(&policy, frame).verdict == Verdict::Bypass;
            prop_assert_eq!(passes, meant, "{:02x?}", frame);
        }
    }
}

/// Expressions whose programs have loads of all kinds, sums, masks and both registers.
const EXPRESSIONS: [&str; 14] = [
    "udp portrange 16384-32767",
    "udp port 5060 or tcp port 5060",
    "vlan and ip",
    "vlan and vlan and ip6",
    "ip6 and udp dst port 53",
    "ip net 0.0.0.0/1 or net 192.168.0.0/16",
    "tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn",
    "udp[8] & 0xc0 = 0x80",
    "ip[0] & 0xf != 5 or ip[6:2] & 0x1fff != 0",
    "len > 60 and ether[0] & 1 = 1",
    "icmp or icmp6 or arp",
    "(ip[2:2] - ((ip[0] & 0xf) << 2)) > 20",
    "ip[8] * 2 > ip[9] % 7 + len / 3",
    "less 40 or sctp",
];

#[test]
fn the_interpreter_is_libpcaps() {
    if Command::new("tcpdump").arg("--version").output().is_err() {
        tests::skip("the_interpreter_is_libpcaps", "there is no tcpdump");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let all = place.path().join("all.pcap");
    let frames = some_frames(20_000);
    write(&all, &frames);
    for expression in EXPRESSIONS {
        let program = compiled(expression);
        let mine: Vec<&Vec<u8>> = frames
            .iter()
            .filter(|frame| run(&program, &Packet::whole(frame)) != 0)
            .collect();
        let theirs = place.path().join("some.pcap");
        let done = Command::new("tcpdump")
            .args(["-q", "-r"])
            .arg(&all)
            .arg("-w")
            .arg(&theirs)
            .arg(expression)
            .output()
            .unwrap();
        assert!(done.status.success(), "{expression}: {done:?}");
        let theirs = read(&theirs);
        assert_eq!(mine.len(), theirs.len(), "{expression}");
        assert!(mine.into_iter().eq(&theirs), "{expression}");
        assert!(!theirs.is_empty(), "{expression} matches nothing");
    }
}

/// Frames at the edges of what the language tells apart, always the same.
fn some_frames(count: usize) -> Vec<Vec<u8>> {
    let seed = TestRng::from_seed(RngAlgorithm::ChaCha, &[9; 32]);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), seed);
    let frames = (0..count).map(|_| frame().new_tree(&mut runner).unwrap().current());
    frames.filter(|frame| !frame.is_empty()).collect()
}

/// The program that libpcap makes of an expression, not optimised, so that more instructions are run.
fn compiled(expression: &str) -> Vec<Instruction> {
    let printed = Command::new("tcpdump")
        .args(["-O", "-ddd", "-y", "EN10MB", expression])
        .output()
        .unwrap();
    assert!(printed.status.success(), "{expression}: {printed:?}");
    let text = String::from_utf8(printed.stdout).unwrap();
    let instruction = |line: &str| {
        let numbers: Vec<u32> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        let [code, yes, no, k] = numbers[..] else {
            panic!("{line}");
        };
        Instruction {
            code: code.try_into().unwrap(),
            yes: yes.try_into().unwrap(),
            no: no.try_into().unwrap(),
            k,
        }
    };
    text.lines().skip(1).map(instruction).collect()
}

fn write(path: &Path, frames: &[Vec<u8>]) {
    let mut capture = PcapWriter::new(File::create(path).unwrap()).unwrap();
    for frame in frames {
        let length = u32::try_from(frame.len()).unwrap();
        let packet = PcapPacket::new(Duration::ZERO, length, frame);
        capture.write_packet(&packet).unwrap();
    }
}

fn read(path: &Path) -> Vec<Vec<u8>> {
    let mut capture = PcapReader::new(File::open(path).unwrap()).unwrap();
    let mut frames = Vec::new();
    while let Some(packet) = capture.next_packet() {
        frames.push(packet.unwrap().data.into_owned());
    }
    frames
}
