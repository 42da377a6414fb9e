//! The deploy script on the running kernel: what it leaves behind, and what it never lets out.

use std::fs;
use std::path::Path;
use std::process::Output;

use compiler::backend::Kind;
use libtest_mimic::{Failed, Trial};
use policy_lang::{Policy, Verdict, classify};
use tempfile::TempDir;
use tests::examples::{self, Example};
use tests::netlab::{Lab, Observed, VIF};

use crate::{Here, LOADED};

pub(crate) const IFB: &str = "ifb-vif0";

pub(crate) fn trials(here: &Here) -> Vec<Trial> {
    let mut trials = vec![
        here.trial(
            "script::refuses_to_stack_on_foreign_rules",
            refuses_foreign_rules,
        ),
        here.trial("script::refuses_an_ifb_in_use", refuses_an_ifb_in_use),
        here.trial(
            "script::hostile_arguments_do_nothing",
            hostile_arguments_do_nothing,
        ),
        here.trial(
            "script::recovers_when_the_vif_comes_back",
            recovers_when_the_vif_comes_back,
        ),
    ];
    for backend in Kind::ALL {
        let mut add = |name: &str, run: fn(Kind) -> Result<(), Failed>| {
            let name = format!("script::{name}");
            trials.push(here.trial_with(backend, &name, move || run(backend)));
        };
        add("twice_is_as_good_as_once", twice_is_as_good_as_once);
        add("a_dry_run_says_what_is_done", a_dry_run_says_what_is_done);
        add("removes_all_that_it_made", removes_all_that_it_made);
        if !LOADED.contains(&backend) {
            continue;
        }
        add("watch_shows_numbers", watch_shows_numbers);
        add(
            "any_failing_step_of_apply_is_undone",
            any_failing_step_of_apply_is_undone,
        );
        add(
            "killed_at_any_step_of_apply_recovers",
            killed_at_any_step_of_apply_recovers,
        );
        add(
            "any_failing_step_of_swap_leaks_nothing",
            any_failing_step_of_swap_leaks_nothing,
        );
        add(
            "killed_at_any_step_leaks_nothing",
            killed_at_any_step_leaks_nothing,
        );
    }
    trials
}

/// A laboratory with the scripts of examples in it.
pub(crate) struct Desk {
    pub(crate) lab: Lab,
    pub(crate) files: TempDir,
}

impl Desk {
    fn new() -> Result<Self, Failed> {
        Self::in_lab(Lab::new()?)
    }

    pub(crate) fn in_lab(lab: Lab) -> Result<Self, Failed> {
        let files = TempDir::new()?;
        Ok(Self { lab, files })
    }

    /// Puts the script of an example on the desk.
    pub(crate) fn put(&self, example: &Example, backend: Kind) -> Result<String, Failed> {
        let path = self
            .files
            .path()
            .join(format!("{}-{backend}.sh", example.name));
        fs::write(&path, example.compile(backend, VIF, IFB)?.script)?;
        Ok(path.display().to_string())
    }

    pub(crate) fn sh(&self, text: &str) -> Result<Output, Failed> {
        Ok(self.lab.command("sh").args(["-c", text]).output()?)
    }

    pub(crate) fn succeed(&self, text: &str) -> Result<String, Failed> {
        let output = self.sh(text)?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!(
            "`{text}` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        )
        .into())
    }

    pub(crate) fn fail(&self, text: &str, because: &str) -> Result<(), Failed> {
        let output = self.sh(text)?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() || !said.contains(because) {
            return Err(format!("`{text}` should fail with `{because}`, said: {said}").into());
        }
        Ok(())
    }

    /// Everything that a script could change, without counters.
    pub(crate) fn state(&self) -> Result<String, Failed> {
        self.succeed(
            "ip -o link show | sed 's/@.*//; s/<.*>.*alias/alias/; s/<.*//'; tc qdisc show; \
             tc filter show dev vif0 ingress; nft -a list ruleset",
        )
    }

    /// Every frame that `policy` holds, held or lost; the others anything.
    pub(crate) fn leaks_nothing(&self, policies: &[&Policy]) -> Result<(), Failed> {
        let there = self
            .sh(&format!("ip link show dev {IFB}"))?
            .status
            .success();
        let frames = probes();
        let run = self.lab.run(there.then_some(IFB), &frames)?;
        for (frame, seen) in frames.iter().zip(&run.observations) {
            let held = policies
                .iter()
                .all(|p| classify(p, frame).verdict == Verdict::Buffer);
            if held && seen.observed == Observed::Bypassed {
                return Err(format!("leaked {frame:02x?}").into());
            }
        }
        Ok(())
    }
}

