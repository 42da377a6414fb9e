//! `epochgate audit` and the script's `audit` on the running kernel: each way in which rules come
//! loose is made, and must be found; and with nothing wrong, nothing is.
//!
//! The program is this test binary itself, called by another name.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;
use std::thread::sleep;
use std::time::Duration;

use compiler::backend::Kind;
use libtest_mimic::{Failed, Trial};
use serde_json::Value;
use tests::netlab::Lab;

use crate::script::{Desk, IFB, example, probes};
use crate::{Here, LOADED};

/// What happens, to which kind of rules (`None`: both), and what the audit must say.
const DETACHMENTS: &[(&str, Option<Kind>, &[&str])] = &[
    (
        "ip link set vif0 down; ip link set vif0 name vif5",
        None,
        &["A0101"],
    ),
    ("ip link del ifb-vif0", None, &["A0301", "A0305"]),
    (
        "ip link del ifb-vif0; ip link add ifb-vif0 type ifb; ip link set ifb-vif0 up",
        None,
        &["A0302", "A0304", "A0305"],
    ),
    ("ip link set ifb-vif0 down", None, &["A0303"]),
    ("tc qdisc replace dev ifb-vif0 root pfifo", None, &["A0304"]),
    ("tc qdisc del dev ifb-vif0 root", None, &["A0304"]),
    ("ip link set ifb-vif0 alias mine", None, &["A0302"]),
    (
        "ip link set ifb-vif0 alias epochgate:vif0:swap:rx5",
        None,
        &["A0207"],
    ),
    ("tc qdisc add dev ifb-vif0 clsact", None, &["A0306"]),
    (
        "nft 'add table netdev o; add chain netdev o c { type filter hook egress device \"ifb-vif0\" priority 0; }'",
        None,
        &["A0306"],
    ),
    (
        "nft 'add table netdev o; add chain netdev o c { type filter hook ingress device \"vif0\" priority -5; }'",
        None,
        &["A0205"],
    ),
    (
        "nft 'add table netdev o; add chain netdev o c { type filter hook ingress device \"vif0\" priority -5; }; \
         add rule netdev o c ether type ip fwd to \"out0\"'",
        Some(Kind::Nft),
        &["A0205", "A0210"],
    ),
    (
        "nft 'add table inet o; add chain inet o c { type filter hook ingress device \"vif0\" priority -5; }'",
        Some(Kind::Nft),
        &["A0205"],
    ),
    (
        "nft delete table netdev epochgate_vif0",
        Some(Kind::Nft),
        &["A0201", "A0209"],
    ),
    (
        "nft flush chain netdev epochgate_vif0 ingress; nft chain netdev epochgate_vif0 ingress '{ policy accept; }'",
        Some(Kind::Nft),
        &["A0209"],
    ),
    (
        "nft insert rule netdev epochgate_vif0 ingress ether type arp accept",
        Some(Kind::Nft),
        &[],
    ),
    (
        "nft insert rule netdev epochgate_vif0 ingress meta protocol ip accept",
        Some(Kind::Nft),
        &["A0209"],
    ),
    // Not `meta protocol`: about frames with two tags kernels differ then, and in doubt it is a leak.
    (
        "nft insert rule netdev epochgate_vif0 ingress ether type ip drop",
        Some(Kind::Nft),
        &["A0210"],
    ),
    (
        "tc qdisc add dev vif0 clsact; tc filter add dev vif0 ingress pref 5 protocol all u32 match u32 0 0 flowid :1",
        Some(Kind::Nft),
        &["A0204"],
    ),
    (
        "tc qdisc add dev vif0 ingress_block 22 clsact",
        Some(Kind::Nft),
        &["A0103"],
    ),
    (
        "tc qdisc del dev vif0 clsact",
        Some(Kind::U32),
        &["A0202", "A0209"],
    ),
    // The last pref alone is a second net: the one before it decides about every frame.
    (
        "tc filter del dev vif0 ingress pref 65000",
        Some(Kind::U32),
        &[],
    ),
    (
        "tc filter del dev vif0 ingress pref 120",
        Some(Kind::U32),
        &["A0210"],
    ),
    (
        "tc filter del dev vif0 ingress pref 120; tc filter del dev vif0 ingress pref 65000",
        Some(Kind::U32),
        &["A0209"],
    ),
    (
        "tc filter add dev vif0 ingress pref 1 protocol ip u32 match ip protocol 1 0xff flowid :1",
        Some(Kind::U32),
        &["A0204", "A0209"],
    ),
    (
        "tc filter add dev vif0 ingress pref 1 protocol all bpf bytecode '1,6 0 0 4294967295' flowid :1",
        Some(Kind::U32),
        &["A0204"],
    ),
    (
        "tc filter add dev vif0 ingress pref 7 protocol all bpf bytecode '1,6 0 0 4294967295' flowid :1",
        Some(Kind::U32),
        &["A0204"],
    ),
    (
        "tc filter add dev vif0 ingress protocol ip u32 match ip protocol 1 0xff flowid :1",
        Some(Kind::U32),
        &["A0204"],
    ),
    (
        "tc filter add dev vif0 ingress pref 1 protocol all bpf bytecode '1,6 0 0 4294967295' flowid :1 \
         action mirred egress redirect dev ifb-vif0",
        Some(Kind::U32),
        &["A0206"],
    ),
];

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    let mut trials = vec![
        here.trial("audit::a_vif_made_anew_is_found_or_held", a_vif_made_anew),
        here.trial(
            "audit::a_gate_that_drops_all_is_found",
            a_gate_that_drops_all,
        ),
        here.trial("audit::leftovers_of_the_other_kind_are_found", leftovers),
    ];
    for backend in Kind::ALL {
        let mut add = |name: &str, run: fn(Kind) -> Result<(), Failed>| {
            trials.push(here.trial_with(backend, &format!("audit::{name}"), move || run(backend)));
        };
        add("nothing_is_found_where_nothing_is_wrong", nothing_wrong);
        // What comes loose, comes loose of any kind of filters in the same ways.
        if LOADED.contains(&backend) {
            add("every_detachment_is_found", every_detachment);
        }
    }
    trials
}

