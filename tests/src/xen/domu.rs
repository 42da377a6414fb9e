//! The domU: a kernel and an initramfs with one program of ours, and nothing else to wait for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::lab::cache::Cache;
use crate::lab::cpio::Archive;
use crate::lab::image;
use crate::lab::kernel::Files;
use crate::lab::packages::{Apt, Release, run};
use crate::lab::{Kernel, LabError, modules};

/// Its interface, and what it gets.
pub const DEVICE: &str = "eth0";
/// Its addresses with their prefixes; those of [`super::traffic::GUEST`].
pub const ADDRESSES: [&str; 2] = ["10.9.0.2/24", "fd09::2/64"];
/// Where its modules lie, in the order of their names.
pub const MODULES: &str = "lab/modules";

/// What `xl create` needs.
#[derive(Debug)]
pub struct Domu {
    /// Its kernel.
    pub kernel: PathBuf,
    /// Its initramfs.
    pub initrd: Vec<u8>,
}

/// Packs the domU with `program` as its first process.
///
/// # Errors
/// [`LabError::Unavailable`] when packages can't be had.
pub fn build(cache: &Cache, program: &Path) -> Result<Domu, LabError> {
    let (files, busybox) = {
        let _lock = cache.lock()?;
        let files = Kernel::V6_1.fetch(cache)?;
        let apt = Apt::open(cache, Release::Bookworm)?;
        let packages = apt.newest(&["busybox-static"])?;
        (
            files,
            apt.unpacked("busybox", &packages)?.join("bin/busybox"),
        )
    };
    let mut archive = Archive::new();
    for directory in ["dev", "proc", "sys", "tmp"] {
        archive.directory(directory);
    }
    archive.file("init", 0o755, &image::stripped(program)?);
    let mut put = |to: &str, from: &Path| -> Result<(), LabError> {
        let contents = fs::read(from).map_err(LabError::io(from.display()))?;
        archive.file(to, 0o755, &contents);
        Ok(())
    };
    put("bin/busybox", &busybox)?;
    for library in libraries(program)? {
        put(library.to_string_lossy().trim_start_matches('/'), &library)?;
    }
    pack_modules(&mut archive, &files)?;
    Ok(Domu {
        kernel: files.image,
        initrd: archive.finish(),
    })
}

/// The libraries that a program of this machine is linked against, by their places here (ldd(1)).
fn libraries(program: &Path) -> Result<Vec<PathBuf>, LabError> {
    let listing = run(Command::new("ldd").arg(program)).map_err(LabError::Unavailable)?;
    let paths = listing
        .lines()
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

fn pack_modules(archive: &mut Archive, files: &Files) -> Result<(), LabError> {
    let wanted = ["xen_netfront", "af_packet", "ipv6"];
    let collected = modules::collect(&files.modules, &wanted)?;
    for (number, module) in collected.iter().enumerate() {
        let path = format!("{MODULES}/{number:03}-{}.ko", module.name);
        archive.file(&path, 0o644, &module.contents);
    }
    Ok(())
}
