//! Where the program beside the kernel runs: a namespace on the running kernel, or a guest.

use std::env::VarError;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use compiler::backend::Kind;
use tempfile::TempDir;

use super::answer::Answer;
use super::batch::{self, Case};
use crate::lab::cache::Cache;
use crate::lab::guest::Guest;
use crate::lab::image::{self, Extra};
use crate::lab::protocol::{Job, Outcome};
use crate::lab::qemu::{Clock, Size};
use crate::lab::{Kernel, LabError, Target, build};

/// A kernel that cases can be put to.
pub trait Ground {
    /// Puts all cases through the rules.
    ///
    /// # Errors
    /// When there is no answer, in words. Wrong verdicts are answers.
    fn put(&mut self, cases: &[Case]) -> Result<Answer, String>;
}

/// The running kernel: each call has a network namespace of its own, gone when it returns.
#[derive(Debug)]
pub struct Namespace {
    program: PathBuf,
    files: TempDir,
}

impl Namespace {
    /// Runs `program`, which is `lab-differential`.
    ///
    /// # Errors
    /// Why it can't be run here: no rights, no taps, no `unshare`.
    pub fn new(program: &Path) -> Result<Self, String> {
        let mut namespace = Self {
            program: program.to_owned(),
            files: TempDir::new().map_err(|e| e.to_string())?,
        };
        namespace.put(&[])?;
        Ok(namespace)
    }
}

impl Ground for Namespace {
    fn put(&mut self, cases: &[Case]) -> Result<Answer, String> {
        let path = self.files.path().join("batch");
        write(&path, cases)?;
        // Not `ip netns`: a namespace without a name can't be left behind.
        let mut command = Command::new("unshare");
        command.arg("--net").arg(&self.program).arg(&path);
        let output = command
            .output()
            .map_err(|e| format!("can't run `unshare`: {e}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        String::from_utf8_lossy(&output.stdout).parse()
    }
}

fn write(path: &Path, cases: &[Case]) -> Result<(), String> {
    let write = || {
        let mut file = BufWriter::new(File::create(path)?);
        batch::write(&mut file, cases)?;
        file.flush()
    };
    write().map_err(|e| format!("can't write a batch: {e}"))
}

/// One of Debian's kernels in a guest, which is booted once.
#[derive(Debug)]
pub struct InGuest {
    guest: Guest,
}

/// Where the guest finds the batch.
const BATCH: &str = "/lab/batch";
/// Where it finds the program.
const PROGRAM: &str = "/usr/local/bin/lab-differential";
/// A batch of more bytes goes in two pieces, so that the port takes it and the guest's memory holds it.
const LONGEST_BATCH: usize = 12 << 20;
/// A plug may hold all frames of a case, and up to 64 KiB each.
const SIZE: Size = Size {
    memory: 2048,
    processors: 1,
    clock: Clock::Wall,
};
/// No batch takes longer.
const LIMIT_MS: u64 = 900_000;

impl InGuest {
    /// Boots a guest that has `program`, which is `lab-differential`.
    ///
    /// # Errors
    /// As [`image::build`] and [`Guest::boot`].
    pub fn boot(kernel: Kernel, program: &Path) -> Result<Self, LabError> {
        let program = Extra {
            host: program.to_owned(),
            guest: PROGRAM.to_owned(),
            strip: true,
        };
        let image = image::build(&Cache::open()?, kernel, &build::init()?, &[program])?;
        Ok(Self {
            guest: Guest::boot(&image, &SIZE)?,
        })
    }
}

impl Ground for InGuest {
    fn put(&mut self, cases: &[Case]) -> Result<Answer, String> {
        let mut bytes = Vec::new();
        batch::write(&mut bytes, cases).map_err(|e| e.to_string())?;
        // Jumbo frames make some batches many times as long as others.
        if bytes.len() > LONGEST_BATCH && cases.len() > 1 {
            let (some, others) = cases.split_at(cases.len() / 2);
            let mut answer = self.put(some)?;
            answer.cases.extend(self.put(others)?.cases);
            return Ok(answer);
        }
        let put = self.guest.put(BATCH, bytes);
        put.map_err(|e| e.to_string())?;
        let job = Job {
            command: ["unshare", "--net", PROGRAM, BATCH]
                .map(String::from)
                .into(),
            environment: Vec::new(),
            limit_ms: LIMIT_MS,
        };
        let (mut out, mut said) = (Vec::new(), Vec::new());
        let ended = self.guest.run(job, |is_error, bytes| {
            let to = if is_error { &mut said } else { &mut out };
            to.extend_from_slice(bytes);
        });
        match ended.map_err(|e| e.to_string())?.outcome {
            Outcome::Exited(0) => String::from_utf8_lossy(&out).parse(),
            other => Err(format!("{other:?}: {}", String::from_utf8_lossy(&said))),
        }
    }
}

/// A kernel with its name.
pub type Named = (Target, Box<dyn Ground + Send>);

/// Makes a target ready; `Err` says why it can't be had here.
///
/// # Errors
/// The inner one is a reason to skip, the outer one a failure.
pub fn open(target: Target, program: &Path) -> Result<Result<Named, String>, String> {
    let ground: Box<dyn Ground + Send> = match target {
        Target::Model => return Ok(Err(String::from("the model has no rules to run"))),
        Target::Namespace => match Namespace::new(program) {
            Ok(namespace) => Box::new(namespace),
            Err(why) => return Ok(Err(why)),
        },
        Target::Qemu(kernel) => match InGuest::boot(kernel, program) {
            Ok(guest) => Box::new(guest),
            Err(LabError::Unavailable(why)) => return Ok(Err(why)),
            Err(error) => return Err(error.to_string()),
        },
    };
    Ok(Ok((target, ground)))
}

/// Whether this kernel has what the rules of `backend` are made of; if not, how it refuses the
/// plainest rule.
///
/// # Errors
/// When there is no answer.
pub fn takes(ground: &mut dyn Ground, backend: Kind) -> Result<Result<(), String>, String> {
    let filter = |rest: &str| format!("filter add dev vif0 ingress pref 1 protocol {rest}\n");
    let plainest = Case {
        name: format!("has {backend}"),
        backend,
        rules: match backend {
            Kind::Nft => String::from("table netdev plainest {}\n"),
            Kind::U32 => filter("all u32 match u32 0 0"),
            Kind::Bpf => filter("all bpf bytecode '1,6 0 0 0'"),
            Kind::Flower => filter("ip flower"),
        },
        shots: Vec::new(),
    };
    let answer = ground.put(&[plainest])?;
    let refusals = answer.cases.into_iter();
    Ok(refusals
        .filter_map(|answered| answered.failure)
        .next()
        .map_or(Ok(()), Err))
}

/// The targets that LAB_TARGET asks for; all kernels if it is not set.
///
/// # Errors
/// When it names no target.
pub fn wanted() -> Result<Vec<Target>, String> {
    match std::env::var("LAB_TARGET") {
        Ok(name) => Ok(vec![name.parse()?]),
        Err(VarError::NotPresent) => {
            let all = Target::ALL.into_iter();
            Ok(all.filter(|target| *target != Target::Model).collect())
        }
        Err(error) => Err(error.to_string()),
    }
}