/// A desk with a policy, its script, and the program.
struct Audited {
    desk: Desk,
    script: String,
    program: String,
    policy: String,
}

impl Audited {
    fn new(lab: Lab, backend: Kind) -> Result<Self, Failed> {
        let desk = Desk::in_lab(lab)?;
        let voip = example("voip.gate");
        let script = desk.put(&voip, backend)?;
        let (program, policy) = (
            desk.files.path().join("epochgate"),
            desk.files.path().join("voip.gate"),
        );
        symlink(std::env::current_exe()?, &program)?;
        fs::write(&policy, &voip.text)?;
        desk.succeed(&format!("sh {script} apply"))?;
        Ok(Self {
            desk,
            script,
            program: program.display().to_string(),
            policy: policy.display().to_string(),
        })
    }

    fn audit(&self, more: &str) -> Result<Output, Failed> {
        self.desk.sh(&format!(
            "{} audit {} --vif vif0 --format json {more}",
            self.program, self.policy
        ))
    }

    /// The codes that are found, with the exit code checked against them.
    fn codes(&self, more: &str) -> Result<Vec<String>, Failed> {
        let output = self.audit(more)?;
        let outcome: Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&output.stderr)))?;
        let codes: Vec<String> = outcome["findings"]
            .as_array()
            .ok_or("no findings")?
            .iter()
            .filter_map(|found| found["code"].as_str().map(str::to_owned))
            .collect();
        assert_eq!(
            output.status.code(),
            Some(i32::from(!codes.is_empty())),
            "{outcome}"
        );
        assert_eq!(outcome["equal"], codes.is_empty(), "{outcome}");
        Ok(codes)
    }

    /// The exit code of the script's own audit, without the program and with it.
    fn script_finds(&self, program: &str) -> Result<(bool, String), Failed> {
        let output = self
            .desk
            .sh(&format!("EPOCHGATE={program} sh {} audit", self.script))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((!output.status.success(), said))
    }
}

