//! What this kernel or system lacks is said before anything is changed: commands that the kernel
//! refuses, anywhere; and modules that are really gone, in a guest of the lab, whose first process
//! has kept them for us to load again.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use compiler::backend::Kind;
use libtest_mimic::{Failed, Trial};
use rustix::io::Errno;
use rustix::system::{delete_module, init_module};
use tests::lab::image::KEPT_MODULES;

use super::{Waves, desk, nothing_leaked};
use crate::Here;
use crate::script::{Desk, IFB, example};

/// A namespace that is gone lets go of its devices, and they of their modules, a little later.
const PATIENCE: Duration = Duration::from_secs(20);
/// `O_NONBLOCK`: refuse at once while the module is in use.
const NONBLOCK: i32 = 0o4000;

/// Back end, modules that are taken away, and what must be said then.
const NEEDED: [(Kind, &[&str], &str); 7] = [
    (Kind::Nft, &["ifb"], "module ifb"),
    (Kind::Nft, &["sch_plug"], "module sch_plug"),
    (Kind::Nft, &["nft_fwd_netdev"], "nft_fwd_netdev"),
    (Kind::U32, &["sch_ingress"], "module sch_ingress"),
    (Kind::U32, &["cls_u32"], "module cls_u32"),
    (Kind::U32, &["act_mirred"], "act_mirred"),
    (
        Kind::U32,
        &["cls_bpf", "cls_matchall"],
        "cls_bpf and cls_matchall",
    ),
];

/// Comes first of all in a guest: a namespace in which packets are held can keep modules in use for good.
pub(crate) fn trial(here: &Here) -> Trial {
    let name = "modules::missing_ones_are_said_first";
    match Path::new(KEPT_MODULES).is_dir() {
        true => here.trial(name, modules),
        false => Trial::test(name, move || {
            tests::skip(name, "modules are taken away in guests of the lab only");
            Ok(())
        }),
    }
}

/// A module that is not in the kernel as long as this lives.
struct Gone {
    name: &'static str,
    contents: Vec<u8>,
}

impl Gone {
    fn take(name: &'static str) -> Result<Self, Failed> {
        let contents = fs::read(Path::new(KEPT_MODULES).join(format!("{name}.ko")))?;
        let own = CString::new(name)?;
        let begin = Instant::now();
        loop {
            match delete_module(&own, NONBLOCK) {
                Err(Errno::WOULDBLOCK | Errno::BUSY) if begin.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                done => break done.map_err(|error| format!("{name} stays loaded: {error}"))?,
            }
        }
        Ok(Self { name, contents })
    }
}

impl Drop for Gone {
    fn drop(&mut self) {
        // As the guest's first process loaded it: no devices by itself.
        let parameters = match self.name {
            "ifb" => c"numifbs=0",
            _ => c"",
        };
        init_module(&self.contents, parameters).expect("a module that was there goes in again");
    }
}

fn modules() -> Result<(), Failed> {
    for (backend, modules, because) in NEEDED {
        let gone: Vec<Gone> = modules
            .iter()
            .map(|name| Gone::take(name))
            .collect::<Result<_, _>>()?;
        let desk = desk()?;
        let script = desk.put(&example("voip.gate"), backend)?;
        let before = desk.state()?;
        desk.fail(&format!("sh {script} apply"), because)?;
        desk.fail(&format!("sh {script} apply"), "nothing was changed")?;
        assert_eq!(before, desk.state()?, "{because}");
        drop(gone);
        desk.succeed(&format!("sh {script} apply"))?;
        eprintln!(
            "{backend} without {}: refused, nothing was changed",
            modules.join(", ")
        );
    }
    Ok(())
}

/// A kernel that refuses a command, as one does that lacks what the command needs.
pub(super) fn commands() -> Result<(), Failed> {
    let lacking = [
        (Kind::Nft, "tc", r#"*" plug "*"#, "sch_plug"),
        (
            Kind::U32,
            "tc",
            r#"*" bpf "* | *" matchall "*"#,
            "cls_bpf and cls_matchall",
        ),
        (Kind::U32, "tc", r#"*" clsact "*"#, "clsact"),
        (Kind::Nft, "nft", r#"*" -f "*"#, "does not take the rules"),
        (Kind::Nft, "ip", r#"*" -batch "*"#, "module ifb"),
    ];
    for (backend, tool, words, because) in lacking {
        let desk = desk()?;
        let script = desk.put(&example("voip.gate"), backend)?;
        let before = desk.state()?;
        let tools = refusing(&desk, tool, words)?;
        let apply = format!("{tools} sh {script} apply");
        desk.fail(&apply, because)?;
        desk.fail(&apply, "nothing was changed")?;
        assert_eq!(before, desk.state()?, "{because}");
    }
    Ok(())
}

/// Rules whose IFB is gone drop what they should hold. A set-up that fails over them must not take them
/// down, as it does with what it has made itself: then everything would pass.
pub(super) fn rules_without_a_gate(backend: Kind) -> Result<(), Failed> {
    let waves = Waves::of(&["voip.gate"]);
    let desk = desk()?;
    let script = desk.put(&example("voip.gate"), backend)?;
    desk.succeed(&format!("sh {script} apply && ip link del {IFB}"))?;
    // A rehearsal makes a plug as well; only the one that counts is refused.
    let plug = format!(r#"*" add dev {IFB} root plug "*${{EPOCHGATE_REHEARSAL:+no}}"#);
    let tools = refusing(&desk, "tc", &plug)?;
    let apply = format!("{tools} sh {script} apply");
    let (done, toll) = waves.over(&desk, None, || {
        desk.fail(&apply, "were in place before are kept")
    })?;
    done?;
    nothing_leaked(&toll, "a set-up fails over old rules")?;
    let pause = || std::thread::sleep(Duration::from_millis(50));
    let ((), later) = waves.over(&desk, None, pause)?;
    nothing_leaked(&later, "after a set-up that failed over old rules")?;
    desk.succeed(&format!("sh {script} apply && sh {script} status"))?;
    Ok(())
}

/// A directory in which `tool` refuses calls with such words (a pattern of the shell).
fn refusing(desk: &Desk, tool: &str, words: &str) -> Result<String, Failed> {
    let here = desk.files.path().join("refusing");
    fs::create_dir_all(&here)?;
    let path = here.join(tool);
    let here = here.display();
    fs::write(
        &path,
        format!(
            "#!/bin/sh\ncase \" $* \" in\n{words}) exit 2 ;;\nesac\nPATH=${{PATH#{here}:}}\nexec {tool} \"$@\"\n"
        ),
    )?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(format!("PATH={here}:$PATH; export PATH;"))
}
