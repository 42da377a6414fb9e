//! The hook for `xl remus -N` against the contract that Xen's source states (tools/libs/light,
//! libxl_netbuffer.c and libxl_checkpoint_device.c): what libxl reads afterwards, that it calls teardown
//! after a failed setup too and then without `REMUS_IFB`, that it calls all vifs' hooks at one time, and
//! that it kills a hook that takes long. The xenstore is one of files, see `desk`.

mod desk;
mod disturbed;
mod held;
mod refusals;

use compiler::backend::Kind;
use libtest_mimic::{Failed, Trial};
use policy_lang::{Verdict, classify};
use tests::examples::{self, Example};
use tests::netlab::Observed;

use self::desk::{Desk, Fault, IFB, WORDS, frames};
use crate::{Here, LOADED};

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    let mut trials = vec![
        here.trial("xen::stock_rule_leaks_what_ours_holds", stock_rule_leaks),
        here.trial(
            "xen::bad_surroundings_are_refused",
            refusals::bad_surroundings,
        ),
        here.trial(
            "xen::hostile_names_do_nothing",
            refusals::hostile_names_do_nothing,
        ),
        here.trial(
            "xen::foreign_things_are_left_alone",
            refusals::foreign_things,
        ),
        here.trial("xen::a_store_that_hangs", refusals::a_store_that_hangs),
        here.trial(
            "xen::names_are_those_of_compile",
            names_are_those_of_compile,
        ),
    ];
    for backend in Kind::ALL {
        let mut add = |name: &str, run: fn(Kind) -> Result<(), Failed>| {
            let name = format!("xen::{name}");
            trials.push(here.trial_with(backend, &name, move || run(backend)));
        };
        add("keeps_the_contract", keeps_the_contract);
        add("teardown_forgives", teardown_forgives);
        add("setup_replaces_what_is_left", setup_replaces_what_is_left);
        if !LOADED.contains(&backend) {
            continue;
        }
        add("is_quick", is_quick);
        add("what_is_held_never_leaves", held::never_leaves);
        add("several_vifs_at_once", several_vifs_at_once);
        add("the_deploy_script_goes_on", the_deploy_script_goes_on);
        add(
            "any_failing_step_of_setup_is_undone",
            disturbed::any_failing_step,
        );
        add("killed_at_any_step_of_setup", disturbed::killed_at_any_step);
        add("disturbed_teardowns", disturbed::disturbed_teardowns);
    }
    trials
}

fn example(name: &str) -> Example {
    let mut all = examples::all().into_iter();
    all.find(|e| e.name == name).expect("an example")
}

/// Two states must be one; what differs is shown, not all of it.
fn same(before: &str, after: &str, when: &str) -> Result<(), Failed> {
    let differs = |one: &str, other: &str| {
        let line = one.lines().find(|line| !other.lines().any(|l| l == *line));
        line.unwrap_or("nothing").to_owned()
    };
    if before == after {
        return Ok(());
    }
    let (gone, new) = (differs(before, after), differs(after, before));
    Err(format!("{when}: gone is `{gone}`, new is `{new}`").into())
}

fn keeps_the_contract(backend: Kind) -> Result<(), Failed> {
    let desk = Desk::new()?;
    let voip = example("voip.gate");
    let hook = desk.hook(&voip, backend)?;
    let before = desk.state()?;
    desk.succeed(&format!("{hook} setup"))?;
    assert_eq!(desk.stored("ifb").as_deref(), Some(IFB));
    assert_eq!(desk.stored("hotplug-status").as_deref(), Some("connected"));
    desk.as_libxl_wants()?;

    let frames = frames();
    let run = desk.lab.run(Some(IFB), &frames)?;
    for ((words, frame), seen) in WORDS.iter().zip(&frames).zip(&run.observations) {
        let expected = match classify(&voip.policy, frame).verdict {
            Verdict::Buffer => Observed::Held,
            Verdict::Bypass => Observed::Bypassed,
        };
        assert_eq!(seen.observed, expected, "{words}");
    }

    desk.succeed(&format!("REMUS_IFB={IFB} {hook} teardown"))?;
    same(&before, &desk.state()?, "at the end")?;
    assert!(desk.store_is_empty());
    Ok(())
}

