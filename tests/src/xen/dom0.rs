//! dom0: Debian's kernel under Debian's hypervisor, with the lab's userland, Xen's tools and the libxl that
//! drives plugs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::domu::Domu;
use super::libxl::Libxl;
use crate::lab::cache::{Cache, key};
use crate::lab::image::{self, Extra, Image};
use crate::lab::packages::{Apt, Release, run};
use crate::lab::{LabError, kernel, modules};

/// Xen as Debian 12 has it. No closure: half of that is Python for tools that nobody uses here.
const PACKAGES: [&str; 17] = [
    "libnl-3-200",
    "libnl-cli-3-200",
    "libnl-genl-3-200",
    "libnl-nf-3-200",
    "libnl-route-3-200",
    "libnl-utils",
    "libxencall1",
    "libxendevicemodel1",
    "libxenevtchn1",
    "libxenforeignmemory1",
    "libxengnttab1",
    "libxenhypfs1",
    "libxenmisc4.17",
    "libxenstore4",
    "libxentoolcore1",
    "libxentoollog1",
    "libyajl2",
];
/// See [`PACKAGES`].
const TOOLS: [&str; 6] = [
    "mount",
    "net-tools",
    "xen-hypervisor-4.17-amd64",
    "xen-utils-4.17",
    "xen-utils-common",
    "xenstore-utils",
];
/// What dom0's kernel loads besides what every guest of the lab does.
const MODULES: [&str; 7] = [
    "xen_evtchn",
    "xen_gntdev",
    "xen_gntalloc",
    "xen_privcmd",
    "xenfs",
    "xen_netback",
    "virtio_net",
];
/// Where a domU's kernel is in dom0.
pub const DOMU_KERNEL: &str = "/lab/domu/vmlinuz";
/// Where its initramfs is.
pub const DOMU_INITRD: &str = "/lab/domu/initrd";
/// Xen's own script for network buffers, where libxl looks for it.
pub const STOCK_SCRIPT: &str = "/etc/xen/scripts/remus-netbuf-setup";
/// Debian's own libxl, to show what it lacks.
pub const DEBIANS_LIBXL: &str = "/lab/debian/libxenlight.so.4.17";
/// How libxl's file is called that programs load.
const LIBXL: &str = "libxenlight.so.4.17";

/// Makes the image.
///
/// # Errors
/// [`LabError::Unavailable`] when packages can't be had.
pub fn build(
    cache: &Cache,
    init: &Path,
    libxl: &Libxl,
    domu: &Domu,
    more: &[Extra],
) -> Result<Image, LabError> {
    // First what libcrc32c asks the kernel's crypto for by name, and nf_tables needs.
    let wanted = [&["crc32c_generic"], modules::WANTED.as_slice(), &MODULES].concat();
    let base = image::base(
        cache,
        |cache| kernel::fetch(cache, Release::Bookworm, "linux-image-amd64"),
        &wanted,
    )?;
    let packages = {
        let _lock = cache.lock()?;
        let apt = Apt::open(cache, Release::BookwormAlone)?;
        let packages = apt.newest(&[PACKAGES.as_slice(), &TOOLS].concat())?;
        apt.unpacked("xen", &packages)?
    };
    let mut extras = image::below(&packages)?;
    let debian = extras.iter().find(|extra| extra.guest.contains(LIBXL));
    let debian = debian.map(|extra| extra.host.clone());
    extras.retain(|extra| !extra.guest.contains(LIBXL) && !extra.guest.starts_with("/boot/"));
    let place = TempDir::new().map_err(LabError::io("can't make a directory"))?;
    let initrd = place.path().join("initrd");
    fs::write(&initrd, &domu.initrd).map_err(LabError::io("can't write the domU's initramfs"))?;
    let file = |host: &Path, guest: &str| Extra {
        host: host.to_owned(),
        guest: guest.to_owned(),
        strip: false,
    };
    extras.extend(debian.map(|library| file(&library, DEBIANS_LIBXL)));
    extras.extend([
        file(
            &libxl.library,
            &format!("/usr/lib/x86_64-linux-gnu/{LIBXL}"),
        ),
        file(&libxl.stock_script, STOCK_SCRIPT),
        file(&domu.kernel, DOMU_KERNEL),
        file(&initrd, DOMU_INITRD),
    ]);
    extras.extend_from_slice(more);
    let hypervisor = hypervisor(cache, &packages)?;
    image::assemble(base, Some(hypervisor), init, &extras)
}

/// The hypervisor as QEMU takes it: multiboot wants the ELF file itself.
fn hypervisor(cache: &Cache, packages: &Path) -> Result<PathBuf, LabError> {
    let boot = packages.join("boot");
    let listing = fs::read_dir(&boot).map_err(LabError::io(boot.display()))?;
    let packed = listing
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "gz"))
        .ok_or_else(|| LabError::Unavailable(String::from("no hypervisor in its package")))?;
    let name = format!("xen/hypervisor-{}", key(&[&packages.to_string_lossy()]));
    cache
        .filled(&name, |draft| {
            let copy = draft.join("xen.gz");
            fs::copy(&packed, &copy).map_err(LabError::io(packed.display()))?;
            run(Command::new("gzip").arg("-d").arg(copy)).map_err(LabError::Unavailable)?;
            Ok(())
        })
        .map(|directory| directory.join("xen"))
}
