//! The build system of a kernel with CONFIG_RUST, together with the kernel's own crates.
//!
//! No Debian package ships the kernel's `rust/` directory compiled. It is made anew from the source of the
//! same version, with the same configuration and the compiler that the kernel was built by: then the
//! names of what its crates export are those that the kernel as shipped has
//! (Documentation/rust/general-information.rst, docs/kernel-module.md). It takes minutes, so the tree is
//! kept in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use super::cache::{Cache, key};
use super::kbuild::{Kbuild, NAMES, PACKAGES, is_here};
use super::packages::{Apt, Package, Release, run};
use super::root::{Root, TREE, unpack};
use super::{Kernel, LabError};

/// What is needed besides [`PACKAGES`] to configure a kernel and to make its crates.
const MORE: [&str; 15] = [
    "bc",
    "bindgen",
    "bison",
    "flex",
    "libc6-dev",
    "libclang-19-dev",
    "libdw-dev",
    "libelf-dev",
    "libssl-dev",
    "openssl",
    "pahole",
    "python3",
    "rust-src",
    "rustc",
    "m4",
];

impl Kernel {
    /// As [`Kernel::kbuild`], with the kernel's own crates. Says on stderr how long each part took.
    ///
    /// # Errors
    /// [`LabError::Unavailable`] when it can't be had, or when this kernel knows no Rust.
    pub fn kbuild_with_rust(self, cache: &Cache, release: &str) -> Result<Kbuild, LabError> {
        if self != Self::V7 {
            return Err(LabError::Unavailable(format!(
                "{self} is built without Rust (CONFIG_RUST)"
            )));
        }
        is_here("unshare", "Debian package util-linux")?;
        is_here("tar", "Debian package tar")?;
        is_here("xz", "Debian package xz-utils")?;
        let headers = format!("linux-headers-{release}");
        let source = source_package(release)?;
        let begin = Instant::now();
        let (root, packages) = {
            let _lock = cache.lock()?;
            let apt = Apt::open(cache, Release::Trixie)?;
            let mut names = [PACKAGES.as_slice(), MORE.as_slice()].concat();
            names.extend([headers.as_str(), source.as_str()]);
            let packages = apt.closure(&names)?;
            same_version(&packages, &headers, &source)?;
            (apt.unpacked("rust-root", &packages)?, packages)
        };
        took(&format!("{} packages", packages.len()), begin);

        let mut root = Root {
            path: root,
            tree: None,
        };
        root.works()?;
        let _lock = cache.lock_for("lock-rust")?;
        let files: Vec<String> = packages
            .iter()
            .map(|package| format!("{}={}", package.name(), package.version()))
            .collect();
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let name = format!("unpacked/rust-tree-{}", key(&files));
        let tree = cache.filled(&name, |draft| {
            let from = root.path.join("usr/src");
            let begin = Instant::now();
            unpack(&from.join(format!("{source}.tar.xz")), draft, "linux")?;
            took("the kernel's source unpacked", begin);
            let root = Root {
                tree: Some(draft.to_owned()),
                ..root.clone()
            };
            prepare(&root, &from.join(&headers), draft, &words(release))
        })?;
        root.tree = Some(tree);
        Ok(Kbuild::Root {
            root,
            headers: format!("{TREE}/linux"),
            words: words(release),
        })
    }
}

/// Says how long something took.
pub(crate) fn took(what: &str, begin: Instant) {
    eprintln!("lab: {what}: {:.1} s", begin.elapsed().as_secs_f64());
}

/// The package with the source of the kernel of this release: `linux-source-7.3` for `7.3.4+deb13-...`.
fn source_package(release: &str) -> Result<String, LabError> {
    let mut numbers = release.split('.');
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => Ok(format!("linux-source-{major}.{minor}")),
        _ => Err(LabError::Unavailable(format!(
            "the release `{release}` names no version of the source"
        ))),
    }
}

/// Another version's crates have other names for all they export.
fn same_version(packages: &[Package], headers: &str, source: &str) -> Result<(), LabError> {
    let version = |name: &str| {
        let found = packages.iter().find(|package| package.name() == name);
        found.map(Package::version).unwrap_or_default()
    };
    let (headers_at, source_at) = (version(headers), version(source));
    match headers_at == source_at {
        true => Ok(()),
        false => Err(LabError::Unavailable(format!(
            "{headers} is of version {headers_at}, and {source} of {source_at}"
        ))),
    }
}

/// What each `make` is told.
fn words(release: &str) -> Vec<String> {
    let mut words: Vec<String> = NAMES.map(str::to_owned).into();
    words.push(NAMES[0].replace("CC=", "HOSTCC="));
    words.push(format!("KERNELRELEASE={release}"));
    words
}

/// `make modules_prepare`, with the configuration of the kernel as shipped.
fn prepare(root: &Root, headers: &Path, tree: &Path, words: &[String]) -> Result<(), LabError> {
    let begin = Instant::now();
    let linux = tree.join("linux");
    for name in [".config", "Module.symvers"] {
        fs::copy(headers.join(name), linux.join(name)).map_err(LabError::io(name))?;
    }
    let configuration = || -> Result<Vec<u8>, LabError> {
        fs::read(linux.join(".config")).map_err(LabError::io(".config"))
    };
    let shipped = configuration()?;
    make(root, words, &["olddefconfig"])?;
    if configuration()? != shipped {
        return Err(LabError::Unavailable(String::from(
            "the tools of Debian 13 make another configuration than the kernel has: it was built by others",
        )));
    }
    let threads = thread::available_parallelism().map_or(1, usize::from);
    make(root, words, &[&format!("-j{threads}"), "modules_prepare"])?;
    took("the kernel's own crates", begin);
    Ok(())
}

fn make(root: &Root, words: &[String], targets: &[&str]) -> Result<(), LabError> {
    let linux = format!("{TREE}/linux");
    let mut all = vec!["make", "-C", &linux];
    all.extend(words.iter().map(String::as_str));
    all.extend(targets);
    let nowhere: PathBuf = std::env::temp_dir();
    run(root.inside(&nowhere, &all).env_remove("MAKEFLAGS"))
        .map(drop)
        .map_err(LabError::Guest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_of_the_same_version() {
        let source = source_package("7.3.4+deb13-cloud-amd64").unwrap();
        assert_eq!(source, "linux-source-7.3");
        assert!(source_package("7").is_err());
        assert!(words("7.3.4").contains(&String::from("HOSTCC=x86_64-linux-gnu-gcc-14")));
    }
}