/// Xen's script redirects with `proto ip`: everything else is never held. The rule is set up here as
/// its documentation describes it.
fn stock_rule_leaks() -> Result<(), Failed> {
    let remus = example("remus.gate");
    let stock = Desk::new()?;
    stock.succeed(&format!(
        "ip link add {IFB} type ifb && ip link set {IFB} up && tc qdisc add dev vif0 ingress && \
         tc filter add dev vif0 parent ffff: protocol ip prio 10 u32 match u32 0 0 \
         action mirred egress redirect dev {IFB}"
    ))?;
    let ours = Desk::new()?;
    ours.succeed(&format!("{} setup", ours.hook(&remus, Kind::Nft)?))?;
    let (stock, ours) = (stock.passed(&remus)?, ours.passed(&remus)?);
    for ((words, stock), ours) in WORDS.iter().zip(stock).zip(ours) {
        let plain_ip = !["[", "arp", "vlan"]
            .iter()
            .any(|other| words.contains(other));
        assert_eq!(stock, !plain_ip, "{words}");
        assert!(!ours, "{words}");
    }
    Ok(())
}

/// Each process costs about 0.2 s in a dom0 under emulation, and libxl waits for 40 s.
fn is_quick(backend: Kind) -> Result<(), Failed> {
    let desk = Desk::new()?;
    let hook = desk.hook(&example("voip.gate"), backend)?;
    for (verb, most) in [("setup", 12), ("teardown", 11)] {
        let tools = desk.faulty(0, Fault::Fails)?;
        desk.succeed(&format!("{tools} {hook} {verb}"))?;
        // `timeout` starts the tool that it is to end.
        let calls = desk.calls()?;
        let processes = calls.len() + calls.iter().filter(|tool| *tool == "timeout").count();
        eprintln!(
            "{backend}: {verb} starts {processes} processes: {}",
            calls.join(" ")
        );
        assert!(processes <= most, "{calls:?}");
    }
    Ok(())
}

fn teardown_forgives(backend: Kind) -> Result<(), Failed> {
    let desk = Desk::new()?;
    let hook = desk.hook(&example("voip.gate"), backend)?;
    let before = desk.state()?;
    let gone = "ip link del vif0";
    let back = "ip link add eth1 type veth peer name vif0; ip link set vif0 master br0; \
                ip link set eth1 up; ip link set vif0 up";
    for (what, disturb, restore, environment) in [
        ("never set up", "true", "true", ""),
        ("the IFB is not named", "", "true", ""),
        ("another IFB is named", "", "true", "REMUS_IFB=ifb9"),
        (
            "the IFB is gone",
            "ip link del ifb-vif0",
            "true",
            "REMUS_IFB=ifb-vif0",
        ),
        (
            "the store is empty",
            "xenstore-rm -t $XENBUS_PATH/ifb",
            "true",
            "",
        ),
        ("the store fails", "", "true", "XENSTORE_FAULT=fail"),
        ("the vif is gone", gone, back, ""),
    ] {
        if disturb != "true" {
            desk.succeed(&format!("{hook} setup"))?;
        }
        desk.succeed(if disturb.is_empty() { "true" } else { disturb })?;
        for _ in 0..2 {
            desk.succeed(&format!("{environment} {hook} teardown"))
                .map_err(|e| format!("{what}: {}", e.message().unwrap_or_default()))?;
        }
        desk.succeed(restore)?;
        assert_eq!(names(&before), names(&desk.state()?), "{what}");
        desk.succeed(&format!("{hook} teardown"))?;
        assert!(desk.store_is_empty(), "{what}");
    }
    Ok(())
}

/// A state without the numbers of devices, which change when a vif comes back.
fn names(state: &str) -> Vec<String> {
    let mut lines: Vec<String> = state
        .lines()
        .map(|line| {
            line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':')
                .to_owned()
        })
        .collect();
    lines.sort();
    lines
}