/// A few frames of each class that the examples tell apart.
pub(crate) fn probes() -> Vec<Vec<u8>> {
    let words = [
        "tcp 10.0.0.2:80 > 192.0.2.9:40000",
        "tcp [2001:db8::2]:80 > [2001:db8::9]:40000",
        "udp 10.0.0.2:5060 > 192.0.2.9:5060 len 40",
        "udp 10.0.0.2:20000 > 192.0.2.9:30000 rtp pt 8",
        "udp [2001:db8::2]:20000 > [2001:db8::9]:30000 rtp pt 8",
        "udp 10.0.0.2:53 > 192.0.2.9:53 len 40",
        "icmp 10.0.0.2 > 192.0.2.9 type 8 code 0",
        "arp",
        "tcp 10.0.0.2:80 > 192.0.2.9:40000 vlan 5",
    ];
    words
        .iter()
        .map(|text| compiler::frame_text::parse(text).expect("a frame"))
        .collect()
}

pub(crate) fn example(name: &str) -> Example {
    examples::all()
        .into_iter()
        .find(|e| e.name == name)
        .expect("an example of that name")
}

fn twice_is_as_good_as_once(backend: Kind) -> Result<(), Failed> {
    let desk = Desk::new()?;
    let script = desk.put(&example("voip.gate"), backend)?;
    desk.fail(&format!("sh {script} status"), "")
        .or_else(|_| desk.fail("false", ""))?;
    desk.succeed(&format!("sh {script} apply"))?;
    desk.succeed(&format!("sh {script} status"))?;
    let once = desk.state()?;
    let said = desk.succeed(&format!("sh {script} apply"))?;
    assert!(said.contains("already in place"), "{said}");
    assert_eq!(once, desk.state()?);
    Ok(())
}

/// The words of commands that change something, one command a line.
fn changes(log: &str) -> Vec<String> {
    let changing = ["add", "del", "change", "set", "delete", "-batch", "-f"];
    log.lines()
        .map(|line| line.replace('\'', ""))
        .filter(|line| line.split(' ').any(|word| changing.contains(&word)))
        .map(|line| line.split(" <<").next().unwrap_or_default().to_owned())
        .filter(|line| {
            ["ip ", "tc ", "nft "]
                .iter()
                .any(|tool| line.starts_with(tool))
        })
        .filter(|line| !line.contains("show"))
        .collect()
}

/// What `--dry-run` prints is what is then run, in that order, and it changes nothing.
fn a_dry_run_says_what_is_done(backend: Kind) -> Result<(), Failed> {
    let desk = Desk::new()?;
    let (paper, voip) = (example("paper.gate"), example("voip.gate"));
    let (old, new) = (desk.put(&paper, backend)?, desk.put(&voip, backend)?);
    let log = desk.files.path().join("log");
    let tools = faulty_tools(&desk, 0, "true")?;
    // The same tools, but they write down what they are called with.
    for tool in ["ip", "tc", "nft"] {
        let path = desk.files.path().join("faulty").join(tool);
        let text = fs::read_to_string(&path)?;
        let line = format!(
            "[ -n \"${{EPOCHGATE_REHEARSAL-}}\" ] || echo \"{tool} $*\" >> {}\n",
            log.display()
        );
        fs::write(&path, text.replacen('\n', &format!("\n{line}"), 1))?;
    }
    for verb in [
        format!("sh {old} apply"),
        format!("sh {old} swap {new}"),
        format!("sh {new} remove"),
    ] {
        let before = desk.state()?;
        let said = desk.succeed(&format!("{verb} --dry-run"))?;
        assert_eq!(before, desk.state()?, "{verb}");
        fs::write(&log, "")?;
        desk.succeed(&format!("{tools} {verb}"))?;
        let done = fs::read_to_string(&log)?;
        // The packets that the vif has received go into the alias.
        let plain = |lines: Vec<String>| -> Vec<String> {
            let cut = |line: &String| line.split(":rx").next().unwrap_or_default().to_owned();
            lines.iter().map(cut).collect()
        };
        assert_eq!(
            plain(changes(&said)),
            plain(changes(&done)),
            "{verb}\n{said}\n{done}"
        );
    }
    Ok(())
}

/// Plain lines where there is no terminal.
fn watch_shows_numbers(backend: Kind) -> Result<(), Failed> {
    let desk = Desk::new()?;
    let script = desk.put(&example("voip.gate"), backend)?;
    desk.succeed(&format!("sh {script} apply"))?;
    let said = desk.succeed(&format!("sh {script} watch --interval 1 --count 2"))?;
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(
        said.lines()
            .all(|line| line.starts_with("epochgate: held 0 packets 0 bytes; bypass ")),
        "{said}"
    );
    for wrong in ["--interval 0", "--interval x", "--count", "--count -1", "5"] {
        let code = desk
            .sh(&format!("sh {script} watch {wrong}"))?
            .status
            .code();
        assert_eq!(code, Some(2), "{wrong}");
    }
    Ok(())
}

