//! The build system of a kernel: `make` with the compiler that its headers ask for.
//!
//! The headers of Debian 12's kernels are used from here with the machine's own gcc. Those of 7.x are
//! of Debian 13: they ask for gcc-14, and the programs in them (objtool, modpost) for a newer libc. So
//! they get a root of their own ([`super::root`]), in which `make` runs.
//! [`super::rust`] has what a build against the kernel's own Rust needs besides.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache::Cache;
use super::packages::{Apt, Release};
use super::root::{DIRECTORY, Root};
use super::{Kernel, LabError};

/// What a root is made of besides the headers. Nothing is set up in it: no alternatives, no links.
pub(super) const PACKAGES: [&str; 13] = [
    "base-files",
    "bash",
    "binutils",
    "coreutils",
    "dash",
    "diffutils",
    "findutils",
    "gcc-14",
    "grep",
    "make",
    "mawk",
    "perl-base",
    "sed",
];
/// Programs that its `make` is told by name, since the usual names are set up at installation.
pub(super) const NAMES: [&str; 2] = ["CC=x86_64-linux-gnu-gcc-14", "AWK=mawk"];
/// A kernel's build system.
#[derive(Debug)]
pub enum Kbuild {
    /// Headers for the machine's own tools.
    Here(PathBuf),
    /// Headers in a root with the tools they ask for.
    Root {
        /// The root.
        root: Root,
        /// Where `make -C` finds the headers in it.
        headers: String,
        /// What `make` is told besides.
        words: Vec<String>,
    },
}

impl Kernel {
    /// Gets what modules for the kernel of this release (`uname -r`) are built with.
    ///
    /// # Errors
    /// [`LabError::Unavailable`] when it can't be had.
    pub fn kbuild(self, cache: &Cache, release: &str) -> Result<Kbuild, LabError> {
        if self != Self::V7 {
            let needed = ["make", "gcc", "ld", "objcopy"];
            needed
                .iter()
                .try_for_each(|tool| is_here(tool, "Debian packages make, gcc-12, binutils"))?;
            return Ok(Kbuild::Here(self.headers(cache, release)?));
        }
        is_here("unshare", "Debian package util-linux")?;
        let _lock = cache.lock()?;
        let apt = Apt::open(cache, Release::Trixie)?;
        let headers = format!("linux-headers-{release}");
        let mut names = PACKAGES.to_vec();
        names.push(&headers);
        let root = Root {
            path: apt.unpacked("root", &apt.closure(&names)?)?,
            tree: None,
        };
        root.works()?;
        Ok(Kbuild::Root {
            root,
            headers: format!("/usr/src/{headers}"),
            words: NAMES.map(str::to_owned).into(),
        })
    }
}

pub(super) fn is_here(tool: &str, package: &str) -> Result<(), LabError> {
    let found = Command::new(tool).arg("--version").output();
    let missing = |_| LabError::Unavailable(format!("no `{tool}` ({package})"));
    found.map(drop).map_err(missing)
}

impl Kbuild {
    /// `make modules` for what lies in this directory.
    #[must_use]
    pub fn make(&self, directory: &Path) -> Command {
        let mut make = match self {
            Self::Here(headers) => {
                let mut make = Command::new("make");
                make.arg("-C").arg(headers);
                make.arg(format!("M={}", directory.display()));
                make
            }
            Self::Root {
                root,
                headers,
                words,
            } => {
                let module = format!("M={DIRECTORY}");
                let mut all = vec!["make", "-C", headers, &module];
                all.extend(words.iter().map(String::as_str));
                root.inside(directory, &all)
            }
        };
        // The packages hold no vmlinux to take types from.
        make.args(["CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]);
        make.env_remove("MAKEFLAGS");
        make
    }
}
