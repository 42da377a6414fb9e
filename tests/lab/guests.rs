//! Guests for the trials. Each kernel has a lane of its own: groups of trials one after the other, in
//! one guest. So many lanes work at a time as there are places; a trial waits for what is said of it.

mod station;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

use tests::captures;
use tests::lab::image::Extra;
use tests::lab::qemu::Clock;
use tests::lab::{Kernel, LabError};

use station::Station;

/// Guests that work at the same time, with one processor each.
const PLACES: usize = 2;

/// How a trial ended in a guest; an error is what the trial said.
pub(crate) type Verdict = Result<(), String>;

/// The trials of one module, which one start of the program runs.
pub(crate) type Group = Vec<String>;

/// The module that the trials of a group are of.
fn module(group: &[String]) -> &str {
    let first = group.first().and_then(|name| name.split("::").next());
    first.unwrap_or_default()
}

/// How it went with a trial.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Ran(Verdict),
    /// There is no such guest, for this reason.
    Skipped(String),
}

/// All guests of this run. None is booted before the first question.
#[derive(Debug)]
pub(crate) struct Guests {
    plan: BTreeMap<Kernel, Vec<Group>>,
    luggage: Arc<Luggage>,
    board: Arc<Board>,
    lanes: OnceLock<Vec<Lane>>,
}

type Lane = JoinHandle<Result<(), LabError>>;

/// What every guest has with it, and how much is done there.
#[derive(Debug)]
struct Luggage {
    init: PathBuf,
    extras: Vec<Extra>,
    /// Whether nothing is left out.
    full: bool,
}

impl Guests {
    /// `program` has the trials, some of which start `epochgate`; `plan` says which run where.
    pub(crate) fn new(
        init: PathBuf,
        program: PathBuf,
        epochgate: PathBuf,
        full: bool,
        mut plan: BTreeMap<Kernel, Vec<Group>>,
    ) -> Self {
        // Another clock is another guest: each is booted once.
        for groups in plan.values_mut() {
            groups.sort_by_key(|group| station::clock(module(group)) == Clock::Instructions);
        }
        let in_path = |host, name: &str| Extra {
            host,
            guest: format!("/usr/local/bin/{name}"),
            strip: true,
        };
        let program = in_path(program, station::PROGRAM);
        let mut extras = vec![program, in_path(epochgate, "epochgate")];
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let workspace = package.parent().unwrap_or(package);
        extras.extend(at_their_places(&workspace.join("examples")));
        // The examples are looked for from here.
        extras.extend(at_their_places(&package.join("lab")));
        let captured = captures::directory();
        extras.extend(captured.iter().flat_map(|d| at_their_places(d)));
        let luggage = Luggage { init, extras, full };
        Self {
            plan,
            luggage: Arc::new(luggage),
            board: Arc::new(Board::default()),
            lanes: OnceLock::new(),
        }
    }

    /// How a trial ended in the guest with this kernel; waits for it.
    pub(crate) fn outcome(&self, kernel: Kernel, name: &str) -> Outcome {
        self.lanes.get_or_init(|| self.start());
        self.board.wait_for(kernel, name)
    }

    fn start(&self) -> Vec<Lane> {
        let lane = |(&kernel, groups): (&Kernel, &Vec<Group>)| {
            let (groups, luggage) = (groups.clone(), Arc::clone(&self.luggage));
            let board = Arc::clone(&self.board);
            thread::spawn(move || {
                let _ending = Ending(kernel, &board);
                let mut station = Station::new(kernel);
                for group in &groups {
                    board.take_place(kernel);
                    let outcomes = outcomes(&mut station, &luggage, group);
                    board.leave_place(kernel, outcomes);
                }
                station.close()
            })
        };
        self.plan.iter().map(lane).collect()
    }

    /// Waits until all guests are powered off.
    pub(crate) fn close(self) -> Result<(), LabError> {
        for lane in self.lanes.into_inner().unwrap_or_default() {
            // One that panicked has said so.
            lane.join().unwrap_or(Ok(()))?;
        }
        Ok(())
    }
}

fn outcomes(station: &mut Station, luggage: &Luggage, group: &Group) -> Vec<(String, Outcome)> {
    let all = |outcome: Outcome| {
        let one = |name: &String| (name.clone(), outcome.clone());
        group.iter().map(one).collect()
    };
    match station.run(luggage, group) {
        Ok(report) => {
            let verdicts = report.verdicts(group).into_iter();
            verdicts
                .map(|(name, verdict)| (name, Outcome::Ran(verdict)))
                .collect()
        }
        Err(LabError::Unavailable(reason)) => all(Outcome::Skipped(reason)),
        // The next group gets a new guest; none of this one is tried again.
        Err(dead) => all(Outcome::Ran(Err(dead.to_string()))),
    }
}

/// Where lanes write what trials wait for.
#[derive(Debug, Default)]
struct Board {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Lanes at work.
    busy: usize,
    /// Lanes that wait for a place, the longest first.
    waiting: VecDeque<Kernel>,
    outcomes: BTreeMap<(Kernel, String), Outcome>,
    /// Kernels of which nothing more will be said.
    ended: BTreeSet<Kernel>,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `is_so`.
    fn wait_until(&self, is_so: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_while(self.lock(), |state| !is_so(state));
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    fn take_place(&self, kernel: Kernel) {
        self.lock().waiting.push_back(kernel);
        let is_next = |state: &State| state.waiting.front() == Some(&kernel);
        let mut state = self.wait_until(|state| state.busy < PLACES && is_next(state));
        state.waiting.pop_front();
        state.busy += 1;
        drop(state);
        self.changed.notify_all();
    }

    fn leave_place(&self, kernel: Kernel, outcomes: Vec<(String, Outcome)>) {
        let mut state = self.lock();
        state.busy -= 1;
        let outcomes = outcomes.into_iter();
        state
            .outcomes
            .extend(outcomes.map(|(name, outcome)| ((kernel, name), outcome)));
        drop(state);
        self.changed.notify_all();
    }

    fn wait_for(&self, kernel: Kernel, name: &str) -> Outcome {
        let key = (kernel, name.to_owned());
        let known =
            |state: &State| state.outcomes.contains_key(&key) || state.ended.contains(&kernel);
        let outcome = self.wait_until(known).outcomes.remove(&key);
        outcome.unwrap_or_else(|| Outcome::Ran(Err(format!("nothing was said of `{name}`"))))
    }
}

/// The end of a lane, also of one that panics: nobody waits for it any more.
struct Ending<'a>(Kernel, &'a Board);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.1.lock().ended.insert(self.0);
        self.1.changed.notify_all();
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
