//! `epochgate gate` by hand: what it refuses, and that a refusal changes nothing.

use libtest_mimic::{Failed, Trial};
use tests::netlab::Lab;

use super::world::epochgate;
use crate::Here;

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    vec![
        here.trial("gate::refuses_what_is_no_plug", refuses_what_is_no_plug),
        here.trial_on_plug("gate::orders_by_hand", orders_by_hand),
    ]
}

/// Runs the words; whether it went well, and all it said.
fn gate(lab: &Lab, words: &[&str]) -> Result<(bool, String), Failed> {
    let output = lab.command(&epochgate()).arg("gate").args(words).output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Ok((output.status.success(), said))
}

fn refused(lab: &Lab, words: &[&str], reason: &str) -> Result<(), Failed> {
    let (fine, said) = gate(lab, words)?;
    if fine || !said.contains(reason) {
        return Err(format!("`gate {}`: {said}", words.join(" ")).into());
    }
    Ok(())
}

fn on<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&["--ifb", "ifb0"], words].concat()
}

/// What every plug can be told.
const ORDERS: [&[&str]; 4] = [
    &["block"],
    &["release"],
    &["open", "--release-uncommitted"],
    &["limit", "64MiB"],
];
/// What only our module can be told, and why a plug can't.
const OURS: [(&[&str], &str); 4] = [
    (&["begin", "2"], "knows no epochs by their numbers"),
    (&["commit", "1"], "knows no epochs by their numbers"),
    (&["abort", "1"], "knows no epochs by their numbers"),
    (&["set", "--watchdog", "2s"], "can't be told that"),
];

fn all() -> impl Iterator<Item = &'static [&'static str]> {
    ORDERS.into_iter().chain(OURS.map(|(words, _)| words))
}

/// On a root of another kind `tc qdisc change ... plug block` makes a plug that drops everything.
fn refuses_what_is_no_plug() -> Result<(), Failed> {
    let lab = Lab::new()?;
    let root = || -> Result<String, Failed> {
        let shown = lab.shell("tc qdisc show dev ifb0")?;
        Ok(String::from_utf8_lossy(&shown.stdout).into_owned())
    };
    for words in all() {
        refused(&lab, &on(words), "there is no interface `ifb0`")?;
    }
    lab.shell("ip link add ifb0 type ifb")?;
    for words in all() {
        refused(&lab, &on(words), "`ifb0` is down")?;
    }
    lab.shell("ip link set ifb0 up")?;
    for qdisc in ["", "pfifo limit 7", "bfifo limit 70000"] {
        if !qdisc.is_empty() {
            lab.shell(&format!("tc qdisc replace dev ifb0 root {qdisc}"))?;
        }
        let before = root()?;
        for words in all() {
            refused(&lab, &on(words), ", not `plug`")?;
        }
        refused(&lab, &on(&["status"]), ", not `plug`")?;
        refused(
            &lab,
            &on(&["serve", "--socket", "/nowhere/s"]),
            ", not `plug`",
        )?;
        if root()? != before {
            return Err(format!("it was `{before}` and is `{}`", root()?).into());
        }
    }
    refused(&lab, &on(&["limit", "0"]), "drops every packet")?;
    refused(&lab, &on(&["open"]), "no backup has")?;
    refused(&lab, &["block"], "needs the interface")
}

fn orders_by_hand() -> Result<(), Failed> {
    let lab = Lab::new()?;
    lab.shell(
        "ip link add ifb0 type ifb
         ip link set ifb0 up
         tc qdisc add dev ifb0 root plug limit 100000",
    )?;
    for words in ORDERS {
        let (fine, said) = gate(&lab, &[&["--ifb", "ifb0"], words].concat())?;
        eprintln!("gate: {}", said.trim_end());
        if !fine {
            return Err(said.into());
        }
    }
    // A plug would take the number for an action.
    for (words, why) in OURS {
        refused(&lab, &on(words), why)?;
    }
    let (fine, said) = gate(&lab, &["--ifb", "ifb0", "status", "--format", "json"])?;
    let status: serde_json::Value = serde_json::from_str(&said).map_err(|e| e.to_string())?;
    if !fine || status["qdisc"] != "plug" || status["held_packets"] != 0 {
        return Err(said.into());
    }
    Ok(())
}
