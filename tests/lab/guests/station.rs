//! One kernel of the lab: its guest, booted for the first group of trials and used by all after it that
//! go by the same clock. A guest that died is booted again for the next group, so one crash costs one group.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tests::kmod;
use tests::kmod::build::With;
use tests::lab::cache::Cache;
use tests::lab::guest::Guest;
use tests::lab::image::{self, Extra, Image};
use tests::lab::protocol::Job;
use tests::lab::qemu::{self, Clock, Size};
use tests::lab::{Kernel, LabError, modules};

use super::Luggage;
use crate::report::Report;

/// The program with the trials, in the guests' PATH.
pub(super) const PROGRAM: &str = "kernel-tests";
/// A flood that a plug holds takes a hundred megabytes and more.
const MEMORY_MIB: u32 = 1024;
/// No group of trials takes longer, even on a busy machine.
const LIMIT_MS: u64 = 3_600_000;
/// Random tests are short in guests, where every instruction is emulated; the differential test
/// sends the bulk of frames. Nothing may be left out or replaced by a stand-in.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("EPOCHGATE_KERNEL", "require"),
    ("EPOCHGATE_PLUG", "require"),
    ("EPOCHGATE_POLICIES", "3"),
    ("EPOCHGATE_FRAMES", "200"),
];

/// Groups that wait for what should happen soon, or not too soon. By a clock that counts instructions
/// they say the same on a busy machine, and since it jumps over sleep most are done in half the time.
const COUNTED: [&str; 6] = ["fire", "gate", "lockstep", "measured", "module", "scenario"];

/// The clock for the trials of a module. All others start programs more than they wait, and are done
/// sooner where instructions need not be counted.
pub(super) fn clock(module: &str) -> Clock {
    Clock::asked_or(match COUNTED.contains(&module) && processors() == 1 {
        true => Clock::Instructions,
        false => Clock::Wall,
    })
}

fn processors() -> u32 {
    let asked = std::env::var("LAB_SMP").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(1)
}

/// Of long rows of disturbed steps, each kernel usually takes its own share; LAB_FULL=1 takes all. The
/// fourth call of a script that changes rules is the one whose failure once opened the gate.
fn usual_share(kernel: Kernel) -> [(&'static str, &'static str); 2] {
    let share = match kernel {
        Kernel::V6_1 => "4/16",
        Kernel::V6_12 => "10/16",
        Kernel::V7 => "7/16",
    };
    [("EPOCHGATE_SHARE", share), ("EPOCHGATE_SWAPS", "24")]
}

/// A kernel and the guest that runs it.
#[derive(Debug)]
pub(super) struct Station {
    kernel: Kernel,
    image: Option<Image>,
    guest: Option<(Clock, Guest)>,
    /// Why there is no guest here; asked for once.
    unavailable: Option<String>,
    /// Why our kernel module is not in the guest.
    no_module: Option<String>,
    /// What was built for this guest; the image is made of it.
    built: Option<TempDir>,
}

