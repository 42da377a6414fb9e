//! The build system of a kernel: `make` with the compiler that its headers ask for.
//!
//! The headers of Debian 12's kernels are used from here with the machine's own gcc. Those of 7.x are
//! of Debian 13: they ask for gcc-14, and the programs in them (objtool, modpost) for a newer libc. So
//! they get a root of their own, unpacked from packages and never installed, in which `make` runs
//! (chroot(2), /proc for objtool and /dev, in namespaces of its own: user_namespaces(7)).
//! [`super::rust`] has what a build against the kernel's own Rust needs besides.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache::Cache;
use super::packages::{Apt, Release, run};
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
/// Where the directory with the module is in a root: one that base-files has and nobody needs.
const MODULE: &str = "/home";
/// Where a tree of the kernel's source is, if there is one; as for [`MODULE`].
pub(super) const TREE: &str = "/boot";
/// All that programs in a root find in their environment.
const ENVIRONMENT: [&str; 3] = [
    "PATH=/usr/bin:/boot/bin",
    "LC_ALL=C",
    "LIBCLANG_PATH=/usr/lib/llvm-19/lib",
];

/// A kernel's build system.
#[derive(Debug)]
pub enum Kbuild {
    /// Headers for the machine's own tools.
    Here(PathBuf),
    /// Headers in a root with the tools they ask for.
    Root {
        /// The root.
        root: PathBuf,
        /// Where `make -C` finds the headers in it.
        headers: String,
        /// A directory from outside, mounted at [`TREE`] if there is one.
        tree: Option<PathBuf>,
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
        let root = apt.unpacked("root", &apt.closure(&names)?)?;
        let kbuild = Kbuild::Root {
            root,
            headers: format!("/usr/src/{headers}"),
            tree: None,
            words: NAMES.map(str::to_owned).into(),
        };
        kbuild.works()?;
        Ok(kbuild)
    }
}

pub(super) fn is_here(tool: &str, package: &str) -> Result<(), LabError> {
    let found = Command::new(tool).arg("--version").output();
    let missing = |_| LabError::Unavailable(format!("no `{tool}` ({package})"));
    found.map(drop).map_err(missing)
}

impl Kbuild {
    /// Not everybody may make namespaces, or a root.
    pub(super) fn works(&self) -> Result<(), LabError> {
        let tried = run(&mut self.inside(&std::env::temp_dir(), &["true"]));
        tried.map(drop).map_err(LabError::Unavailable)
    }

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
            Self::Root { headers, words, .. } => {
                let module = format!("M={MODULE}");
                let mut all = vec!["make", "-C", headers, &module];
                all.extend(words.iter().map(String::as_str));
                self.inside(directory, &all)
            }
        };
        // The packages hold no vmlinux to take types from.
        make.args(["CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]);
        make.env_remove("MAKEFLAGS");
        make
    }

    /// A command in the root, where it finds `directory` as [`MODULE`]; without a root, just the command.
    pub(super) fn inside(&self, directory: &Path, words: &[&str]) -> Command {
        let Self::Root { root, tree, .. } = self else {
            let mut command = Command::new(words.first().unwrap_or(&"true"));
            command.args(words.iter().skip(1));
            return command;
        };
        // The mounts end with the namespace.
        const PREPARE: &str = "mount -t proc proc \"$0/proc\" && mount --rbind /dev \"$0/dev\" \
            && mount --bind \"$1\" \"$0$2\" && mount --bind \"$3\" \"$0$4\" \
            && root=$0 && shift 4 && exec chroot \"$root\" /usr/bin/env -i \"$@\"";
        let mut command = Command::new("unshare");
        command.args([
            "--map-root-user",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
        ]);
        command.args(["sh", "-c", PREPARE]);
        command.arg(root).arg(directory).arg(MODULE);
        // Without a tree the directory is there twice, which does no harm.
        let tree = tree.as_deref().unwrap_or(directory);
        command.arg(tree).arg(TREE).args(ENVIRONMENT).args(words);
        command
    }
}
