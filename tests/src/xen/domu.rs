//! The domU: a kernel and an initramfs with one program of ours, and SIPp for a service that answers calls.

use std::fs;
use std::path::{Path, PathBuf};

use crate::lab::cache::Cache;
use crate::lab::cpio::Archive;
use crate::lab::image::{self, MERGED};
use crate::lab::kernel::Files;
use crate::lab::packages::{Apt, Release};
use crate::lab::{Kernel, LabError, modules};

/// Its interface, and what it gets.
pub const DEVICE: &str = "eth0";
/// Its addresses with their prefixes; those of [`super::traffic::GUEST`].
pub const ADDRESSES: [&str; 2] = ["10.9.0.2/24", "fd09::2/64"];
/// Where its modules lie, in the order of their names.
pub const MODULES: &str = "lab/modules";

/// The service, what a terminal library wants to know, and a tool. The C library is this machine's, which our program
/// needs; it has to be as new as Debian 12's.
const SERVICE: [&str; 3] = ["ethtool", "ncurses-base", "sip-tester"];

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
    let (files, busybox, service) = {
        let _lock = cache.lock()?;
        let files = Kernel::V6_1.fetch(cache)?;
        let apt = Apt::open(cache, Release::Bookworm)?;
        let busybox = apt.newest(&["busybox-static"])?;
        let mut service = apt.closure(&SERVICE)?;
        service.retain(|package| package.name() != "libc6");
        (
            files,
            apt.unpacked("busybox", &busybox)?.join("bin/busybox"),
            image::below(&apt.unpacked("domu", &service)?)?,
        )
    };
    let mut archive = Archive::new();
    for top in MERGED {
        archive.link(top, &format!("usr/{top}"));
    }
    for directory in ["dev", "proc", "sys", "tmp"] {
        archive.directory(directory);
    }
    archive.file("init", 0o755, &image::stripped(program)?);
    let mut put = |to: &str, from: &Path| -> Result<(), LabError> {
        let contents = fs::read(from).map_err(LabError::io(from.display()))?;
        archive.file(to, 0o755, &contents);
        Ok(())
    };
    put("usr/bin/busybox", &busybox)?;
    for file in service.iter().filter(|file| is_needed(&file.guest)) {
        put(file.guest.trim_start_matches('/'), &file.host)?;
    }
    for (library, name) in image::host_libc()? {
        put(&format!("usr/lib/x86_64-linux-gnu/{name}"), &library)?;
    }
    archive.directory("usr/lib64");
    archive.link(
        "usr/lib64/ld-linux-x86-64.so.2",
        "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    );
    pack_modules(&mut archive, &files)?;
    Ok(Domu {
        kernel: files.image,
        initrd: archive.finish(),
    })
}

/// Programs, libraries and what the terminal is like.
fn is_needed(path: &str) -> bool {
    const NEEDED: [&str; 3] = [
        "/usr/bin/sipp",
        "/usr/lib/terminfo/l/linux",
        "/usr/sbin/ethtool",
    ];
    NEEDED.contains(&path) || path.contains(".so.")
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