impl Station {
    /// Nothing is booted yet.
    pub(super) fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            image: None,
            guest: None,
            unavailable: None,
            no_module: None,
            built: None,
        }
    }

    /// Runs a group of trials, all by one start of the program, since that takes longer here than most
    /// trials.
    pub(super) fn run(&mut self, luggage: &Luggage, group: &[String]) -> Result<Report, LabError> {
        if let Some(reason) = &self.unavailable {
            return Err(LabError::Unavailable(reason.clone()));
        }
        let module = super::module(group);
        let clock = clock(module);
        let mut guest = match self.guest.take() {
            Some((same, guest)) if same == clock => guest,
            other => {
                if let Some((_, other)) = other {
                    other.power_off()?;
                }
                self.boot(&luggage.init, &luggage.extras, clock)
                    .inspect_err(|error| {
                        if let LabError::Unavailable(reason) = error {
                            self.unavailable = Some(reason.clone());
                        }
                    })?
            }
        };
        let share = usual_share(self.kernel);
        let share = if luggage.full { &[][..] } else { &share };
        let mut environment: Vec<(String, String)> = ENVIRONMENT
            .iter()
            .chain(share)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        environment.push((String::from("EPOCHGATE_TRIALS"), group.join(",")));
        if clock == Clock::Instructions {
            environment.push((String::from(kmod::EXACT), String::from("1")));
        }
        if let Some(reason) = &self.no_module {
            environment.push((String::from(kmod::WHY_NOT), reason.clone()));
        }
        let job = Job {
            command: [PROGRAM, "--test-threads=1"].map(str::to_owned).into(),
            environment,
            limit_ms: LIMIT_MS,
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let before = guest.work();
        let ended = guest.run(job, |is_error, bytes| match is_error {
            true => stderr.extend(bytes),
            false => stdout.extend(bytes),
        })?;
        let work = guest.work().saturating_sub(before);
        self.guest = Some((clock, guest));
        eprintln!(
            "lab: {}: {} trials of `{}` in {:.1} s, {:.1} s of a processor",
            self.kernel,
            group.len(),
            module,
            ended.duration_ms as f64 / 1000.0,
            work.as_secs_f64(),
        );
        let report = Report {
            ended,
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        };
        report.pass_on(self.kernel);
        Ok(report)
    }

    fn boot(&mut self, init: &Path, extras: &[Extra], clock: Clock) -> Result<Guest, LabError> {
        if self.image.is_none() {
            qemu::find_qemu()?;
            let cache = Cache::open()?;
            let mut extras = extras.to_vec();
            match self.modules(&cache) {
                Ok(modules) => extras.extend(modules),
                Err(LabError::Unavailable(reason)) => self.no_module = Some(reason),
                Err(error) => return Err(error),
            }
            self.image = Some(image::build(&cache, self.kernel, init, &extras)?);
        }
        let image = self.image.as_ref().expect("just made");
        let size = Size {
            memory: MEMORY_MIB,
            processors: processors(),
            clock,
        };
        let guest = Guest::boot(image, &size)?;
        eprintln!("lab: {}: {}", self.kernel, guest.describe());
        let failed = &guest.hello().failed_modules;
        match failed.is_empty() {
            true => Ok(guest),
            false => Err(LabError::Guest(format!(
                "modules that don't load: {failed:?}"
            ))),
        }
    }

    /// Powers the guest off.
    pub(super) fn close(self) -> Result<(), LabError> {
        self.guest.map_or(Ok(()), |(_, guest)| guest.power_off())
    }

    /// Our kernel module for this kernel, and its own plug, which makes place for ours.
    fn modules(&mut self, cache: &Cache) -> Result<[Extra; 2], LabError> {
        if !kmod::build::KERNELS.contains(&self.kernel)
            && std::env::var_os(kmod::ALL_KERNELS).is_none()
        {
            return Err(LabError::Unavailable(format!(
                "the module is tried on {} by `cargo xtask kmod test --kernel 7`",
                self.kernel
            )));
        }
        let files = image::prefetch(cache, self.kernel)?.kernel;
        let place = TempDir::new().map_err(LabError::io("can't make a directory"))?;
        let with = match std::env::var_os(kmod::RUST) {
            Some(_) => With::Rust,
            None => With::Stub,
        };
        let ours = kmod::build::module(cache, self.kernel, &files.release, with, place.path())?;
        let plug = place.path().join("sch_plug.ko");
        let found = modules::collect(&files.modules, &["sch_plug"])?;
        let contents = found.last().map(|module| module.contents.as_slice());
        fs::write(&plug, contents.unwrap_or_default())
            .map_err(LabError::io("can't write sch_plug.ko"))?;
        self.built = Some(place);
        let extra = |host: PathBuf, guest: &str| Extra {
            host,
            guest: guest.to_owned(),
            strip: false,
        };
        Ok([
            extra(ours, kmod::IN_GUEST),
            extra(plug, kmod::PLUG_IN_GUEST),
        ])
    }
}
