//! What a hook refuses: surroundings that are not as libxl makes them, names that could be anything
//! else, and devices and rules of others.

use crate::LOADED;
use std::time::{Duration, Instant};

use compiler::backend::Kind;
use libtest_mimic::Failed;

use super::desk::Desk;
use super::{example, same};

pub(super) fn bad_surroundings() -> Result<(), Failed> {
    let desk = Desk::new()?;
    let hook = desk.hook(&example("voip.gate"), Kind::Nft)?;
    let before = desk.state()?;
    let path = "PATH=/nowhere /bin/sh";
    for (call, because) in [
        (format!("unset vifname; {hook} setup"), "vifname is not set"),
        (
            format!("unset XENBUS_PATH; {hook} setup"),
            "XENBUS_PATH is not set",
        ),
        (
            format!("unset XENBUS_PATH; {hook} teardown"),
            "XENBUS_PATH is not set",
        ),
        (format!("XENBUS_PATH=/ {hook} setup"), "no path in xenstore"),
        (
            format!("vifname=vif9.9 {hook} setup"),
            "there is no device vif9.9",
        ),
        (
            format!("XENSTORE_FAULT=fail {hook} setup"),
            "can't write to xenstore",
        ),
        (
            format!("EPOCHGATE_LOCK_DIR=/nowhere {hook} setup"),
            "can't write /nowhere",
        ),
        (format!("{path} -c 'PATH=/nowhere; . {hook}' setup"), ""),
        (hook.clone(), "usage"),
        (format!("{hook} setup now"), "usage"),
        (format!("{hook} start"), "usage"),
    ] {
        desk.fail(&call, because)?;
        same(&before, &desk.state()?, &call)?;
    }
    Ok(())
}

pub(super) fn hostile_names_do_nothing() -> Result<(), Failed> {
    let desk = Desk::new()?;
    let before = desk.state()?;
    let canary = desk.canary();
    let touch = format!("touch {}", canary.display());
    for backend in LOADED {
        let hook = desk.hook(&example("voip.gate"), backend)?;
        for name in [
            format!("$({touch})"),
            format!("`{touch}`"),
            format!("vif0;{touch}"),
            format!("vif0'; {touch}; '"),
            format!("vif0\" {{}}; {touch}"),
            format!("vif0\n{touch}"),
            String::from("../../proc"),
            String::from("-vif0"),
            String::from("vif0 up"),
            String::from("vif*"),
            String::from("0123456789abcdef"),
            String::from("."),
        ] {
            for verb in ["setup", "teardown", "rules"] {
                let quoted = name.replace('\'', r"'\''");
                desk.fail(
                    &format!("vifname='{quoted}' {hook} {verb}"),
                    "no usable name",
                )?;
                if verb != "rules" {
                    let call = format!("XENBUS_PATH='/a/{quoted}' {hook} {verb}");
                    if name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
                        desk.fail(&call, "no path in xenstore")?;
                    }
                }
            }
        }
    }
    assert!(!canary.exists());
    same(&before, &desk.state()?, "at the end")?;
    Ok(())
}

pub(super) fn foreign_things() -> Result<(), Failed> {
    for (what, because) in [
        ("tc qdisc add dev vif0 clsact", "not ours"),
        (
            "tc qdisc add dev vif0 ingress; tc filter add dev vif0 parent ffff: protocol ip prio 10 \
             u32 match u32 0 0 action mirred egress redirect dev br0",
            "not ours",
        ),
        (
            "nft 'add table netdev other; add chain netdev other c \
             { type filter hook ingress device vif0 priority 0; }'",
            "another nftables table",
        ),
        (
            "ip link add ifb-vif0 type ifb; ip link set ifb-vif0 up",
            "somebody else",
        ),
        ("ip link add ifb-vif0 type bridge", "somebody else"),
        (
            "ip link add ifb-vif0 type ifb; ip link set ifb-vif0 alias mine",
            "somebody else",
        ),
        (
            "ip link add vif0-emu type veth peer name tap0",
            "has a twin",
        ),
    ] {
        for backend in LOADED {
            let desk = Desk::new()?;
            let hook = desk.hook(&example("voip.gate"), backend)?;
            desk.succeed(what)?;
            let before = desk.state()?;
            desk.fail(&format!("{hook} setup"), because)?;
            assert_eq!(desk.stored("hotplug-status").as_deref(), Some("error"));
            let error = desk.stored("hotplug-error").unwrap_or_default();
            assert!(error.contains(because), "{error}");
            desk.succeed(&format!("{hook} teardown"))?;
            same(&before, &desk.state()?, what)?;
            assert!(desk.store_is_empty());
        }
    }
    Ok(())
}

/// A store that never answers must not use up libxl's patience, nor leave anything behind.
pub(super) fn a_store_that_hangs() -> Result<(), Failed> {
    let desk = Desk::new()?;
    let hook = desk.hook(&example("voip.gate"), Kind::Nft)?;
    let before = desk.state()?;
    let begin = Instant::now();
    desk.fail(
        &format!("XENSTORE_FAULT=hang {hook} setup"),
        "xenstore does not answer",
    )?;
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
    same(&before, &desk.state()?, "at the end")?;
    desk.succeed(&format!("{hook} setup"))?;
    desk.succeed(&format!("XENSTORE_FAULT=hang {hook} teardown"))?;
    same(&before, &desk.state()?, "at the end")?;
    Ok(())
}
