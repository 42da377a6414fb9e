//! Properties of curves and of what is recommended.

use policy_lang::Policy;
use policy_lang::check::check;
use policy_lang::source::SourceFile;
use qdisc_model::metrics::receiver::Assumptions;
use qdisc_model::packet::Verdict;
use qdisc_model::schedule::Timer;
use qdisc_model::simulate::{Bulk, Calls, Checkpoints, Codec, Config, Network, Verdicts};

use super::utility::Weights;
use super::{Plan, Tuned, json, page, plateau, tune};
use crate::report::{csv, html, text};
use crate::simulate::traffic::Traffic;

const MS: u64 = 1_000_000;

const VOIP: &str =
    "buffer tcp; buffer udp port 5060; bypass udp sport 16384-32767; default buffer;";

fn policy(text: &str) -> Policy {
    check(&SourceFile::new("p", text)).0.unwrap()
}

fn plan() -> Plan {
    Plan {
        config: Config {
            seed: 1,
            duration: 8_000 * MS,
            calls: Calls {
                count: 4,
                codec: Codec::G711,
                packet_time: 20 * MS,
                silences: false,
                timer_noise: MS / 5,
            },
            signalling_rate: 5.0,
            bulk: Some(Bulk { window: 64 << 10 }),
            verdicts: Verdicts {
                media: Verdict::Buffer,
                signalling: Verdict::Buffer,
                bulk: Verdict::Buffer,
            },
            limit: 1 << 20,
            checkpoints: None,
            network: Network {
                rate: 1e9,
                delay: 20 * MS,
                noise: 0,
                loss: 0.0,
            },
            failover: None,
            assumptions: Assumptions::default(),
            record: false,
        },
        checkpoints: Checkpoints {
            interval: 0,
            timer: Timer::AfterCommit,
            pause: 5 * MS,
            dirty_rate: 4e6,
            working_set: 64e6,
            copy_rate: 1e9,
            link_rate: 1e9,
            acknowledgement: 0,
        },
        traffic: Traffic::USUAL,
        range_ms: (10, 1000),
        points: 7,
        seeds: 2,
        weights: Weights::default(),
        threads: 2,
    }
}

fn go(text: &str, plan: &Plan) -> Tuned {
    tune(&policy(text), plan, |_, _| {})
}

/// Held bytes do not fall with the interval and what a failure undoes rises, but for the noise of
/// what happens to be sent in a packet time; the guest runs more of the time.
#[test]
fn curves_go_the_way_they_must() {
    for text in [VOIP, "default buffer;"] {
        let tuned = go(text, &plan());
        let pairs = tuned.curve.iter().zip(tuned.curve.iter().skip(1));
        for (shorter, longer) in pairs {
            let interval = longer.interval_ms;
            assert!(shorter.interval_ms < interval);
            assert!(longer.rolled_back_ms > shorter.rolled_back_ms, "{interval}");
            assert!(longer.running > shorter.running, "{interval}");
            assert!(
                longer.held_most as f64 >= shorter.held_most as f64 * 0.97,
                "{interval}"
            );
            assert!(longer.period_ms > shorter.period_ms, "{interval}");
        }
        let (first, last) = (&tuned.curve[0], &tuned.curve[tuned.curve.len() - 1]);
        assert!(last.held_most > first.held_most && last.mos_held < first.mos_held);
        assert_eq!((first.interval_ms, last.interval_ms), (10, 1000));
    }
}

/// From the suspend of the restored checkpoint on: at least pause and transfer, at most a period
/// more; on average half a period more.
#[test]
fn what_a_failure_undoes_is_what_the_schedule_says() {
    let slow = Plan {
        checkpoints: Checkpoints {
            acknowledgement: 30 * MS,
            ..plan().checkpoints
        },
        seeds: 4,
        ..plan()
    };
    for figures in &go(VOIP, &slow).curve {
        let least = figures.pause_ms + figures.transfer_ms;
        let mean = least + figures.period_ms / 2.0;
        let (is, most) = (figures.rolled_back_ms, figures.rolled_back_most_ms);
        assert!((is - mean).abs() < 0.06 * mean, "{is} instead of {mean}");
        assert!(most <= least + figures.period_ms + 1.0 && most > is);
    }
}

