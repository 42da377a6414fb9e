//! Tests on the running kernel, each in network namespaces of its own.
//! They need root, `ip`, `tc`, `bridge`, `nft` and `tcpdump`; where something is missing all are
//! skipped aloud (`tests::skip`). With EPOCHGATE_KERNEL=require a missing laboratory is a failure.
//! EPOCHGATE_SHARE=K/N takes only every N-th of the steps that are disturbed, one after the other.
//! EPOCHGATE_TRIALS is a list of trials, separated by commas: no others are run.

mod audit;
mod examples;
mod fire;
mod flower;
mod gate;
mod lab;
mod lockstep;
mod measured;
mod module;
mod nft;
mod nft_readback;
mod scenario;
mod script;
mod speed;
mod u32;
mod u32_readback;
mod xen;

use std::collections::BTreeMap;
use std::num::NonZero;
use std::process::ExitCode;
use std::thread;

use compiler::backend::Kind;
use libtest_mimic::{Arguments, Failed, Trial};
use tests::captures;
use tests::netlab::Lab;

/// What this machine lacks, in words; a trial that needs it skips aloud.
pub(crate) struct Here {
    no_lab: Option<String>,
    no_plug: Option<String>,
    no_captures: Option<String>,
    /// Back ends whose rules this kernel takes not even the plainest of, and what it says.
    refused: BTreeMap<Kind, String>,
}

/// A back end for each way of loading rules, nft's transaction and tc's batch: what depends on the way
/// alone is tried with these.
pub(crate) const LOADED: [Kind; 2] = [Kind::Nft, Kind::U32];

impl Here {
    fn look() -> Self {
        let mut refused = BTreeMap::new();
        let (no_lab, no_plug) = match Lab::new() {
            Ok(lab) => {
                eprintln!("the kernel laboratory holds packets with {}", lab.plug());
                refused = refusals(&lab);
                let no_plug = (!lab.has_plug()).then(|| String::from("no sch_plug in this kernel"));
                (None, no_plug)
            }
            Err(reason) => (Some(reason.to_string()), Some(reason.to_string())),
        };
        let no_captures = captures::directory().is_none();
        Self {
            no_lab,
            no_plug,
            no_captures: no_captures.then(|| String::from("no shared/captures beside the project")),
            refused,
        }
    }

    /// The back ends whose rules this kernel takes.
    pub(crate) fn taken(&self) -> Vec<Kind> {
        let taken = |kind: &Kind| !self.refused.contains_key(kind);
        Kind::ALL.into_iter().filter(taken).collect()
    }

    /// A trial that needs the laboratory and a kernel that takes the rules of this back end; its name ends
    /// with that of the back end.
    pub(crate) fn trial_with(
        &self,
        kind: Kind,
        name: &str,
        run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
    ) -> Trial {
        let missing = self.no_lab.clone().or_else(|| {
            let said = self.refused.get(&kind)?;
            Some(format!("this kernel takes no rules of {kind}: {said}"))
        });
        unless(missing, &format!("{name}_{kind}"), run)
    }

    /// A trial that needs the laboratory.
    pub(crate) fn trial(&self, name: &str, run: fn() -> Result<(), Failed>) -> Trial {
        unless(self.no_lab.clone(), name, run)
    }

    /// A trial that needs the laboratory and the kernel's own plug.
    pub(crate) fn trial_on_plug(
        &self,
        name: &str,
        run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
    ) -> Trial {
        unless(self.no_plug.clone(), name, run)
    }

    /// A trial that needs the laboratory, for one case of several.
    pub(crate) fn trial_of(
        &self,
        name: &str,
        run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
    ) -> Trial {
        unless(self.no_lab.clone(), name, run)
    }

    /// A trial that needs the laboratory and the captures.
    pub(crate) fn trial_on_captures(&self, name: &str, run: fn() -> Result<(), Failed>) -> Trial {
        unless(
            self.no_lab.clone().or_else(|| self.no_captures.clone()),
            name,
            run,
        )
    }
}

