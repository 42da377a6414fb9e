//! The deploy script of `compile --gate epochgate`, with our module and stock `tc`: its whole life under a
//! guest that floods, and what it does where something is missing.

use std::fs;
use std::path::Path;

use compiler::backend::Kind;
use compiler::compile::{Request, compile_for};
use compiler::device::Device;
use compiler::script::Gate;
use libtest_mimic::Failed;
use tempfile::TempDir;
use tests::examples::checked;
use tests::kmod::IN_GUEST;
use tests::kmod::load::Module;
use tests::netlab::{Lab, VIF};

use super::KIND;
use super::chain::{POLICY, contains, fill, ready, rounds};
use crate::gate::expect;
use crate::gate::world::{IFB, World, epochgate};

/// A policy and its script as files.
struct Desk {
    files: TempDir,
}

impl Desk {
    fn new() -> Result<Self, Failed> {
        let files = TempDir::new()?;
        Ok(Self { files })
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    /// Writes `NAME.gate` and `NAME.sh`.
    fn put(&self, name: &str, text: &str, backend: Kind) -> Result<(), Failed> {
        let policy = checked(name, text);
        let request = Request {
            policy: &policy,
            name,
            text,
            backend,
            vif: Device::new(VIF)?,
            ifb: Device::new(IFB)?,
        };
        let script = compile_for(&request, Gate::Epochgate)?.script;
        fs::write(self.path(&format!("{name}.gate")), text)?;
        fs::write(self.path(&format!("{name}.sh")), script)?;
        Ok(())
    }
}

/// Runs shell text; its exit code and all that it said.
fn sh(lab: &Lab, text: &str) -> Result<(Option<i32>, String), Failed> {
    let output = lab
        .command("sh")
        .args([
            "-c",
            &format!("exec 2>&1\nexport EPOCHGATE={}\n{text}", epochgate()),
        ])
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((output.status.code(), said))
}

/// The same to this exit code, and it says this.
fn says(lab: &Lab, text: &str, code: i32, wanted: &str) -> Result<String, Failed> {
    let (found, said) = sh(lab, text)?;
    if found != Some(code) || !said.contains(wanted) {
        return Err(
            format!("`{text}` ended with {found:?}, not {code} and `{wanted}`:\n{said}").into(),
        );
    }
    Ok(said)
}

pub(super) fn whole_life() -> Result<(), Failed> {
    let module = Module::load(Path::new(IN_GUEST), KIND)?;
    let desk = Desk::new()?;
    desk.put(
        "old",
        &format!("{POLICY}gate {{ limit 16MiB; }}\n"),
        Kind::Nft,
    )?;
    desk.put("new", &format!("{POLICY}bypass arp;\n"), Kind::U32)?;
    let (old, new) = (desk.path("old.sh"), desk.path("new.sh"));
    let apply = format!("EPOCHGATE={} sh {old} apply", epochgate());
    // Before the first epoch it is open, as a plug would be: what comes then may pass.
    let mut world = World::behind(&apply, true, 1)?;
    let audit = |name: &str| {
        let policy = desk.path(&format!("{name}.gate"));
        format!("{} audit {policy} --vif {VIF} --ifb {IFB}", epochgate())
    };
    ready(&mut world, &["--limit", "16MiB"])?;
    rounds(&mut world, 3)?;
    says(
        &world.lab,
        &format!("sh {old} apply"),
        0,
        "already in place",
    )?;
    let status = says(
        &world.lab,
        &format!("sh {old} status"),
        0,
        "proved equal to the policy",
    )?;
    contains(&status, ": in place")?;
    says(
        &world.lab,
        &format!("sh {old} watch --count 1"),
        0,
        "epochgate: held ",
    )?;
    let dry = says(
        &world.lab,
        &format!("sh {new} apply --dry-run"),
        0,
        "tc -batch",
    )?;
    contains(&dry, &format!("gate --ifb {IFB} limit 67108864"))?;
    let listing = desk.path("listing");
    let dump = format!("sh {old} audit --dump {listing}");
    says(&world.lab, &dump, 0, "rules: proved equal")?;

    // Under fire, from one back end to the other, with epochs in flight. The limit has to last for as
    // long as a swap takes on a busy machine: what finds no room never comes out.
    let flying = fill(&mut world)?;
    says(
        &world.lab,
        &format!("sh {old} swap {new}"),
        0,
        "the rules are changed",
    )?;
    world.flood(20)?;
    world.judge("swapped")?;
    for epoch in flying {
        let answer = world.commit(epoch)?;
        expect(&answer, &format!("ok released {epoch}"))?;
    }
    rounds(&mut world, 3)?;
    world.media_passes()?;
    says(
        &world.lab,
        &audit("new"),
        0,
        "the running rules equal the policy",
    )?;
    let offline = format!(
        "{} audit {} --listing {listing}",
        epochgate(),
        desk.path("old.gate")
    );
    says(
        &world.lab,
        &offline,
        0,
        "the running rules equal the policy",
    )?;
    // A plug can't take its place by a swap.
    let plug = fs::read_to_string(&new)?.replace("GATE='epochgate'", "GATE='plug'");
    let path = desk.path("plug.sh");
    fs::write(&path, plug)?;
    says(
        &world.lab,
        &format!("sh {new} swap {path}"),
        1,
        "run remove, then apply; nothing was changed",
    )?;

    world.terminate()?;
    world.judge("deployed")?;
    let gate = format!("{} gate --ifb {IFB}", epochgate());
    for (trouble, code, end) in [
        ("limit 1000", "A0308", "limit 64MiB"),
        (
            "set --watchdog 60s --late open --release-uncommitted",
            "A0310",
            "set --late hold",
        ),
        ("open --release-uncommitted", "A0309", "block"),
    ] {
        let judged = format!("{gate} {trouble} && {}", audit("new"));
        says(&world.lab, &judged, 1, code)?;
        says(&world.lab, &format!("{gate} {end}"), 0, IFB)?;
    }
    says(&world.lab, &format!("sh {new} remove"), 0, "removed")?;
    says(
        &world.lab,
        &format!("ip link show {IFB}"),
        1,
        "does not exist",
    )?;
    drop(world);
    Ok(module.unload()?)
}

/// What is there, less what changes by itself.
const THERE: &str = "ip -o link | cut -d: -f2; tc qdisc show; nft list ruleset";

/// It says what to load, and leaves nothing behind.
pub(super) fn without_the_module() -> Result<(), Failed> {
    let desk = Desk::new()?;
    desk.put("old", POLICY, Kind::Nft)?;
    let lab = Lab::new()?;
    let before = lab.shell(THERE)?.stdout;
    let apply = format!("sh {} apply", desk.path("old.sh"));
    let said = says(&lab, &apply, 1, "insmod sch_epochgate.ko")?;
    contains(&said, "nothing was changed")?;
    let after = lab.shell(THERE)?.stdout;
    match before == after {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&after).into_owned().into()),
    }
}

