//! What the comparison says under policies whose effect is known.

use policy_lang::Policy;
use policy_lang::check::check;
use policy_lang::source::SourceFile;
use qdisc_model::metrics::receiver::Assumptions;
use qdisc_model::packet::Verdict;
use qdisc_model::schedule::Timer;
use qdisc_model::simulate::{Bulk, Calls, Checkpoints, Codec, Config, Network, Verdicts};

use super::traffic::{Kind, Traffic, judge, told, verdicts};
use super::{Comparison, Plan, Treatment, compare};

const MS: u64 = 1_000_000;

fn plan() -> Plan {
    let config = Config {
        seed: 1,
        duration: 20_000 * MS,
        calls: Calls {
            count: 3,
            codec: Codec::G711,
            packet_time: 20 * MS,
            silences: false,
            timer_noise: MS / 10,
        },
        signalling_rate: 5.0,
        bulk: Some(Bulk { window: 64 << 10 }),
        verdicts: Verdicts {
            media: Verdict::Buffer,
            signalling: Verdict::Buffer,
            bulk: Verdict::Buffer,
        },
        limit: 64 << 20,
        checkpoints: Some(Checkpoints {
            interval: 200 * MS,
            timer: Timer::AfterCommit,
            pause: 5 * MS,
            dirty_rate: 4e6,
            working_set: 64e6,
            copy_rate: 1e9,
            link_rate: 1e9,
            acknowledgement: 0,
        }),
        network: Network {
            rate: 1e9,
            delay: 10 * MS,
            noise: 0,
            loss: 0.0,
        },
        failover: None,
        assumptions: Assumptions::default(),
        record: false,
    };
    Plan {
        config,
        traffic: Traffic::USUAL,
    }
}

fn policy(text: &str) -> (Policy, SourceFile) {
    let source = SourceFile::new("test.gate", text);
    (check(&source).0.expect(text), source)
}

fn compared(text: &str) -> Comparison {
    compare(&policy(text).0, &plan(), |_, _| {})
}

/// Verdict and deciding rule of RTP, SIP and TCP.
fn story(text: &str) -> Vec<(&'static str, Option<usize>, Option<usize>)> {
    let (policy, source) = policy(text);
    let judged = judge(&policy, &Traffic::USUAL, plan().config.calls);
    let kinds: Vec<Kind> = judged.iter().map(|one| one.kind).collect();
    assert_eq!(kinds, [Kind::Media, Kind::Signalling, Kind::Bulk]);
    let told = judged.iter().map(|one| told(&policy, &source, one));
    told.map(|told| (told.verdict, told.rule, told.line))
        .collect()
}

#[test]
fn the_frames_are_what_they_are_called() {
    let story = story(
        "bypass udp sport 16384 dport 40000 rtp pt 8;\nbypass udp port 5060;\n\
         bypass tcp sport 443 flags ack;",
    );
    let bypass = |number| ("bypass", Some(number), Some(number));
    assert_eq!(story, [bypass(1), bypass(2), bypass(3)]);
}

#[test]
fn the_frames_have_the_sizes_that_are_simulated() {
    for codec in [Codec::G711, Codec::G729, Codec::Opus] {
        let mut plan = plan();
        plan.config.calls.codec = codec;
        let run = compare(&policy("").0, &plan, |_, _| {});
        let length =
            |judged: &super::Judged| crate::frame_text::parse(&judged.frame).unwrap().len() as u64;
        let lengths: Vec<u64> = run.judged.iter().map(length).collect();
        let sent = [run.none.media, run.none.signalling, run.none.bulk]
            .map(|class| class.sent.bytes / class.sent.packets);
        assert_eq!(lengths, sent, "{codec:?}");
    }
}

#[test]
fn a_policy_about_the_phones_port_misses_the_phone() {
    let held = story("bypass udp dport 16384-32767;\ndefault buffer;");
    assert_eq!(held[0], ("buffer", None, Some(2)));
    assert_eq!(story("bypass arp;")[0], ("buffer", None, None));
}

#[test]
fn sip_is_judged_by_its_first_letter() {
    // An INVITE begins with 0x49, and so does TURN channel data.
    assert_eq!(story("bypass udp turn;")[1].0, "bypass");
}

#[test]
fn a_call_that_passes_is_as_good_as_none_was_held() {
    let run = compared("buffer tcp; bypass udp;");
    assert!(run.policy.calls.mos > 4.4 && run.hold.calls.mos < 1.5);
    assert!(run.policy.calls.longest_burst < run.hold.calls.longest_burst);
    assert!(run.hold.calls.max_delta_ms > 190.0);
    // The bypassed call bears the pauses and nothing else.
    assert!(
        run.policy.media.max_delay_ms < 8.0,
        "{:?}",
        run.policy.media
    );
    assert_eq!(run.none.most_held.packets, 0);
    let lost = |treatment| run.goodput_loss_percent(treatment).unwrap();
    assert!(lost(Treatment::None).abs() < 1e-9);
    assert!(lost(Treatment::Policy) > 80.0);
    assert!((lost(Treatment::Policy) - lost(Treatment::Hold)).abs() < 1.0);
}

#[test]
fn holding_everything_is_what_a_policy_without_rules_does() {
    let run = compared("default buffer;");
    assert_eq!(format!("{:?}", run.policy), format!("{:?}", run.hold));
    assert_eq!(run.config.verdicts, verdicts(&run.judged));
    let nothing_held = compared("default bypass;");
    assert_eq!(nothing_held.policy.most_held.packets, 0);
}

#[test]
fn progress_ends_at_all_of_it() {
    let mut plan = plan();
    plan.config.calls.count = 3_000;
    let mut said = Vec::new();
    let _ = compare(&policy("").0, &plan, |done, all| said.push((done, all)));
    let all = 3 * plan.config.duration;
    assert!(said.len() > 3, "{said:?}");
    assert!(said.is_sorted() && said.iter().all(|(done, of)| *done <= all && *of == all));
}