fn every_detachment(backend: Kind) -> Result<(), Failed> {
    let mut made = 0;
    for (command, only, expected) in DETACHMENTS {
        if only.is_some_and(|only| only != backend) {
            continue;
        }
        let audited = Audited::new(Lab::new()?, backend)?;
        audited.desk.succeed(command)?;
        let codes = audited.codes("")?;
        for code in *expected {
            assert!(
                codes.iter().any(|found| found == code),
                "{command}: {codes:?}"
            );
        }
        assert_eq!(
            expected.is_empty(),
            codes.is_empty(),
            "{command}: {codes:?}"
        );
        // What the script sees without the program is less, but never nothing.
        let (found, said) = audited.script_finds("no-such-program")?;
        assert!(said.contains("not proved"), "{said}");
        assert!(found, "{command}: the script's audit says: {said}");
        made += usize::from(!expected.is_empty());
    }
    eprintln!("{backend}: {made} kinds of trouble made, all found");
    Ok(())
}

fn nothing_wrong(backend: Kind) -> Result<(), Failed> {
    let audited = Audited::new(Lab::new()?, backend)?;
    let desk = &audited.desk;
    assert_eq!(audited.codes("")?, [""; 0]);
    // Traffic is no finding.
    desk.lab.run(Some(IFB), &probes())?;
    assert_eq!(audited.codes("")?, [""; 0]);
    for program in ["no-such-program", &audited.program] {
        let (found, said) = audited.script_finds(program)?;
        assert!(!found, "{said}");
        let words = match program == audited.program {
            true => "proved equal to the policy",
            false => "listed as a fresh load of them is (not proved",
        };
        assert!(said.contains(words), "{said}");
    }
    // A listing tells the same, whoever wrote it, also where nothing else is left.
    let (by_script, by_program) = (desk.files.path().join("s"), desk.files.path().join("p"));
    let (by_script, by_program) = (by_script.display(), by_program.display());
    desk.succeed(&format!("sh {} audit --dump {by_script}", audited.script))?;
    assert_eq!(audited.codes(&format!("--dump {by_program}"))?, [""; 0]);
    desk.succeed(&format!("sh {} remove", audited.script))?;
    for listing in [by_script, by_program] {
        assert_eq!(audited.codes(&format!("--listing {listing}"))?, [""; 0]);
    }
    assert!(!audited.codes("")?.is_empty(), "all has been removed");
    Ok(())
}

/// tc's filters are gone with the old vif, and so are nftables chains on older kernels; on newer
/// ones they come back by name. Either it is found, or all is held as before.
fn a_vif_made_anew() -> Result<(), Failed> {
    for backend in LOADED {
        let audited = Audited::new(Lab::new()?, backend)?;
        audited.desk.succeed(
            "ip link del vif0; ip link add eth1 type veth peer name vif0; \
             ip link set vif0 master br0; ip link set eth1 up; ip link set vif0 up",
        )?;
        let codes = audited.codes("")?;
        if codes.is_empty() {
            assert_eq!(backend, Kind::Nft);
            audited
                .desk
                .leaks_nothing(&[&example("voip.gate").policy])?;
        } else {
            assert!(codes.contains(&"A0209".to_owned()), "{codes:?}");
        }
        eprintln!("{backend}: a vif made anew: {codes:?}");
    }
    Ok(())
}

fn a_gate_that_drops_all() -> Result<(), Failed> {
    let audited = Audited::new(Lab::closed()?, Kind::U32)?;
    assert_eq!(audited.codes("")?, [""; 0]);
    // The plug gets the limit 0; the stand-in becomes what drops all.
    audited
        .desk
        .succeed(&match audited.desk.lab.plug().starts_with("the kernel") {
            true => format!("tc qdisc del dev {IFB} root; tc qdisc add dev {IFB} root plug block"),
            false => format!("tc qdisc change dev {IFB} root plug block"),
        })?;
    audited.desk.lab.flood(Some(IFB), &probes(), &[], || {
        sleep(Duration::from_millis(50))
    })?;
    assert_eq!(audited.codes("")?, ["A0307"]);
    Ok(())
}

fn leftovers() -> Result<(), Failed> {
    let audited = Audited::new(Lab::new()?, Kind::U32)?;
    let rules = example("voip.gate").compile(Kind::Nft, "vif0", IFB)?.rules;
    let file = audited.desk.files.path().join("rules");
    fs::write(&file, rules)?;
    audited
        .desk
        .succeed(&format!("nft -f {}", file.display()))?;
    assert_eq!(audited.codes("")?, ["A0208"]);
    Ok(())
}