#[test]
fn the_policy_says_what_is_held() {
    let held = go("default buffer;", &plan());
    let passing = go(VOIP, &plan());
    for (held, passing) in held.curve.iter().zip(&passing.curve) {
        assert_eq!(held.mos, held.mos_held);
        assert_eq!(passing.mos, passing.mos_bypassed);
    }
    let last = |tuned: &Tuned| tuned.curve.last().unwrap().held_most;
    assert!(last(&held) > last(&passing));
    let p99 = |tuned: &Tuned| tuned.curve.last().unwrap().held_p99;
    assert!(p99(&held) > p99(&passing));
    let mut adaptive = passing
        .curve
        .iter()
        .map(|f| (f.mos_held_adaptive, f.mos_bypassed_adaptive));
    assert!(adaptive.clone().all(|(held, passing)| held <= passing));
    assert!(adaptive.next_back() < Some((Some(2.0), None)));
    // Held media want a short interval; media that pass do not care.
    assert!(held.advice.interval_ms <= 52);
    assert!(passing.curve.iter().all(|figures| figures.mos > Some(4.3)));
}

/// What is recommended is the best of the curve, holds what was held, and can be put into a policy.
#[test]
fn the_recommendation_is_the_best_and_is_a_policy() {
    for text in [VOIP, "default buffer;", "default bypass;"] {
        let tuned = go(text, &plan());
        let advice = tuned.advice;
        let best = &tuned.curve[advice.place];
        assert_eq!(best.interval_ms, advice.interval_ms);
        assert!(tuned.curve.iter().all(|other| other.worth <= best.worth));
        assert!(advice.limit >= best.held_most && advice.held_most == best.held_most);
        // It was looked closer around it.
        assert!(tuned.curve.len() > 7 && tuned.curve.len() <= 7 + 8);
        let (from, to) = plateau(&tuned);
        assert!((from..=to).contains(&advice.interval_ms));
        let policy = policy(&format!("{text} {}", advice.block()));
        let interval = u64::try_from(policy.gate.interval.unwrap().as_millis());
        assert_eq!(interval, Ok(advice.interval_ms));
        assert_eq!(policy.gate.limit, Some(advice.limit));
    }
}

#[test]
fn weights_decide() {
    let with = |weights| go(VOIP, &Plan { weights, ..plan() }).advice.interval_ms;
    let none = Weights {
        voice: 0.0,
        guest: 0.0,
        tcp: 0.0,
        recovery: 0.0,
    };
    let guest = Weights { guest: 1.0, ..none };
    let recovery = Weights {
        recovery: 1.0,
        ..none
    };
    assert_eq!((with(guest), with(recovery)), (1000, 10));
}

#[test]
fn the_policys_own_interval_is_tried() {
    let text = format!("{VOIP} gate {{ interval 333ms; limit 50KiB; }}");
    let tuned = go(&text, &plan());
    assert!(tuned.curve.iter().any(|figures| figures.interval_ms == 333));
    let words = text::page(&page::short("p", &tuned), 100);
    assert!(words.contains("The policy has 333 ms: there"));
    assert!(words.contains("limit of 50.0 KiB is less than was held"));
}

/// The same plan gives the same bytes, however many threads there are.
#[test]
fn threads_do_not_matter() {
    let with = |threads| {
        let tuned = go(VOIP, &Plan { threads, ..plan() });
        let page = page::page("p", &tuned);
        (
            json::tuned("p", &tuned),
            html::page(&page),
            csv::table(&page::curve(&tuned)),
        )
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(7));
}

#[test]
fn classifications_cost_what_they_hold() {
    let text = "bypass udp sport 16384-32767; default buffer;";
    let tuned = go(text, &plan());
    let of = |id: &str| tuned.compared.iter().find(|one| one.id == id).unwrap();
    let (paper, given, refined, hold) = (of("paper"), of("policy"), of("refined"), of("hold"));
    assert!(paper.passes.len() > given.passes.len());
    assert!(given.passes.len() > refined.passes.len());
    assert_eq!((refined.passes.len(), hold.passes.len()), (0, 0));
    // SIP passes under the paper's alone.
    assert!(paper.signalling_ms < 20.0 && given.signalling_ms > 30.0);
    assert!(hold.held_most > given.held_most);
    assert_eq!(given.mos, refined.mos);
}

#[test]
fn progress_comes_to_its_end() {
    let mut seen = Vec::new();
    let _ = tune(&policy(VOIP), &plan(), |done, all| seen.push((done, all)));
    assert!(seen.is_sorted());
    assert!(seen.iter().all(|(done, all)| done <= all));
    let (done, all) = seen[seen.len() - 1];
    assert!(done * 10 >= all * 7, "{done} of {all}");
}
