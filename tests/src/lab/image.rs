//! What a guest finds in its memory when it starts: Debian's small tools, the kernel's modules and
//! our own programs, as three archives one behind the other. The first two are kept in the cache.
//!
//! The layout is Debian's merged one: `/bin`, `/sbin`, `/lib` and `/lib64` lead into `/usr`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::NamedTempFile;

use super::cache::{Cache, key};
use super::cpio::Archive;
use super::packages::{Apt, Release, run};
use super::{Kernel, LabError, kernel, modules};

/// Programs of the guest. `usr-is-merged` keeps a tool away that needs all of perl.
const PACKAGES: [&str; 20] = [
    "usr-is-merged",
    "bash",
    "bsdutils",
    "coreutils",
    "dash",
    "diffutils",
    "ethtool",
    "findutils",
    "grep",
    "hostname",
    "iproute2",
    "iputils-ping",
    "jq",
    "mawk",
    "netbase",
    "nftables",
    "procps",
    "sed",
    "tcpdump",
    "util-linux",
];
/// Top directories that Debian has merged into `/usr`.
pub const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];
/// What a guest without users, languages and manuals does not need, after merging.
const LEFT_OUT: [&str; 14] = [
    "usr/share/",
    "usr/lib/x86_64-linux-gnu/gconv/",
    "usr/lib/x86_64-linux-gnu/perl",
    "usr/lib/x86_64-linux-gnu/security/",
    "usr/lib/systemd/",
    "usr/lib/udev/",
    "usr/lib/locale/",
    "usr/lib/init/",
    "usr/bin/perl",
    "usr/bin/dpkg",
    "usr/sbin/pam",
    "usr/sbin/deb",
    "var/",
    "etc/pam",
];
/// Part of the names of cached archives: another layout, another number.
const LAYOUT: &str = "3";
/// Where modules lie in the guest; the file names begin with their place in the order.
pub const MODULES: &str = "lab/modules";
/// Where a guest keeps the modules that tests take away and load again, as `NAME.ko`.
pub const KEPT_MODULES: &str = "/lab/kept";

/// A file of the host for the guest.
#[derive(Clone, Debug)]
pub struct Extra {
    /// Where it is on the host.
    pub host: PathBuf,
    /// Where it will be in the guest: an absolute path.
    pub guest: String,
    /// Whether it is a program whose debug symbols are not wanted.
    pub strip: bool,
}

/// Everything that QEMU needs to start a guest.
#[derive(Debug)]
pub struct Image {
    /// The kernel.
    pub kernel: kernel::Files,
    /// What starts the kernel, if it is not QEMU: the file of a hypervisor.
    pub hypervisor: Option<PathBuf>,
    /// The archives.
    pub initrd: NamedTempFile,
}

/// What an image is made of that comes from outside.
#[derive(Clone, Debug)]
pub struct Base {
    /// The kernel.
    pub kernel: kernel::Files,
    /// Archives: the userland and the modules.
    pub archives: Vec<PathBuf>,
}

/// Gets the packages for this kernel and its userland and writes the image.
///
/// # Errors
/// [`LabError::Unavailable`] when packages can't be had.
pub fn build(
    cache: &Cache,
    kernel: Kernel,
    init: &Path,
    extras: &[Extra],
) -> Result<Image, LabError> {
    assemble(prefetch(cache, kernel)?, None, init, extras)
}

/// Writes the image: what comes from outside, the first program and what else is wanted.
///
/// # Errors
/// When a file can't be read or written.
pub fn assemble(
    base: Base,
    hypervisor: Option<PathBuf>,
    init: &Path,
    extras: &[Extra],
) -> Result<Image, LabError> {
    let mut bytes = Vec::new();
    for archive in base.archives {
        bytes.extend(fs::read(&archive).map_err(LabError::io(archive.display()))?);
    }
    bytes.extend(overlay(init, extras)?);
    let initrd = NamedTempFile::new().map_err(LabError::io("can't make the initramfs"))?;
    fs::write(initrd.path(), bytes).map_err(LabError::io("can't write the initramfs"))?;
    Ok(Image {
        kernel: base.kernel,
        hypervisor,
        initrd,
    })
}

/// Everything that comes from outside, so that a test need not wait for it.
///
/// # Errors
/// [`LabError::Unavailable`] when packages can't be had.
pub fn prefetch(cache: &Cache, kernel: Kernel) -> Result<Base, LabError> {
    base(cache, |cache| kernel.fetch(cache), &modules::WANTED)
}

