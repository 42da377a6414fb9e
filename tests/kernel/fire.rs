//! The deploy script under fire: a flood of frames from the VM while the script works, fails, is
//! killed, or meets what somebody else has put in its way. Counted is what leaks and what is lost.

pub(crate) mod missing;

use std::time::Duration;

use compiler::backend::Kind;
use libtest_mimic::{Failed, Trial};
use policy_lang::{Verdict, classify};
use tests::netlab::{Lab, Toll};

use crate::script::{Desk, IFB, calls, example, faulty_tools, probes};
use crate::{Here, LOADED};

/// How many changes of rules there are under flood, unless EPOCHGATE_SWAPS says otherwise.
const SWAPS: usize = 200;

/// The filters of somebody else: a place in front of ours, and what lets ICMP pass there.
const FOREIGN: [&str; 3] = [
    "pref 1 protocol ip u32 match ip protocol 1 0xff flowid :1",
    "pref 1 protocol all bpf bytecode '4,40 0 0 12,21 0 1 2054,6 0 0 4294967295,6 0 0 0' flowid :1",
    "pref 5 protocol ip u32 match ip protocol 1 0xff flowid :1",
];

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    let mut trials = vec![
        {
            let taken = here.taken();
            here.trial_of("fire::two_hundred_swaps", move || two_hundred_swaps(&taken))
        },
        here.trial("fire::scripts_at_once", scripts_at_once),
        here.trial("fire::an_ifb_in_trouble_leaks_nothing", an_ifb_in_trouble),
        here.trial("fire::refused_commands_are_said_first", missing::commands),
        here.trial("fire::a_vif_in_trouble_is_counted", a_vif_in_trouble),
    ];
    for backend in LOADED {
        let mut add = |name: &str, run: fn(Kind) -> Result<(), Failed>| {
            trials.push(here.trial_of(&format!("fire::{name}_{backend}"), move || run(backend)));
        };
        add("foreign_filters_are_refused", foreign_filters);
        add(
            "rules_without_a_gate_are_kept",
            missing::rules_without_a_gate,
        );
        add("apply_killed_or_failing", disturbed_applies);
        add("swap_killed_or_failing", disturbed_swaps);
        add("remove_killed_or_failing", disturbed_removes);
    }
    trials
}

/// Frames that the policies of both examples hold, and frames that both let pass.
struct Waves {
    held: Vec<Vec<u8>>,
    bypass: Vec<Vec<u8>>,
}

impl Waves {
    fn of(examples: &[&str]) -> Self {
        let policies: Vec<_> = examples.iter().map(|name| example(name).policy).collect();
        let all = |verdict| {
            let agree = |frame: &Vec<u8>| {
                policies
                    .iter()
                    .all(|policy| classify(policy, frame).verdict == verdict)
            };
            probes().into_iter().filter(agree).collect::<Vec<_>>()
        };
        let waves = Self {
            held: all(Verdict::Buffer),
            bypass: all(Verdict::Bypass),
        };
        assert!(!waves.held.is_empty() && !waves.bypass.is_empty());
        waves
    }

    /// Does `work` while the flood comes.
    fn over<T>(
        &self,
        desk: &Desk,
        ifb: Option<&str>,
        work: impl FnOnce() -> T,
    ) -> Result<(T, Toll), Failed> {
        Ok(desk.lab.flood(ifb, &self.held, &self.bypass, work)?)
    }

    /// A moment of flood in which nothing else happens.
    fn alone(&self, desk: &Desk) -> Result<Toll, Failed> {
        let pause = || std::thread::sleep(Duration::from_millis(50));
        Ok(self.over(desk, Some(IFB), pause)?.1)
    }
}

fn desk() -> Result<Desk, Failed> {
    Desk::in_lab(Lab::closed()?)
}

/// Closes the gate: the script opens it, and a replicator closes it at its first epoch.
fn close(desk: &Desk) -> Result<(), Failed> {
    desk.succeed(&format!("tc qdisc change dev {IFB} root plug block"))?;
    Ok(())
}

fn nothing_leaked(toll: &Toll, when: &str) -> Result<(), Failed> {
    if toll.leaked == 0 && toll.held_sent > 0 {
        return Ok(());
    }
    Err(format!("{when}: {toll}").into())
}

