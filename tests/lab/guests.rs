//! Guests for the trials: one per kernel, booted by the first trial that needs it and used by all.
//! A guest that died is booted again for the next trial, so one crash costs one trial.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tempfile::TempDir;
use tests::captures;
use tests::kmod;
use tests::lab::cache::Cache;
use tests::lab::guest::{self, Guest, Size};
use tests::lab::image::{self, Extra, Image};
use tests::lab::protocol::Job;

use tests::lab::{Kernel, LabError, modules};

use crate::report::Report;

/// The program with the trials, in the guests' PATH.
const PROGRAM: &str = "kernel-tests";
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

/// Of long rows of disturbed steps, each kernel usually takes its own share; LAB_FULL=1 takes all. The
/// fourth call of a script that changes rules is the one whose failure once opened the gate.
fn usual_share(kernel: Kernel) -> [(&'static str, &'static str); 2] {
    let share = match kernel {
        Kernel::V6_1 => "4/8",
        Kernel::V6_12 => "2/8",
        Kernel::V7 => "7/8",
    };
    [("EPOCHGATE_SHARE", share), ("EPOCHGATE_SWAPS", "36")]
}

/// How a trial ended in a guest; an error is what the trial said.
pub(crate) type Verdict = Result<(), String>;

/// All guests of this run.
#[derive(Debug)]
pub(crate) struct Guests {
    init: PathBuf,
    extras: Vec<Extra>,
    /// Whether nothing is left out.
    full: bool,
    stations: BTreeMap<Kernel, Mutex<Station>>,
}

#[derive(Debug)]
struct Station {
    kernel: Kernel,
    image: Option<Image>,
    guest: Option<Guest>,
    /// Of trials that were run and not asked for yet.
    verdicts: BTreeMap<String, Verdict>,
    /// Why there is no guest here; asked for once.
    unavailable: Option<String>,
    /// Why our kernel module is not in the guest.
    no_module: Option<String>,
    /// What was built for this guest; the image is made of it.
    built: Option<TempDir>,
}

impl Guests {
    /// Nothing is booted yet. `program` has the trials, some of which start `epochgate`.
    pub(crate) fn new(init: PathBuf, program: PathBuf, epochgate: PathBuf, full: bool) -> Self {
        let in_path = |host, name: &str| Extra {
            host,
            guest: format!("/usr/local/bin/{name}"),
            strip: true,
        };
        let mut extras = vec![in_path(program, PROGRAM), in_path(epochgate, "epochgate")];
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let workspace = package.parent().unwrap_or(package);
        extras.extend(at_their_places(&workspace.join("examples")));
        // The examples are looked for from here.
        extras.extend(at_their_places(&package.join("lab")));
        let captured = captures::directory();
        extras.extend(captured.iter().flat_map(|d| at_their_places(d)));
        let stations = Kernel::ALL.map(|kernel| {
            let station = Station {
                kernel,
                image: None,
                guest: None,
                verdicts: BTreeMap::new(),
                unavailable: None,
                no_module: None,
                built: None,
            };
            (kernel, Mutex::new(station))
        });
        Self {
            init,
            extras,
            full,
            stations: stations.into(),
        }
    }

    /// How a trial ends in the guest with this kernel. Its whole group is run at once, since
    /// starting the program takes longer there than most trials.
    pub(crate) fn run(
        &self,
        kernel: Kernel,
        name: &str,
        group: &[String],
    ) -> Result<Verdict, LabError> {
        let station = self.stations.get(&kernel).expect("a station per kernel");
        let mut station = station.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(verdict) = station.verdicts.remove(name) {
            return Ok(verdict);
        }
        match station.run(self, group) {
            Ok(report) => station.verdicts.extend(report.verdicts(group)),
            Err(LabError::Unavailable(reason)) => return Err(LabError::Unavailable(reason)),
            // The next group gets a new guest; none of this one is tried again.
            Err(dead) => {
                let all = group
                    .iter()
                    .map(|name| (name.clone(), Err(dead.to_string())));
                station.verdicts.extend(all);
            }
        }
        let verdict = station.verdicts.remove(name);
        verdict.ok_or_else(|| LabError::Guest(format!("`{name}` is not in its own group")))
    }

    /// Powers all guests off.
    pub(crate) fn close(self) -> Result<(), LabError> {
        for (_, station) in self.stations {
            let station = station.into_inner().unwrap_or_else(PoisonError::into_inner);
            if let Some(guest) = station.guest {
                guest.power_off()?;
            }
        }
        Ok(())
    }
}

impl Station {
    fn run(&mut self, of: &Guests, group: &[String]) -> Result<Report, LabError> {
        if let Some(reason) = &self.unavailable {
            return Err(LabError::Unavailable(reason.clone()));
        }
        let mut guest = match self.guest.take() {
            Some(guest) => guest,
            None => self.boot(&of.init, &of.extras).inspect_err(|error| {
                if let LabError::Unavailable(reason) = error {
                    self.unavailable = Some(reason.clone());
                }
            })?,
        };
        let share = usual_share(self.kernel);
        let share = if of.full { &[][..] } else { &share };
        let mut environment: Vec<(String, String)> = ENVIRONMENT
            .iter()
            .chain(share)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        environment.push((String::from("EPOCHGATE_TRIALS"), group.join(",")));
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
        self.guest = Some(guest);
        let module = group.first().and_then(|name| name.split("::").next());
        eprintln!(
            "lab: {}: {} trials of `{}` in {:.1} s, {:.1} s of a processor",
            self.kernel,
            group.len(),
            module.unwrap_or_default(),
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

    fn boot(&mut self, init: &Path, extras: &[Extra]) -> Result<Guest, LabError> {
        if self.image.is_none() {
            guest::find_qemu()?;
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
        let asked = std::env::var("LAB_SMP").ok();
        let size = Size {
            memory: MEMORY_MIB,
            processors: asked.and_then(|n| n.parse().ok()).unwrap_or(1),
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
}

impl Station {
    /// Our kernel module for this kernel, and its own plug, which makes place for ours.
    fn modules(&mut self, cache: &Cache) -> Result<[Extra; 2], LabError> {
        let (files, _) = image::prefetch(cache, self.kernel)?;
        let place = TempDir::new().map_err(LabError::io("can't make a directory"))?;
        let ours = kmod::build::module(cache, self.kernel, &files.release, place.path())?;
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

/// The files of a directory, to be at the same place in the guest as here.
fn at_their_places(directory: &Path) -> Vec<Extra> {
    let listing = fs::read_dir(directory).into_iter().flatten().flatten();
    let files = listing
        .map(|entry| entry.path())
        .filter(|path| path.is_file());
    let mut extras: Vec<Extra> = files
        .map(|host| Extra {
            guest: host.to_string_lossy().into_owned(),
            host,
            strip: false,
        })
        .collect();
    extras.sort_by(|a, b| a.guest.cmp(&b.guest));
    extras
}