fn removes_all_that_it_made(backend: Kind) -> Result<(), Failed> {
    let desk = Desk::new()?;
    let script = desk.put(&example("webrtc.gate"), backend)?;
    let before = desk.state()?;
    desk.succeed(&format!("sh {script} apply && sh {script} remove"))?;
    assert_eq!(before, desk.state()?);
    let said = desk.succeed(&format!("sh {script} remove"))?;
    assert!(said.contains("nothing to remove"), "{said}");
    Ok(())
}

fn refuses_foreign_rules() -> Result<(), Failed> {
    let foreign = [
        ("tc qdisc add dev vif0 clsact", "not ours"),
        ("tc qdisc add dev vif0 ingress", "not ours"),
        (
            "nft 'add table netdev other; add chain netdev other c \
             { type filter hook ingress device vif0 priority 0; }'",
            "other already has rules",
        ),
    ];
    for (command, because) in foreign {
        for backend in LOADED {
            let desk = Desk::new()?;
            let script = desk.put(&example("voip.gate"), backend)?;
            desk.succeed(command)?;
            let before = desk.state()?;
            desk.fail(&format!("sh {script} apply"), because)?;
            assert_eq!(before, desk.state()?);
        }
    }
    Ok(())
}

fn refuses_an_ifb_in_use() -> Result<(), Failed> {
    let desk = Desk::new()?;
    let script = desk.put(&example("voip.gate"), Kind::Nft)?;
    desk.succeed(&format!(
        "ip link add {IFB} type ifb && ip link set {IFB} up"
    ))?;
    desk.fail(&format!("sh {script} apply"), "used by somebody else")?;
    desk.succeed(&format!(
        "ip link del {IFB} && ip link add {IFB} type bridge"
    ))?;
    desk.fail(&format!("sh {script} apply"), "is no IFB")?;
    // Idle and ours for the taking: what a script that was killed early leaves behind.
    desk.succeed(&format!("ip link del {IFB} && ip link add {IFB} type ifb"))?;
    desk.succeed(&format!("sh {script} apply && sh {script} status"))?;
    Ok(())
}

fn hostile_arguments_do_nothing() -> Result<(), Failed> {
    let desk = Desk::new()?;
    let script = desk.put(&example("voip.gate"), Kind::Nft)?;
    desk.succeed(&format!("sh {script} apply"))?;
    let before = desk.state()?;
    let canary = desk.files.path().join("canary");
    let canary = canary.display();
    for argument in [
        format!("'; touch {canary}'"),
        format!("'$(touch {canary})'"),
        format!("'`touch {canary}`'"),
        "-rf".to_owned(),
        "''".to_owned(),
        "'a b'".to_owned(),
        "/dev/null".to_owned(),
    ] {
        let output = desk.sh(&format!("sh {script} swap {argument}"))?;
        assert!(!output.status.success(), "{argument}");
    }
    for words in ["", "apply now", "swap", "nonsense", "'apply;'"] {
        assert_eq!(
            desk.sh(&format!("sh {script} {words}"))?.status.code(),
            Some(2),
            "{words}"
        );
    }
    assert!(!Path::new(&canary.to_string()).exists());
    assert_eq!(before, desk.state()?);
    Ok(())
}

/// When a VM restarts, its vif is new: what was on the old one is gone with it.
fn recovers_when_the_vif_comes_back() -> Result<(), Failed> {
    for backend in LOADED {
        let desk = Desk::new()?;
        let voip = example("voip.gate");
        let script = desk.put(&voip, backend)?;
        desk.succeed(&format!("sh {script} apply"))?;
        desk.succeed(
            "ip link del vif0; ip link add eth1 type veth peer name vif0; \
             ip link set vif0 master br0; ip link set eth1 up; ip link set vif0 up",
        )?;
        // An nftables chain may have come back by itself, as it does on 6.18.
        if desk.sh(&format!("sh {script} status"))?.status.success() {
            desk.leaks_nothing(&[&voip.policy])?;
        }
        desk.succeed(&format!("sh {script} apply && sh {script} status"))?;
        desk.leaks_nothing(&[&voip.policy])?;
    }
    Ok(())
}