/// No filter of somebody else is taken for one of ours, and none is worked around in silence.
fn foreign_filters(backend: Kind) -> Result<(), Failed> {
    let waves = Waves::of(&["voip.gate", "paper.gate"]);
    let mut sum = Toll::default();
    for foreign in FOREIGN {
        let desk = desk()?;
        let (first, second) = (
            desk.put(&example("paper.gate"), backend)?,
            desk.put(&example("voip.gate"), backend)?,
        );
        let add = format!("tc filter add dev vif0 ingress {foreign}");
        desk.succeed(&format!("tc qdisc add dev vif0 clsact && {add}"))?;
        let before = desk.state()?;
        desk.fail(
            &format!("sh {first} apply"),
            "not ours; nothing was changed",
        )?;
        assert_eq!(before, desk.state()?, "{foreign}");
        desk.succeed("tc qdisc del dev vif0 clsact")?;

        desk.succeed(&format!("sh {first} apply"))?;
        close(&desk)?;
        if backend == Kind::Nft {
            desk.succeed("tc qdisc add dev vif0 clsact")?;
        }
        desk.succeed(&add)?;
        let before = desk.state()?;
        let (done, toll) = waves.over(&desk, Some(IFB), || {
            desk.fail(&format!("sh {first} swap {second}"), "not ours")?;
            desk.fail(&format!("sh {second} apply"), "not ours")?;
            desk.fail(&format!("sh {first} apply"), "not ours")
        })?;
        nothing_leaked(&toll, foreign)?;
        done?;
        assert_eq!(before, desk.state()?, "{foreign}");
        sum += toll;

        // What is held then must not come out with the rules that held it.
        let (done, toll) = desk.lab.flood(None, &[], &[], || {
            desk.succeed(&format!("sh {first} remove"))
        })?;
        done?;
        assert_eq!(toll.leaked, 0, "{foreign}: remove let out what was held");
        let left = desk.succeed("tc filter show dev vif0 ingress; ip link show")?;
        assert!(!left.contains(IFB) && !left.contains("redirect"), "{left}");
        assert!(
            left.contains("filter protocol"),
            "it was not ours to delete"
        );
    }
    eprintln!("{backend}: foreign filters in front: {sum}");
    Ok(())
}

/// What to do to a call of a tool.
const FAULTS: [&str; 2] = ["exit 1", "kill -9 $PPID"];

/// After a first apply that broke off, a second one or a remove makes good.
fn disturbed_applies(backend: Kind) -> Result<(), Failed> {
    let waves = Waves::of(&["voip.gate"]);
    let voip = example("voip.gate");
    let (mut steps, mut sum) = (0, Toll::default());
    let desk = desk()?;
    let script = desk.put(&voip, backend)?;
    let before = desk.state()?;
    for fault in FAULTS {
        for call in crate::numbers() {
            let tools = faulty_tools(&desk, call, fault)?;
            let (done, _) = waves.over(&desk, None, || {
                desk.sh(&format!("{tools} sh {script} apply"))?;
                let done = calls(&desk)? < call;
                desk.succeed(&format!("sh {script} apply"))?;
                Ok::<_, Failed>(done)
            })?;
            close(&desk)?;
            let toll = waves.alone(&desk)?;
            nothing_leaked(&toll, &format!("apply, call {call}, {fault}"))?;
            sum += toll;
            desk.succeed(&format!("sh {script} remove"))?;
            assert_eq!(before, desk.state()?, "call {call}, {fault}");
            if done? {
                break;
            }
            steps += 1;
        }
    }
    eprintln!("{backend}: {steps} steps of apply disturbed under flood, afterwards: {sum}");
    Ok(())
}

