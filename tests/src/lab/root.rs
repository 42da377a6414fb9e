//! A root made of Debian packages that are unpacked and never installed, in which a command runs: for
//! what the machine's own tools can't build.
//!
//! A command gets namespaces of its own, in which /proc and /dev are mounted (user_namespaces(7),
//! chroot(2)). The mounts end with the command, and nobody but who may make namespaces is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::LabError;
use super::packages::run;

/// Where the directory of a command is in a root: one that base-files has and nobody needs.
pub const DIRECTORY: &str = "/home";
/// Where a second directory is, if there is one; as for [`DIRECTORY`].
pub const TREE: &str = "/boot";
/// All that programs in a root find in their environment.
const ENVIRONMENT: [&str; 3] = [
    "PATH=/usr/bin:/bin:/boot/bin",
    "LC_ALL=C",
    "LIBCLANG_PATH=/usr/lib/llvm-19/lib",
];
/// Takes the root, the directory and its place, the tree and its place, then the command.
const PREPARE: &str = "mount -t proc proc \"$0/proc\" && mount --rbind /dev \"$0/dev\" \
    && mount --bind \"$1\" \"$0$2\" && mount --bind \"$3\" \"$0$4\" \
    && root=$0 && shift 4 && exec chroot \"$root\" /usr/bin/env -i \"$@\"";

/// Unpacks an archive of sources as the directory `name` of a tree, with what its scripts ask for and only an
/// installation sets up: `awk`.
///
/// # Errors
/// When the tree can't be written, or the archive not be read.
pub fn unpack(archive: &Path, tree: &Path, name: &str) -> Result<(), LabError> {
    let to = tree.join(name);
    let bin = tree.join("bin");
    for directory in [&to, &bin] {
        fs::create_dir(directory).map_err(LabError::io("can't make a directory in the cache"))?;
    }
    std::os::unix::fs::symlink("/usr/bin/mawk", bin.join("awk"))
        .map_err(LabError::io("can't make a link in the cache"))?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--no-same-owner", "--strip-components=1"]);
    tar.arg("--file").arg(archive).arg("--directory").arg(to);
    run(&mut tar).map(drop).map_err(LabError::Guest)
}

/// A root.
#[derive(Clone, Debug)]
pub struct Root {
    /// Where the packages are unpacked.
    pub path: PathBuf,
    /// A directory from outside, mounted at [`TREE`] if there is one.
    pub tree: Option<PathBuf>,
}

impl Root {
    /// A command in the root, where it finds `directory` as [`DIRECTORY`].
    #[must_use]
    pub fn inside(&self, directory: &Path, words: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args([
            "--map-root-user",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
        ]);
        command.args(["sh", "-c", PREPARE]);
        command.arg(&self.path).arg(directory).arg(DIRECTORY);
        // Without a tree the directory is there twice, which does no harm.
        let tree = self.tree.as_deref().unwrap_or(directory);
        command.arg(tree).arg(TREE).args(ENVIRONMENT).args(words);
        command
    }

    /// Not everybody may make namespaces, or a root.
    ///
    /// # Errors
    /// [`LabError::Unavailable`] when no command runs in it.
    pub fn works(&self) -> Result<(), LabError> {
        let tried = run(&mut self.inside(&std::env::temp_dir(), &["true"]));
        tried.map(drop).map_err(LabError::Unavailable)
    }
}