/// What the kernel says to the plainest rule of each back end, if it does not take it.
fn refusals(lab: &Lab) -> BTreeMap<Kind, String> {
    let filter = |rest: &str| {
        format!(
            "tc qdisc replace dev vif0 clsact && tc filter add dev vif0 ingress pref 1 protocol {rest}"
        )
    };
    let mut refused = BTreeMap::new();
    for kind in Kind::ALL {
        let load = match kind {
            Kind::Nft => String::from("nft list ruleset"),
            Kind::U32 => filter("all u32 match u32 0 0"),
            Kind::Bpf => filter("all bpf bytecode '1,6 0 0 0'"),
            Kind::Flower => filter("ip flower"),
        };
        if let Err(error) = lab.shell(&load) {
            refused.insert(kind, error.to_string());
        }
        let _ = lab.shell("tc qdisc del dev vif0 clsact");
    }
    refused
}

pub(crate) fn unless(
    missing: Option<String>,
    name: &str,
    run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    let own_name = name.to_owned();
    Trial::test(name, move || match &missing {
        Some(why) => {
            tests::skip(&own_name, why);
            Ok(())
        }
        None => run(),
    })
}

/// A number from the environment, for those who have more time than usual, or less.
pub(crate) fn number(variable: &str, otherwise: usize) -> usize {
    let asked = std::env::var(variable).ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

/// The numbers from 1 on, or of those every N-th from the K-th on, with EPOCHGATE_SHARE=K/N: long rows
/// of cases can be shared out to several runs.
pub(crate) fn numbers() -> impl Iterator<Item = usize> {
    let share = std::env::var("EPOCHGATE_SHARE").ok();
    let (first, step) = share
        .and_then(|text| {
            let (first, step) = text.split_once('/')?;
            Some((first.parse().ok()?, step.parse().ok()?))
        })
        .unwrap_or((1, 1));
    (first..).step_by(step)
}

/// How many trials run at a time. Half of its time one waits for the kernel to take its devices away,
/// so that two fit on a core; a guest with one processor is emulated, and gets one.
fn at_a_time() -> usize {
    match thread::available_parallelism().map_or(1, NonZero::get) {
        1 => 1,
        cores => 2 * cores,
    }
}

fn main() -> ExitCode {
    // Called by the name of the program, this is the program: trials can run it.
    let called = std::env::args_os().next().unwrap_or_default();
    if std::path::Path::new(&called).file_name() == Some("epochgate".as_ref()) {
        return compiler::cli::main();
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert_with(at_a_time);
    let here = Here::look();
    if here.no_lab.is_some() && std::env::var_os("EPOCHGATE_KERNEL").is_some_and(|v| v == "require")
    {
        eprintln!("{}", here.no_lab.unwrap_or_default());
        return ExitCode::FAILURE;
    }
    // Before all others come those that take modules away, which nothing may use then.
    let mut trials = vec![fire::missing::trial(&here)];
    trials.extend(module::trials(&here));
    trials.extend(lab::trials(&here));
    trials.extend(nft::trials(&here));
    trials.extend(nft_readback::trials(&here));
    trials.extend(u32::trials(&here));
    trials.extend(u32_readback::trials(&here));
    trials.extend(examples::trials(&here));
    trials.extend(script::trials(&here));
    trials.extend(gate::trials(&here));
    trials.extend(xen::trials(&here));
    trials.extend(fire::trials(&here));
    trials.extend(flower::trials(&here));
    trials.extend(audit::trials(&here));
    trials.extend(scenario::trials(&here));
    trials.extend(lockstep::trials(&here));
    trials.extend(measured::trials(&here));
    trials.extend(speed::trials(&here));
    if let Ok(chosen) = std::env::var("EPOCHGATE_TRIALS") {
        trials.retain(|trial| chosen.split(',').any(|name| name == trial.name()));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