/// As [`prefetch`], for any kernel and any modules of it.
///
/// # Errors
/// [`LabError::Unavailable`] when packages can't be had.
pub fn base(
    cache: &Cache,
    kernel: impl FnOnce(&Cache) -> Result<kernel::Files, LabError>,
    wanted: &[&str],
) -> Result<Base, LabError> {
    let _lock = cache.lock()?;
    let userland = userland(cache)?;
    let kernel = kernel(cache)?;
    let place = kernel.modules.to_string_lossy();
    let name = key(&[LAYOUT, &place, &wanted.join(" ")]);
    let modules = cache.file(&format!("images/modules-{name}.cpio"), || {
        let mut archive = Archive::new();
        let collected = modules::collect(&kernel.modules, wanted)?;
        for (number, module) in collected.iter().enumerate() {
            let path = format!("{MODULES}/{number:03}-{}.ko", module.name);
            archive.file(&path, 0o644, &module.contents);
        }
        Ok(archive.finish())
    })?;
    cache.prune(&["packages", "unpacked", "images"]);
    Ok(Base {
        kernel,
        archives: vec![userland, modules],
    })
}

/// The files of more packages, and of what they need beyond the programs that every guest has.
///
/// # Errors
/// [`LabError::Unavailable`] when packages can't be had.
pub fn packages(cache: &Cache, names: &[&str]) -> Result<Vec<Extra>, LabError> {
    let _lock = cache.lock()?;
    let apt = Apt::open(cache, Release::Bookworm)?;
    let there = apt.closure(&PACKAGES)?;
    let mut packages = apt.closure(names)?;
    packages.retain(|package| !there.contains(package));
    below(&apt.unpacked("more", &packages)?)
}

/// The files of unpacked packages that a guest needs.
///
/// # Errors
/// When a directory can't be read.
pub fn below(root: &Path) -> Result<Vec<Extra>, LabError> {
    let mut extras = Vec::new();
    collect(root, Path::new(""), &mut extras)?;
    Ok(extras)
}

/// Every file below a directory that a guest needs, in the order of the names. What a link leads to
/// is taken for the link.
fn collect(root: &Path, below: &Path, extras: &mut Vec<Extra>) -> Result<(), LabError> {
    for name in names(&root.join(below))? {
        let path = below.join(&name);
        let host = root.join(&path);
        let guest = format!("/{}", merged(&path.to_string_lossy()));
        if LEFT_OUT.iter().any(|out| guest[1..].starts_with(out)) {
            continue;
        }
        if host.is_dir() {
            collect(root, &path, extras)?;
        } else if host.is_file() {
            extras.push(Extra {
                host,
                guest,
                strip: false,
            });
        }
    }
    Ok(())
}

/// What is in a directory, sorted: the same files make the same archive.
fn names(directory: &Path) -> Result<Vec<OsString>, LabError> {
    let failed = format!("can't read {}", directory.display());
    let listing = fs::read_dir(directory).map_err(LabError::io(failed))?;
    let mut names: Vec<_> = listing.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    Ok(names)
}

fn userland(cache: &Cache) -> Result<PathBuf, LabError> {
    let apt = Apt::open(cache, Release::Bookworm)?;
    let packages = apt.closure(&PACKAGES)?;
    let directory = apt.unpacked("userland", &packages)?;
    let libc = packages.iter().find(|package| package.name() == "libc6");
    let guest = libc.map(super::packages::Package::version);
    let host = run(Command::new("ldd").arg("--version")).unwrap_or_default();
    let newer = is_newer(&host, &guest.unwrap_or_default());
    let place = directory.to_string_lossy();
    let host = if newer { host.as_str() } else { "" };
    let name = format!("images/userland-{}.cpio", key(&[LAYOUT, &place, host]));
    cache.file(&name, || {
        let mut archive = Archive::new();
        skeleton(&mut archive);
        pack(&mut archive, &directory, "")?;
        if newer {
            pack_libc(&mut archive)?;
        }
        Ok(archive.finish())
    })
}

/// What no package holds: it is made when a system is installed.
fn skeleton(archive: &mut Archive) {
    for top in MERGED {
        archive.link(top, &format!("usr/{top}"));
    }
    for directory in ["dev", "proc", "sys", "run", "tmp", "root", "var/tmp"] {
        archive.directory(directory);
    }
    archive.link("var/run", "../run");
    archive.link("usr/bin/awk", "mawk");
    archive.link("usr/bin/sh", "dash");
    archive.file("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n");
    archive.file("etc/group", 0o644, b"root:x:0:\n");
    archive.file("etc/hosts", 0o644, b"127.0.0.1 localhost lab\n");
}

/// Packs a directory, in the order of the names.
fn pack(archive: &mut Archive, root: &Path, below: &str) -> Result<(), LabError> {
    let directory = root.join(below);
    let failed = || format!("can't read {}", directory.display());
    for name in names(&directory)? {
        let path = Path::new(below).join(&name);
        let from = root.join(&path);
        let path = path.to_string_lossy();
        let to = merged(&path);
        let kind = fs::symlink_metadata(&from).map_err(LabError::io(failed()))?;
        if LEFT_OUT.iter().any(|out| to.starts_with(out)) || to == "usr/bin/sh" {
            continue;
        }
        if kind.is_dir() {
            pack(archive, root, &path)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&from).map_err(LabError::io(failed()))?;
            archive.link(&to, &target.to_string_lossy());
        } else {
            let contents = fs::read(&from).map_err(LabError::io(failed()))?;
            archive.file(&to, kind.permissions().mode(), &contents);
        }
    }
    Ok(())
}

