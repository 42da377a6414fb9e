//! What holds packets in this kernel: `sch_plug`, or a stand-in for it.
//! A byte FIFO lets everything pass at once, so it shows the path of a packet but not the holding;
//! the kernel's blackhole qdisc gives nothing back, as a plug that is closed for good.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use super::namespace::Namespace;

/// The stand-in: a `tc` that speaks of plug and uses a FIFO.
const STAND_IN: &str = include_str!("tc-stand-in.sh");

const TRY_PLUG: &str = "
ip link add plugtry type ifb
tc qdisc add dev plugtry root plug limit 100000; outcome=$?
ip link del plugtry
exit $outcome";

/// How packets are held in the laboratory.
#[derive(Debug)]
pub(super) enum Plug {
    /// The kernel's own.
    Kernel,
    /// A directory that comes first in PATH, with a `tc` of ours; whether it never lets go.
    StandIn(TempDir, bool),
}

impl Plug {
    /// Tries the kernel's plug in the namespace; prepares the stand-in when there is none, unless
    /// EPOCHGATE_PLUG=require asks for the real one.
    pub(super) fn find(namespace: &Namespace) -> Result<Self, String> {
        // One answer for all laboratories of this process: starting programs is slow in a guest.
        static TRIED: OnceLock<bool> = OnceLock::new();
        let attempt = || {
            namespace
                .succeed(Command::new("sh").args(["-c", TRY_PLUG]))
                .is_ok()
        };
        if *TRIED.get_or_init(attempt) {
            return Ok(Self::Kernel);
        }
        if std::env::var_os("EPOCHGATE_PLUG").is_some_and(|v| v == "require") {
            return Err(String::from("this kernel has no sch_plug"));
        }
        let real = find_program("tc").ok_or("no `tc` in PATH")?;
        let directory = TempDir::new().map_err(|e| e.to_string())?;
        let script = STAND_IN.replace("@REAL_TC@", &real.to_string_lossy());
        let path = directory.path().join("tc");
        fs::write(&path, script).map_err(|e| e.to_string())?;
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&path, executable).map_err(|e| e.to_string())?;
        Ok(Self::StandIn(directory, false))
    }

    /// From now on a stand-in takes everything and gives nothing back.
    pub(super) fn close(&mut self) {
        if let Self::StandIn(_, closed) = self {
            *closed = true;
        }
    }

    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Kernel => "the kernel's sch_plug",
            Self::StandIn(..) => "a byte FIFO in place of sch_plug, which this kernel lacks",
        }
    }

    /// Puts the stand-in first in the command's PATH.
    pub(super) fn prepare(&self, command: &mut Command) {
        if let Self::StandIn(directory, closed) = self {
            if *closed {
                command.env("EPOCHGATE_STAND_IN", "blackhole");
            }
            let path = std::env::var("PATH").unwrap_or_default();
            command.env("PATH", format!("{}:{path}", directory.path().display()));
        }
    }
}

/// Where a program is.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let candidates = std::env::split_paths(&path).map(|d: PathBuf| Path::new(&d).join(name));
    candidates.into_iter().find(|program| program.is_file())
}