/// Whatever step of a change breaks off, held frames stay held until the next apply is done.
fn disturbed_swaps(backend: Kind) -> Result<(), Failed> {
    let waves = Waves::of(&["voip.gate", "paper.gate"]);
    for from in LOADED {
        let (mut steps, mut sum) = (0, Toll::default());
        let desk = desk()?;
        let (first, second) = (
            desk.put(&example("paper.gate"), from)?,
            desk.put(&example("voip.gate"), backend)?,
        );
        desk.succeed(&format!("sh {first} apply"))?;
        close(&desk)?;
        for fault in FAULTS {
            for call in crate::numbers() {
                let (done, toll) = waves.over(&desk, Some(IFB), || {
                    // Back to the old rules first, which is a change as well.
                    desk.succeed(&format!("sh {first} apply"))?;
                    let tools = faulty_tools(&desk, call, fault)?;
                    desk.sh(&format!("{tools} sh {first} swap {second}"))?;
                    let done = calls(&desk)? < call;
                    desk.succeed(&format!("sh {second} apply"))?;
                    Ok::<_, Failed>(done)
                })?;
                nothing_leaked(&toll, &format!("swap, call {call}, {fault}"))?;
                sum += toll;
                if done? {
                    break;
                }
                steps += 1;
            }
        }
        assert_eq!(sum.bypass_lost(), 0, "{sum}");
        eprintln!("{from} to {backend}: {steps} steps of swap disturbed under flood: {sum}");
    }
    Ok(())
}

/// What was held when remove began never comes out, and the next remove finishes.
fn disturbed_removes(backend: Kind) -> Result<(), Failed> {
    let waves = Waves::of(&["voip.gate"]);
    let voip = example("voip.gate");
    let desk = desk()?;
    let script = desk.put(&voip, backend)?;
    let before = desk.state()?;
    let (mut steps, mut held) = (0, 0);
    for fault in FAULTS {
        for call in crate::numbers() {
            desk.succeed(&format!("sh {script} apply"))?;
            close(&desk)?;
            let toll = waves.alone(&desk)?;
            nothing_leaked(&toll, "before remove")?;
            held += toll.held_sent;
            let (done, toll) = desk.lab.flood(None, &[], &[], || {
                let tools = faulty_tools(&desk, call, fault)?;
                desk.sh(&format!("{tools} sh {script} remove"))?;
                let done = calls(&desk)? < call;
                desk.succeed(&format!("sh {script} remove"))?;
                Ok::<_, Failed>(done)
            })?;
            assert_eq!(toll.leaked, 0, "remove, call {call}, {fault}");
            assert_eq!(before, desk.state()?, "remove, call {call}, {fault}");
            if done? {
                break;
            }
            steps += 1;
        }
    }
    eprintln!("{backend}: {steps} steps of remove disturbed, {held} frames held before, leaked 0");
    Ok(())
}

/// Each kind of change, many times.
/// From each back end that the kernel takes to itself and to the next.
fn two_hundred_swaps(taken: &[Kind]) -> Result<(), Failed> {
    let waves = Waves::of(&["voip.gate", "paper.gate"]);
    let same = taken.iter().map(|kind| (*kind, *kind));
    let next = taken.iter().zip(taken.iter().cycle().skip(1));
    let pairs: Vec<_> = same.chain(next.map(|(one, next)| (*one, *next))).collect();
    let wanted = crate::number("EPOCHGATE_SWAPS", SWAPS);
    let (mut swaps, mut sum) = (0, Toll::default());
    for &(one, other) in &pairs {
        let desk = desk()?;
        let scripts = [
            desk.put(&example("paper.gate"), one)?,
            desk.put(&example("voip.gate"), other)?,
        ];
        desk.succeed(&format!("sh {} apply", scripts[0]))?;
        close(&desk)?;
        let (done, toll) = waves.over(&desk, Some(IFB), || {
            for round in 0..wanted.div_ceil(pairs.len()) {
                let (from, to) = (&scripts[round % 2], &scripts[(round + 1) % 2]);
                desk.succeed(&format!("sh {from} swap {to}"))?;
                swaps += 1;
            }
            Ok::<_, Failed>(())
        })?;
        done?;
        eprintln!("{one} to {other}: {toll}");
        // A transaction, or one program in the place of another: nothing is held meanwhile.
        let at_once = one == other && matches!(one, Kind::Nft | Kind::Bpf);
        assert!(
            !at_once || toll.bypass_held == 0,
            "{one} to {other}: {toll}"
        );
        sum += toll;
    }
    eprintln!("{swaps} swaps under flood: {sum}");
    assert!(
        swaps >= wanted && sum.leaked == 0 && sum.held_sent > 0,
        "{sum}"
    );
    assert_eq!(sum.bypass_lost(), 0, "{sum}");
    Ok(())
}