/// `bin/ls` is `usr/bin/ls`.
#[must_use]
pub fn merged(path: &str) -> String {
    let top = path.split('/').next().unwrap_or_default();
    if MERGED.contains(&top) {
        format!("usr/{path}")
    } else {
        path.to_owned()
    }
}

/// Our programs are linked against this machine's C library. A newer one runs what was linked
/// against an older one, never the other way round; so the guest gets the newer of the two.
fn pack_libc(archive: &mut Archive) -> Result<(), LabError> {
    for (from, name) in host_libc()? {
        let contents = fs::read(&from).map_err(LabError::io(from.display()))?;
        archive.file(
            &format!("usr/lib/x86_64-linux-gnu/{name}"),
            0o755,
            &contents,
        );
    }
    Ok(())
}

/// The parts of this machine's C library that it has, and how programs call them.
///
/// # Errors
/// When there is no GNU C library here.
pub fn host_libc() -> Result<Vec<(PathBuf, &'static str)>, LabError> {
    let unavailable = |what: &str| LabError::Unavailable(format!("{what} of this machine's libc"));
    let own = std::env::current_exe().map_err(LabError::io("can't find this program"))?;
    let listing = run(Command::new("ldd").arg(own)).map_err(LabError::Unavailable)?;
    let library = |name: &str| {
        let line = listing.lines().find(|line| line.contains(name))?;
        let path = line.split_whitespace().find(|word| word.starts_with('/'))?;
        Some(PathBuf::from(path))
    };
    let libc = library("libc.so.6").ok_or_else(|| unavailable("no place"))?;
    let loader = library("ld-linux-x86-64.so.2").ok_or_else(|| unavailable("no loader"))?;
    let directory = libc.parent().ok_or_else(|| unavailable("no directory"))?;
    let parts = [
        "libc.so.6",
        "libm.so.6",
        "libdl.so.2",
        "libpthread.so.0",
        "librt.so.1",
        "libresolv.so.2",
        "libutil.so.1",
    ];
    let mut parts: Vec<_> = parts.map(|part| (directory.join(part), part)).into();
    parts.push((loader, "ld-linux-x86-64.so.2"));
    parts.retain(|(path, _)| path.exists());
    Ok(parts)
}

/// Whether the libc that `ldd --version` tells of is newer than the Debian package of that version.
fn is_newer(ldd: &str, package: &str) -> bool {
    let numbers = |text: &str| {
        let mut parts = text
            .split(|c: char| !c.is_ascii_digit())
            .map(str::parse::<u32>);
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    };
    let host = ldd.lines().next().and_then(|line| line.rsplit(' ').next());
    match (host.and_then(numbers), numbers(package)) {
        (Some(host), Some(guest)) => host > guest,
        _ => false,
    }
}

/// The archive of what changes from run to run.
fn overlay(init: &Path, extras: &[Extra]) -> Result<Vec<u8>, LabError> {
    let mut archive = Archive::new();
    archive.file("init", 0o755, &stripped(init)?);
    for extra in extras {
        let path = merged(extra.guest.trim_start_matches('/'));
        let contents = if extra.strip {
            stripped(&extra.host)?
        } else {
            fs::read(&extra.host).map_err(LabError::io(extra.host.display()))?
        };
        let metadata = fs::metadata(&extra.host).map_err(LabError::io(extra.host.display()))?;
        archive.file(&path, metadata.permissions().mode(), &contents);
    }
    Ok(archive.finish())
}

/// A program without its debug symbols, which are most of it; as it is where `strip` is missing.
pub(crate) fn stripped(program: &Path) -> Result<Vec<u8>, LabError> {
    let draft = NamedTempFile::new().map_err(LabError::io("can't make a file"))?;
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(draft.path()).arg(program);
    let from = match run(&mut strip) {
        Ok(_) => draft.path(),
        Err(_) => program,
    };
    fs::read(from).map_err(LabError::io(program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_directories_are_merged() {
        assert_eq!(merged("bin/ls"), "usr/bin/ls");
        assert_eq!(merged("lib64/ld.so"), "usr/lib64/ld.so");
        assert_eq!(merged("library/x"), "library/x");
        assert_eq!(merged("usr/bin/ls"), "usr/bin/ls");
    }

    #[test]
    fn only_a_newer_libc_is_taken_over() {
        let ldd = |version: &str| format!("ldd (Debian GLIBC {version}-1) {version}\nmore\n");
        assert!(is_newer(&ldd("2.41"), "2.36-9+deb12u14"));
        assert!(is_newer(&ldd("2.100"), "2.36-9"));
        assert!(!is_newer(&ldd("2.36"), "2.36-9+deb12u14"));
        assert!(!is_newer(&ldd("2.31"), "2.36-9"));
        assert!(!is_newer("musl libc", "2.36-9"));
    }
}
