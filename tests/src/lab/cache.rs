//! Where the lab keeps what it has downloaded and built: outside the project, in the user's cache
//! directory (XDG Base Directory Specification). What is half done never counts: everything is made
//! under another name and renamed when it is whole.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use tempfile::{Builder, NamedTempFile};

use super::LabError;

/// What was not used for so long is removed.
const UNUSED: Duration = Duration::from_hours(14 * 24);

/// The cache directory of the lab.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// Opens the cache: EPOCHGATE_LAB_CACHE, or `epochgate/lab` in the user's cache directory.
    ///
    /// # Errors
    /// When there is no such place or it can't be made.
    pub fn open() -> Result<Self, LabError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let directory = variable("EPOCHGATE_LAB_CACHE")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(variable("XDG_CACHE_HOME")?).join("epochgate/lab")))
            .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".cache/epochgate/lab")))
            .ok_or_else(|| {
                LabError::Unavailable(String::from(
                    "no place to keep packages: neither EPOCHGATE_LAB_CACHE, XDG_CACHE_HOME nor HOME is set",
                ))
            })?;
        let cache = Self {
            directory: std::path::absolute(&directory).unwrap_or(directory),
        };
        cache.subdirectory("")?;
        Ok(cache)
    }

    /// A directory in the cache, made if missing.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn subdirectory(&self, name: &str) -> Result<PathBuf, LabError> {
        let path = self.directory.join(name);
        fs::create_dir_all(&path)
            .map_err(LabError::io(format_args!("can't make {}", path.display())))?;
        Ok(path)
    }

    /// Keeps all others out until the answer is dropped: two runs must not download the same.
    ///
    /// # Errors
    /// When the lock can't be had.
    pub fn lock(&self) -> Result<File, LabError> {
        self.lock_for("lock")
    }

    /// As [`Cache::lock`], for one thing that takes long to make, so that others need not wait for it.
    ///
    /// # Errors
    /// When the lock can't be had.
    pub fn lock_for(&self, name: &str) -> Result<File, LabError> {
        let path = self.directory.join(name);
        let lock = File::create(&path).map_err(LabError::io("can't make the lock of the cache"))?;
        lock.lock().map_err(LabError::io("can't lock the cache"))?;
        Ok(lock)
    }

    /// The file `name`, made by `make` if it is not there.
    ///
    /// # Errors
    /// Those of `make`, or when it can't be written.
    pub fn file(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<Vec<u8>, LabError>,
    ) -> Result<PathBuf, LabError> {
        let path = self.directory.join(name);
        if !path.is_file() {
            write_whole(&path, &make()?)?;
        }
        mark_used(&path);
        Ok(path)
    }

    /// The directory `name`, filled by `fill` if it is not there.
    ///
    /// # Errors
    /// Those of `fill`, or when it can't be made.
    pub fn filled(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<(), LabError>,
    ) -> Result<PathBuf, LabError> {
        let path = self.directory.join(name);
        if !path.is_dir() {
            let parent = path.parent().unwrap_or(&self.directory);
            fs::create_dir_all(parent)
                .map_err(LabError::io("can't make a directory in the cache"))?;
            let draft = Builder::new()
                .prefix(".draft-")
                .tempdir_in(parent)
                .map_err(LabError::io("can't make a directory in the cache"))?;
            fill(draft.path())?;
            fs::rename(draft.keep(), &path).map_err(LabError::io("can't rename in the cache"))?;
        }
        mark_used(&path);
        Ok(path)
    }

    /// Removes what was not used for two weeks from these directories. A failure costs only room.
    pub fn prune(&self, directories: &[&str]) {
        for directory in directories {
            let Ok(listing) = fs::read_dir(self.directory.join(directory)) else {
                continue;
            };
            for entry in listing.flatten().filter(|entry| is_unused(&entry.path())) {
                let _ = match entry.path() {
                    path if path.is_dir() => fs::remove_dir_all(path),
                    path => fs::remove_file(path),
                };
            }
        }
    }
}

/// Writes a file that is there whole or not at all.
///
/// # Errors
/// When it can't be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), LabError> {
    let what = || format!("can't write {}", path.display());
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(LabError::io(what()))?;
    let mut file = NamedTempFile::new_in(parent).map_err(LabError::io(what()))?;
    file.write_all(bytes).map_err(LabError::io(what()))?;
    file.persist(path)
        .map_err(|e| LabError::io(what())(e.error))?;
    Ok(())
}

/// A short name for a list of inputs: the same inputs, the same name.
#[must_use]
pub fn key(inputs: &[&str]) -> String {
    let mut hash = Sha256::new();
    for input in inputs {
        hash.update(input.as_bytes());
        hash.update([0]);
    }
    let hash = hash.finalize();
    hash.iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// How long ago the file was made or marked as used.
pub(super) fn age(path: &Path) -> Option<Duration> {
    let changed = fs::metadata(path).ok()?.modified().ok()?;
    // A file from the future, after the clock was put back, is not old.
    Some(
        SystemTime::now()
            .duration_since(changed)
            .unwrap_or_default(),
    )
}

fn is_unused(path: &Path) -> bool {
    age(path).is_some_and(|age| age > UNUSED)
}

/// A failure is harmless: the entry is then made again some day.
fn mark_used(path: &Path) {
    if let Ok(file) = File::open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(directory: &Path) -> Cache {
        Cache {
            directory: directory.to_owned(),
        }
    }

    #[test]
    fn what_failed_half_way_is_not_there() {
        let place = tempfile::tempdir().unwrap();
        let cache = cache(place.path());
        let failed = cache.filled("unpacked/a", |draft| {
            fs::write(draft.join("half"), "x").unwrap();
            Err(LabError::Unavailable(String::from("no room")))
        });
        assert!(failed.is_err());
        assert_eq!(
            fs::read_dir(place.path().join("unpacked")).unwrap().count(),
            0
        );
        let made = cache.filled("unpacked/a", |draft| {
            fs::write(draft.join("whole"), "x").map_err(LabError::io("x"))
        });
        assert!(made.unwrap().join("whole").is_file());
        let again = cache.filled("unpacked/a", |_| panic!("made twice"));
        assert!(again.is_ok());
    }

    #[test]
    fn old_entries_go_and_used_ones_stay() {
        let place = tempfile::tempdir().unwrap();
        let cache = cache(place.path());
        for name in ["images/old", "images/new"] {
            cache.file(name, || Ok(vec![1])).unwrap();
        }
        let old = File::open(place.path().join("images/old")).unwrap();
        old.set_modified(SystemTime::now() - 2 * UNUSED).unwrap();
        cache.prune(&["images", "no-such-directory"]);
        assert!(!place.path().join("images/old").exists());
        assert!(place.path().join("images/new").exists());
    }

    #[test]
    fn keys_tell_lists_apart() {
        assert_ne!(key(&["a", "b"]), key(&["ab"]));
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
    }
}
