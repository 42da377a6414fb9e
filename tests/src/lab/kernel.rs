//! Debian's kernel packages: from the name of a line to the image and the modules of its newest
//! build. Debian removes old builds from its mirrors, so none is pinned.

use std::fs;
use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::packages::{Apt, Release};
use super::{Kernel, LabError};

/// An unpacked kernel.
#[derive(Clone, Debug)]
pub struct Files {
    /// As `uname -r` prints it.
    pub release: String,
    /// The compressed image that QEMU loads.
    pub image: PathBuf,
    /// The directory with `kernel/` below.
    pub modules: PathBuf,
}

impl Kernel {
    fn source(self) -> (Release, &'static str) {
        match self {
            Self::V6_1 => (Release::Bookworm, "linux-image-cloud-amd64"),
            Self::V6_12 => (Release::Bookworm, "linux-image-6.12-cloud-amd64"),
            Self::V7 => (Release::TrixieBackports, "linux-image-cloud-amd64"),
        }
    }

    /// The release that its packages are of.
    pub(super) fn release(self) -> Release {
        self.source().0
    }

    /// Gets the newest build of this line.
    ///
    /// # Errors
    /// [`LabError::Unavailable`] when it can't be had.
    pub fn fetch(self, cache: &Cache) -> Result<Files, LabError> {
        let (release, meta) = self.source();
        fetch(cache, release, meta)
    }
}

/// Gets the kernel to which a metapackage leads.
///
/// # Errors
/// [`LabError::Unavailable`] when it can't be had.
pub fn fetch(cache: &Cache, release: Release, meta: &str) -> Result<Files, LabError> {
    let apt = Apt::open(cache, release)?;
    let packages = apt.newest_with_parts(meta, is_part)?;
    let directory = apt.unpacked("kernel", &packages)?;
    find(&directory)
}

/// The image itself; newer kernels come in several packages.
fn is_part(package: &str) -> bool {
    ["linux-image-", "linux-binary-", "linux-modules-"]
        .iter()
        .any(|part| package.starts_with(part))
}

/// Finds image and modules, which lie in `/lib` and `/boot` or all in `/usr/lib`.
fn find(directory: &Path) -> Result<Files, LabError> {
    let broken = |what: &str| {
        LabError::Unavailable(format!(
            "{what} in the kernel packages at {}",
            directory.display()
        ))
    };
    for modules in ["lib/modules", "usr/lib/modules"] {
        let Ok(mut listing) = fs::read_dir(directory.join(modules)) else {
            continue;
        };
        let Some(Ok(entry)) = listing.next() else {
            continue;
        };
        let release = entry.file_name().to_string_lossy().into_owned();
        let images = [
            entry.path().join("vmlinuz"),
            directory.join(format!("boot/vmlinuz-{release}")),
        ];
        let image = images.into_iter().find(|path| path.is_file());
        return Ok(Files {
            release,
            image: image.ok_or_else(|| broken("no image"))?,
            modules: entry.path(),
        });
    }
    Err(broken("no modules"))
}