fn setup_replaces_what_is_left(backend: Kind) -> Result<(), Failed> {
    let (voip, paper) = (example("voip.gate"), example("paper.gate"));
    for old in LOADED {
        for disturb in [
            "true",
            "ip link del ifb-vif0",
            "ip link set ifb-vif0 down",
            "tc qdisc del dev ifb-vif0 root",
            "ip link del ifb-vif0; ip link add ifb-vif0 type ifb",
            "xenstore-write $XENBUS_PATH/hotplug-error old $XENBUS_PATH/hotplug-status error",
        ] {
            let desk = Desk::new()?;
            let (first, second) = (desk.hook(&paper, old)?, desk.hook(&voip, backend)?);
            desk.succeed(&format!("{first} setup && {disturb}; {second} setup"))
                .map_err(|e| format!("{old}, {disturb}: {}", e.message().unwrap_or_default()))?;
            desk.as_libxl_wants()?;
            assert!(!desk.passed(&voip)?.contains(&true), "{old}, {disturb}");
            let script = desk.script(&voip, backend)?;
            desk.succeed(&format!("sh {script} status"))?;
        }
    }
    Ok(())
}

/// libxl calls the hooks of all vifs of a domain at one time.
fn several_vifs_at_once(backend: Kind) -> Result<(), Failed> {
    let desk = Desk::new()?;
    let hook = desk.hook(&example("voip.gate"), backend)?;
    let vifs: Vec<String> = (0..6).map(|n| format!("vif7.{n}")).collect();
    for vif in &vifs {
        desk.succeed(&format!(
            "ip link add {vif} type veth peer name guest-{vif}"
        ))?;
    }
    let before = desk.state()?;
    let calls = |verb: &str| -> Result<(), Failed> {
        let mut running = Vec::new();
        for (vif, n) in vifs.iter().zip(0..) {
            let path = format!("/libxl/7/remus/netbuf/{n}");
            running.push(desk.start(&format!("vifname={vif} XENBUS_PATH={path} {hook} {verb}"))?);
        }
        for call in running {
            let output = call.wait_with_output()?;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
        }
        Ok(())
    };
    for _ in 0..3 {
        calls("setup")?;
        let stored = desk.succeed("cat $XENSTORE/libxl/7/remus/netbuf/*/ifb")?;
        let expected: String = vifs.iter().map(|vif| format!("ifb-{vif}")).collect();
        assert_eq!(stored, expected);
        let plugs = desk.succeed("tc qdisc show | grep -c '^qdisc plug '")?;
        assert_eq!(plugs.trim(), "6");
        calls("teardown")?;
        same(&before, &desk.state()?, "at the end")?;
    }
    // Two for the same vif: one after the other, and all is there.
    let both = [
        desk.start(&format!("{hook} setup"))?,
        desk.start(&format!("{hook} setup"))?,
    ];
    for call in both {
        assert!(call.wait_with_output()?.status.success());
    }
    desk.as_libxl_wants()
}

/// What a hook leaves is what the deploy script of the same policy would: it can watch, change and
/// remove it while Xen drives the gate.
fn the_deploy_script_goes_on(backend: Kind) -> Result<(), Failed> {
    let desk = Desk::new()?;
    let (voip, webrtc) = (example("voip.gate"), example("webrtc.gate"));
    let hook = desk.hook(&voip, backend)?;
    let (ours, other) = (desk.script(&voip, backend)?, desk.script(&webrtc, backend)?);
    let before = desk.state()?;
    desk.succeed(&format!("{hook} setup && sh {ours} status"))?;
    desk.succeed(&format!("sh {ours} swap {other} && sh {other} status"))?;
    desk.as_libxl_wants()?;
    assert!(!desk.passed(&webrtc)?.contains(&true));
    desk.succeed(&format!("REMUS_IFB={IFB} {hook} teardown"))?;
    same(&before, &desk.state()?, "at the end")?;
    Ok(())
}

/// So that `audit` and the deploy script find what a hook has made.
fn names_are_those_of_compile() -> Result<(), Failed> {
    let desk = Desk::new()?;
    let voip = example("voip.gate");
    for backend in LOADED {
        let hook = desk.hook(&voip, backend)?;
        for vif in ["vif1.0", "vif12345.6789", "a-b_c.d", "vif1234.567"] {
            let ifb = compiler::device::Device::ifb_for(&compiler::device::Device::new(vif)?);
            let compiled = voip.compile(backend, vif, ifb.as_str())?.rules;
            let (_, expected) = compiled
                .split_once(&format!("go to {ifb}\n"))
                .ok_or("a header")?;
            let printed = desk.succeed(&format!("vifname={vif} {hook} rules"))?;
            assert_eq!(printed.trim(), expected.trim(), "{vif}");
        }
    }
    Ok(())
}
