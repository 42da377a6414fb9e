//! A box: QEMU with Xen and a dom0 that is set up, and the programs that run there.

use std::path::PathBuf;
use std::time::Duration;

use super::{call, dom0, domu, libxl};
use crate::lab::cache::Cache;
use crate::lab::guest::Guest;
use crate::lab::image::{self, Extra, Image};
use crate::lab::protocol::{Job, Outcome};
use crate::lab::qemu::{Clock, Link, Size};
use crate::lab::{LabError, build};

/// What runs first in a dom0.
const START: &str = include_str!("start.sh");
/// The domU as `xl create` reads it.
const DOMU: &str = include_str!("guest.cfg");
/// What else runs there.
const SCRIPTS: [(&str, &str); 5] = [
    ("/lab/tour.sh", include_str!("tour.sh")),
    ("/lab/backup.sh", include_str!("backup.sh")),
    ("/lab/common.sh", include_str!("common.sh")),
    ("/lab/replicate.sh", include_str!("replicate.sh")),
    ("/lab/faults.sh", include_str!("faults.sh")),
];
/// Where it is in a dom0.
pub const DOMU_FILE: &str = "/lab/guest.cfg";
/// Programs of Xen have their own directory.
const PATH: &str = "/usr/local/bin:/usr/lib/xen-4.17/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// MiB for dom0, the hypervisor and a domU.
const MEMORY: u32 = 1536;

/// Everything that goes into a dom0.
///
/// # Errors
/// [`LabError::Unavailable`] when it can't be had.
pub fn image(cache: &Cache, more: &[Extra]) -> Result<Image, LabError> {
    let program = |package, name| build::one(&["build", "--package", package, "--bin", name], name);
    let traffic = program("tests", "lab-xen")?;
    let mut extras = vec![
        own(traffic.clone(), "lab-xen"),
        own(program("compiler", "epochgate")?, "epochgate"),
    ];
    extras.extend(image::packages(cache, &["sip-tester", "ncurses-base"])?);
    extras.extend_from_slice(more);
    let libxl = libxl::build(cache)?;
    let domu = domu::build(cache, &traffic)?;
    dom0::build(cache, &build::init()?, &libxl, &domu, &extras)
}

fn own(host: PathBuf, name: &str) -> Extra {
    Extra {
        host,
        guest: format!("/usr/local/bin/{name}"),
        strip: true,
    }
}

/// What a box is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything happens in one box.
    Alone,
    /// The domU runs here first.
    Primary,
    /// The domU runs here when the primary is dead. The far side of all traffic is here too.
    Backup,
}

impl Part {
    /// As `start.sh` calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Alone => "alone",
            Self::Primary => "primary",
            Self::Backup => "backup",
        }
    }
}

/// A running box.
#[derive(Debug)]
pub struct Station {
    guest: Guest,
}

impl Station {
    /// Boots it and sets its dom0 up.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn boot(image: &Image) -> Result<Self, LabError> {
        Self::boot_as(image, Part::Alone, &[])
    }

    /// The same for a box that is one of two.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn boot_as(image: &Image, part: Part, links: &[Link]) -> Result<Self, LabError> {
        let size = Size {
            memory: MEMORY,
            processors: 1,
            // A process then takes two milliseconds to start instead of a hundred, and figures are the same
            // on a busy machine. Where two boxes wait for each other, neither may jump over its waits.
            clock: Clock::asked_or(match part {
                Part::Alone => Clock::Instructions,
                Part::Primary | Part::Backup => Clock::InstructionsAwake,
            }),
        };
        let mut guest = Guest::boot_linked(image, &size, links)?;
        eprintln!("xen-lab: {}", guest.describe());
        for failed in &guest.hello().failed_modules {
            eprintln!("xen-lab: module {failed}");
        }
        guest.put("/lab/start.sh", START.into())?;
        guest.put(DOMU_FILE, DOMU.into())?;
        guest.put(call::SCENARIO, call::scenario().into_bytes())?;
        guest.put(call::MESSAGE, call::message().into_bytes())?;
        guest.put(call::CAPTURE, call::capture())?;
        for (path, contents) in SCRIPTS {
            guest.put(path, contents.into())?;
        }
        let mut station = Self { guest };
        let start = format!("sh /lab/start.sh {}", part.name());
        station.shell(&start, Duration::from_secs(120))?;
        Ok(station)
    }

    /// Runs a shell command that must succeed: what it wrote to standard output.
    ///
    /// # Errors
    /// When it fails, with what it wrote to standard error.
    pub fn shell(&mut self, command: &str, limit: Duration) -> Result<String, LabError> {
        self.succeed(&["sh", "-c", command], limit)
    }

    /// The same for a command without a shell.
    ///
    /// # Errors
    /// As [`Station::shell`].
    pub fn succeed(&mut self, words: &[&str], limit: Duration) -> Result<String, LabError> {
        self.guest.output_of(job(words, limit))
    }

    /// Runs a command; its output goes to `output` as it comes.
    ///
    /// # Errors
    /// When the box is dead.
    pub fn run(
        &mut self,
        words: &[&str],
        limit: Duration,
        output: impl FnMut(bool, &[u8]),
    ) -> Result<Outcome, LabError> {
        Ok(self.guest.run(job(words, limit), output)?.outcome)
    }

    /// Reads a file of dom0.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn read(&mut self, path: &str) -> Result<Vec<u8>, LabError> {
        let mut bytes = Vec::new();
        let outcome = self.run(
            &["cat", path],
            Duration::from_secs(120),
            |is_error, part| {
                if !is_error {
                    bytes.extend_from_slice(part);
                }
            },
        )?;
        match outcome {
            Outcome::Exited(0) => Ok(bytes),
            other => Err(LabError::Guest(format!("{path}: {other:?}"))),
        }
    }

    /// Powers it off.
    ///
    /// # Errors
    /// When its kernel had crashed.
    pub fn power_off(self) -> Result<(), LabError> {
        self.guest.power_off()
    }

    /// What QEMU's console shows: Xen and dom0's kernel.
    #[must_use]
    pub fn console(&self) -> String {
        self.guest.console()
    }

    /// Writes a file in dom0.
    ///
    /// # Errors
    /// When the box is dead.
    pub fn put(&mut self, path: &str, contents: Vec<u8>) -> Result<(), LabError> {
        self.guest.put(path, contents)
    }
}

fn job(words: &[&str], limit: Duration) -> Job {
    Job {
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        environment: vec![(String::from("PATH"), PATH.to_owned())],
        limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
    }
}
