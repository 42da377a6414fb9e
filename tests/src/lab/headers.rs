//! What a module is built against: Debian's header packages for a kernel of the lab, and the tools of
//! its build system.

use std::fs;
use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::packages::Apt;
use super::{Kernel, LabError};

impl Kernel {
    /// Gets the headers for the kernel of this release (`uname -r`) and says where `make -C` finds
    /// them.
    ///
    /// # Errors
    /// [`LabError::Unavailable`] when they can't be had.
    pub fn headers(self, cache: &Cache, release: &str) -> Result<PathBuf, LabError> {
        let _lock = cache.lock()?;
        let apt = Apt::open(cache, self.release())?;
        let name = format!("linux-headers-{release}");
        let packages = apt.newest_with_parts(&name, is_part)?;
        let root = apt.unpacked("headers", &packages)?;
        relocate(&root, release)
    }
}

fn is_part(package: &str) -> bool {
    package.starts_with("linux-headers-") || package.starts_with("linux-kbuild-")
}

/// The one absolute path in the packages is that of the common part.
fn relocate(root: &Path, release: &str) -> Result<PathBuf, LabError> {
    let headers = root.join(format!("usr/src/linux-headers-{release}"));
    let makefile = headers.join("Makefile");
    let failed = || format!("can't use {}", makefile.display());
    let text = fs::read_to_string(&makefile).map_err(LabError::io(failed()))?;
    let here = format!("include {}/", root.join("usr/src").display());
    let moved = text.replace("include /usr/src/", &here);
    if moved != text {
        super::cache::write_whole(&makefile, moved.as_bytes())?;
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_part_is_found_where_it_was_unpacked() {
        let place = tempfile::tempdir().unwrap();
        let headers = place.path().join("usr/src/linux-headers-6.1.0-1-amd64");
        fs::create_dir_all(&headers).unwrap();
        let makefile = headers.join("Makefile");
        fs::write(
            &makefile,
            "include /usr/src/linux-headers-6.1.0-1-common/Makefile\n",
        )
        .unwrap();
        for _ in 0..2 {
            assert_eq!(relocate(place.path(), "6.1.0-1-amd64").unwrap(), headers);
            let text = fs::read_to_string(&makefile).unwrap();
            let expected = place
                .path()
                .join("usr/src/linux-headers-6.1.0-1-common/Makefile");
            assert_eq!(text, format!("include {}\n", expected.display()));
        }
    }
}