/// A directory whose `ip`, `tc` and `nft` do `fault` at the call with this number. What the script
/// loads elsewhere first does not count: there nothing can be broken.
pub(crate) fn faulty_tools(desk: &Desk, call: usize, fault: &str) -> Result<String, Failed> {
    let directory = desk.files.path().join("faulty");
    fs::create_dir_all(&directory)?;
    let counter = desk.files.path().join("calls");
    fs::write(&counter, "")?;
    let here = directory.display();
    let counter = counter.display();
    for tool in ["ip", "tc", "nft"] {
        let text = format!(
            "#!/bin/sh\nif [ -z \"${{EPOCHGATE_REHEARSAL-}}\" ]; then\necho >> {counter}\n\
             [ $(wc -l < {counter}) != {call} ] || {fault}\nfi\n\
             PATH=${{PATH#{here}:}}\nexec {tool} \"$@\"\n"
        );
        let path = directory.join(tool);
        fs::write(&path, text)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&path, mode)?;
    }
    Ok(format!("PATH={here}:$PATH; export PATH;"))
}

/// How many calls were made with the tools of [`faulty_tools`].
pub(crate) fn calls(desk: &Desk) -> Result<usize, Failed> {
    Ok(fs::read_to_string(desk.files.path().join("calls"))?
        .lines()
        .count())
}

/// A first `apply` that fails anywhere leaves everything as it was, or in place.
fn any_failing_step_of_apply_is_undone(backend: Kind) -> Result<(), Failed> {
    let voip = example("voip.gate");
    for (tried, call) in crate::numbers().enumerate() {
        let desk = Desk::new()?;
        let script = desk.put(&voip, backend)?;
        let before = desk.state()?;
        let tools = faulty_tools(&desk, call, "exit 1")?;
        let output = desk.sh(&format!("{tools} sh {script} apply"))?;
        if calls(&desk)? < call {
            eprintln!("{backend}: {tried} steps of apply failed, one after the other");
            break;
        }
        if output.status.success() {
            // A question may have gone unanswered; what counts is that all is there.
            desk.succeed(&format!("sh {script} status"))?;
            desk.leaks_nothing(&[&voip.policy])?;
        } else {
            assert_eq!(before, desk.state()?, "call {call} failed");
        }
    }
    Ok(())
}

/// A first `apply` that is killed anywhere can be done again, or taken down.
fn killed_at_any_step_of_apply_recovers(backend: Kind) -> Result<(), Failed> {
    let voip = example("voip.gate");
    for (tried, call) in crate::numbers().enumerate() {
        let desk = Desk::new()?;
        let script = desk.put(&voip, backend)?;
        let before = desk.state()?;
        for recovery in ["apply", "remove"] {
            let tools = faulty_tools(&desk, call, "kill -9 $PPID")?;
            desk.sh(&format!("{tools} sh {script} apply"))?;
            if calls(&desk)? < call {
                eprintln!("{backend}: killed at {tried} steps of apply");
                return Ok(());
            }
            desk.succeed(&format!("sh {script} {recovery}"))
                .map_err(|e| format!("call {call}: {}", e.message().unwrap_or_default()))?;
            if recovery == "apply" {
                desk.succeed(&format!("sh {script} status"))?;
                desk.leaks_nothing(&[&voip.policy])?;
                desk.succeed(&format!("sh {script} remove"))?;
            }
            assert_eq!(before, desk.state()?, "call {call}, then {recovery}");
        }
    }
    Ok(())
}

/// A change that fails anywhere holds at least what both policies hold, and can be done again.
fn any_failing_step_of_swap_leaks_nothing(backend: Kind) -> Result<(), Failed> {
    disturbed_swaps(backend, "exit 1")
}

/// The same when the script is killed there and then, so that nothing can be undone.
fn killed_at_any_step_leaks_nothing(backend: Kind) -> Result<(), Failed> {
    disturbed_swaps(backend, "kill -9 $PPID")
}

fn disturbed_swaps(backend: Kind, fault: &str) -> Result<(), Failed> {
    let (old, new) = (example("paper.gate"), example("voip.gate"));
    for from in LOADED {
        let desk = Desk::new()?;
        let (first, second) = (desk.put(&old, from)?, desk.put(&new, backend)?);
        for (tried, call) in crate::numbers().enumerate() {
            desk.succeed(&format!("sh {first} apply"))?;
            let tools = faulty_tools(&desk, call, fault)?;
            desk.sh(&format!("{tools} sh {first} swap {second}"))?;
            let done = calls(&desk)? < call;
            desk.leaks_nothing(&[&old.policy, &new.policy])
                .map_err(|e| format!("call {call}: {}", e.message().unwrap_or_default()))?;
            desk.succeed(&format!("sh {second} apply && sh {second} status"))?;
            if done {
                desk.leaks_nothing(&[&new.policy])?;
                eprintln!("{from} to {backend}: {tried} steps disturbed with `{fault}`");
                break;
            }
            desk.succeed(&format!("sh {second} remove"))?;
        }
    }
    Ok(())
}