/// Who comes second is told so, and whoever comes first, nothing leaks.
fn scripts_at_once() -> Result<(), Failed> {
    let waves = Waves::of(&["voip.gate", "paper.gate"]);
    let desk = desk()?;
    let scripts = [
        desk.put(&example("paper.gate"), Kind::U32)?,
        desk.put(&example("voip.gate"), Kind::Nft)?,
    ];
    let locks = format!(
        "EPOCHGATE_LOCK_DIR={}; export EPOCHGATE_LOCK_DIR;",
        desk.files.path().display()
    );
    let lock = desk.files.path().join("epochgate-vif0.lock");
    desk.succeed(&format!("{locks} sh {} apply", scripts[0]))?;
    close(&desk)?;
    let before = desk.state()?;
    desk.fail(
        &format!(
            "{locks} exec 8>{}; flock 8; EPOCHGATE_LOCK_WAIT=0 sh {} apply",
            lock.display(),
            scripts[1]
        ),
        "another script works on vif0",
    )?;
    assert_eq!(before, desk.state()?);
    let (done, toll) = waves.over(&desk, Some(IFB), || {
        let both = scripts.join(" ");
        desk.succeed(&format!(
            "{locks} for round in 1 2 3; do for script in {both}; do sh $script apply & done; wait; done"
        ))
    })?;
    done?;
    nothing_leaked(&toll, "several scripts at once")?;
    eprintln!("6 scripts, two at a time: {toll}");
    desk.succeed(&format!("sh {0} apply && sh {0} status", scripts[1]))?;
    Ok(())
}

/// An IFB that is down, gone or made anew holds nothing back for later, but lets nothing out.
fn an_ifb_in_trouble() -> Result<(), Failed> {
    let waves = Waves::of(&["voip.gate"]);
    let troubles = [
        format!("ip link set {IFB} down"),
        format!("ip link set {IFB} down; ip link set {IFB} up"),
        format!("ip link del {IFB}"),
        format!("ip link del {IFB}; ip link add {IFB} type ifb; ip link set {IFB} up"),
    ];
    for backend in LOADED {
        for trouble in &troubles {
            let desk = desk()?;
            let script = desk.put(&example("voip.gate"), backend)?;
            desk.succeed(&format!("sh {script} apply"))?;
            close(&desk)?;
            let (done, toll) = waves.over(&desk, None, || {
                desk.succeed(trouble)?;
                std::thread::sleep(Duration::from_millis(50));
                Ok::<_, Failed>(())
            })?;
            done?;
            nothing_leaked(&toll, trouble)?;
            eprintln!("{backend}, `{trouble}`: {toll}");
        }
    }
    Ok(())
}

/// What a vif that is renamed or made anew lets out until the next apply, is counted and found; what
/// was held before it stays held, and the next apply holds again.
fn a_vif_in_trouble() -> Result<(), Failed> {
    let waves = Waves::of(&["voip.gate"]);
    let anew = "ip link del vif0; ip link add eth1 type veth peer name vif0; \
                ip link set vif0 master br0; ip link set eth1 up; ip link set vif0 up";
    let renamed = "ip link set vif0 down; ip link set vif0 name vif5; ip link set vif5 up";
    for backend in LOADED {
        for (trouble, back) in [
            (
                renamed,
                "ip link set vif5 down; ip link set vif5 name vif0; ip link set vif0 up",
            ),
            (anew, "true"),
        ] {
            let desk = desk()?;
            let script = desk.put(&example("voip.gate"), backend)?;
            desk.succeed(&format!("sh {script} apply"))?;
            close(&desk)?;
            let before = waves.alone(&desk)?;
            nothing_leaked(&before, "before the trouble")?;
            // Nothing is sent meanwhile: what comes out now was held.
            let (done, toll) = desk.lab.flood(None, &[], &[], || desk.succeed(trouble))?;
            done?;
            assert_eq!(
                toll.leaked, 0,
                "{backend}, `{trouble}`: what was held came out"
            );
            let meanwhile = waves.alone(&desk)?;
            desk.succeed(&format!("{back}; sh {script} apply"))?;
            desk.succeed(&format!("sh {script} status"))?;
            let after = waves.alone(&desk)?;
            nothing_leaked(&after, trouble)?;
            eprintln!(
                "{backend}, `{trouble}`: until the next apply leaked {} of {}, after it 0 of {}",
                meanwhile.leaked, meanwhile.held_sent, after.held_sent
            );
        }
    }
    Ok(())
}
