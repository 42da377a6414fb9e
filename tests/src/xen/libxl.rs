//! libxl with network buffering, from Debian's own source.
//!
//! Debian builds Xen without libnl, and then `xl remus` ends with "No support for network buffering"
//! (tools/libs/light/libxl_nonetbuffer.c, which is compiled in place of libxl_netbuffer.c). With libnl's
//! headers there, `configure` finds them and the same source makes a library that drives the plug.
//! It takes the place of Debian's `libxenlight.so` beside Debian's other libraries and its `xl`.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use crate::lab::LabError;
use crate::lab::cache::{Cache, key};
use crate::lab::packages::{Apt, Package, Release, run};
use crate::lab::root::{Root, TREE, unpack};
use crate::lab::rust::took;

/// What Xen's tools are configured and compiled with.
const PACKAGES: [&str; 34] = [
    "acpica-tools",
    "base-files",
    "bash",
    "binutils",
    "bison",
    "coreutils",
    "dash",
    "diffutils",
    "file",
    "findutils",
    "flex",
    "g++",
    "gcc",
    "grep",
    "gzip",
    "libbz2-dev",
    "libc6-dev",
    "libext2fs-dev",
    "libglib2.0-dev",
    "liblzma-dev",
    "libncurses-dev",
    "libnl-3-dev",
    "libnl-route-3-dev",
    "libpixman-1-dev",
    "libyajl-dev",
    "libzstd-dev",
    "make",
    "mawk",
    "perl-base",
    "pkgconf",
    "python3-dev",
    "sed",
    "uuid-dev",
    "zlib1g-dev",
];
/// Places as in Debian's packages, and nothing that libxl does not need.
const CONFIGURE: [&str; 16] = [
    "./configure",
    "--prefix=/usr",
    "--libdir=/usr/lib/x86_64-linux-gnu",
    "--libexecdir=/usr/lib",
    "--sysconfdir=/etc",
    "--localstatedir=/var",
    "--disable-golang",
    "--disable-ocamltools",
    "--disable-ovmf",
    "--disable-qemu-traditional",
    "--disable-rombios",
    "--disable-seabios",
    "--disable-xsmpolicy",
    "--with-system-seabios=/none",
    "--with-system-qemu=/usr/bin/qemu-system-i386",
    "CC=gcc",
];
/// The libraries in the order in which they need each other.
const LIBRARIES: [&str; 12] = [
    "toolcore",
    "toollog",
    "evtchn",
    "gnttab",
    "call",
    "foreignmemory",
    "devicemodel",
    "ctrl",
    "hypfs",
    "store",
    "guest",
    "light",
];
/// What is kept of the tree, and how it is called.
const KEPT: [(&str, &str); 2] = [
    ("tools/libs/light/libxenlight.so.4.17.0", "libxenlight.so"),
    (
        "tools/hotplug/Linux/remus-netbuf-setup",
        "remus-netbuf-setup",
    ),
];

/// What was built.
#[derive(Clone, Debug)]
pub struct Libxl {
    /// `libxenlight.so.4.17.0`.
    pub library: PathBuf,
    /// Xen's own script for network buffers, which Debian does not ship.
    pub stock_script: PathBuf,
}

/// Builds it, or takes it from the cache. Says on stderr how long each part took.
///
/// # Errors
/// [`LabError::Unavailable`] when packages or the source can't be had, or no root can be made.
pub fn build(cache: &Cache) -> Result<Libxl, LabError> {
    let _lock = cache.lock_for("lock-xen")?;
    let (root, source, packages) = {
        let _lock = cache.lock()?;
        let apt = Apt::open(cache, Release::BookwormAlone)?;
        let packages = apt.closure(&PACKAGES)?;
        let root = apt.unpacked("xen-root", &packages)?;
        (root, apt.source("xen")?, packages)
    };
    let mut names: Vec<String> = packages.iter().map(Package::version).collect();
    names.push(source.to_string_lossy().into_owned());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let built = cache.filled(&format!("xen/libxl-{}", key(&names)), |draft| {
        let tree = tempfile::tempdir_in(draft).map_err(LabError::io("can't make a directory"))?;
        unpack(&archive(&source)?, tree.path(), "xen")?;
        let root = Root {
            path: root.clone(),
            tree: Some(tree.path().to_owned()),
        };
        root.works()?;
        make(&root, tree.path())?;
        for (from, to) in KEPT {
            let from = tree.path().join("xen").join(from);
            fs::copy(&from, draft.join(to)).map_err(LabError::io(from.display()))?;
        }
        Ok(())
    })?;
    let [library, stock_script] = KEPT.map(|(_, name)| built.join(name));
    if !drives_plug(&library)? {
        return Err(LabError::Unavailable(String::from(
            "libxl was built without network buffering: configure found no libnl",
        )));
    }
    Ok(Libxl {
        library,
        stock_script,
    })
}

/// Whether this libxl has network buffering: only then does it know how to complain of a missing plug.
///
/// # Errors
/// When the file can't be read.
pub fn drives_plug(library: &Path) -> Result<bool, LabError> {
    const COMPLAINT: &[u8] = b"plug qdisc is not installed";
    let bytes = fs::read(library).map_err(LabError::io(library.display()))?;
    Ok(bytes
        .windows(COMPLAINT.len())
        .any(|found| found == COMPLAINT))
}

/// The archive of Xen's own source, without Debian's changes, which are about packaging.
fn archive(source: &Path) -> Result<PathBuf, LabError> {
    let listing = fs::read_dir(source).map_err(LabError::io(source.display()))?;
    let mut paths = listing.flatten().map(|entry| entry.path());
    paths
        .find(|path| path.to_string_lossy().contains(".orig.tar."))
        .ok_or_else(|| LabError::Unavailable(String::from("no archive in the source of xen")))
}

fn make(root: &Root, tree: &Path) -> Result<(), LabError> {
    let begin = Instant::now();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let tools = format!("{TREE}/xen/tools");
    let mut commands = vec![format!("cd {tools} && {}", CONFIGURE.join(" "))];
    let parts = LIBRARIES.map(|library| format!("libs/{library}"));
    for part in std::iter::once(String::from("include")).chain(parts) {
        commands.push(format!("make -j{threads} -C {tools}/{part}"));
    }
    for command in commands {
        let mut inside = root.inside(tree, &["sh", "-c", &command]);
        run(inside.env_remove("MAKEFLAGS")).map_err(LabError::Guest)?;
    }
    took("libxl with network buffering", begin);
    Ok(())
}