/// With stock `tc` alone it takes the limit that the module has untold, and stays closed.
pub(super) fn without_the_program() -> Result<(), Failed> {
    let module = Module::load(Path::new(IN_GUEST), KIND)?;
    let desk = Desk::new()?;
    desk.put(
        "other",
        &format!("{POLICY}gate {{ limit 1MiB; }}\n"),
        Kind::Nft,
    )?;
    desk.put("same", POLICY, Kind::Nft)?;
    let script = desk.path("same.sh");
    let world = World::behind("true", true, 1)?;
    let without = "EPOCHGATE=/nowhere/epochgate";
    let other = format!("{without} sh {} apply", desk.path("other.sh"));
    let said = says(
        &world.lab,
        &other,
        1,
        "a limit of 1048576 bytes is told to epochgate by the program",
    )?;
    contains(&said, "nothing was changed")?;
    says(
        &world.lab,
        &format!("{without} sh {script} apply"),
        0,
        "is closed: what it holds leaves with the first commit",
    )?;
    // What was on its way when the rules came is out.
    world.flood(20)?;
    let before = world.out();
    world.flood(50)?;
    world.media_passes()?;
    if world.out() > before {
        return Err("something came out of a closed gate".into());
    }
    says(
        &world.lab,
        &format!("{} gate --ifb {IFB} status", epochgate()),
        0,
        "limit       67108864 bytes",
    )?;
    says(
        &world.lab,
        &format!("{without} sh {script} remove"),
        0,
        "removed",
    )?;
    drop(world);
    Ok(module.unload()?)
}
