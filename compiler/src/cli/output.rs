//! Writing files so that they appear whole or not at all, and all of them or none.
//!
//! Each file is written beside its place and moved there by a rename, which a reader sees as one
//! step. Nothing is moved before everything is written.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use crate::exit::Failure;

/// A file to be written.
#[derive(Debug)]
pub(crate) struct Artefact<'a> {
    /// Its place.
    pub(crate) path: PathBuf,
    /// Its content.
    pub(crate) content: &'a [u8],
    /// Whether it is a program.
    pub(crate) executable: bool,
}

/// Makes a directory and those above it, unless they are there.
pub(crate) fn make_directory(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(at(path))
}

/// Writes all of the files, or none.
pub(crate) fn write_all(artefacts: &[Artefact<'_>]) -> Result<(), Failure> {
    let mut staged = Vec::with_capacity(artefacts.len());
    for artefact in artefacts {
        let mode = if artefact.executable { 0o777 } else { 0o666 };
        staged.push((stage(artefact, mode).map_err(at(&artefact.path))?, artefact));
    }
    let mut done: Vec<(&Path, Option<Vec<u8>>)> = Vec::with_capacity(staged.len());
    for (file, artefact) in staged {
        let before = fs::read(&artefact.path).ok();
        if let Err(error) = file.persist(&artefact.path) {
            for (path, before) in done {
                undo(path, before);
            }
            return Err(at(&artefact.path)(error.error));
        }
        done.push((&artefact.path, before));
    }
    Ok(())
}

/// Puts `content` in the place of an existing file, which keeps its owner and permissions.
pub(crate) fn replace(path: &Path, content: &str) -> Result<(), Failure> {
    let replace = || -> io::Result<()> {
        // Through symbolic links: the file is replaced, not the link.
        let path = fs::canonicalize(path)?;
        // A file that its user may not write stays, even if its directory could be changed.
        let old = fs::OpenOptions::new().write(true).open(&path)?.metadata()?;
        let artefact = Artefact {
            path,
            content: content.as_bytes(),
            executable: false,
        };
        let file = stage(&artefact, 0o600)?;
        // Only the superuser may give files away; for others the owner is themselves already.
        let kept = chown(file.path(), Some(old.uid()), Some(old.gid()));
        let mode = if kept.is_ok() {
            old.mode() & 0o7777
        } else {
            old.mode() & 0o777
        };
        fs::set_permissions(file.path(), Permissions::from_mode(mode))?;
        file.persist(&artefact.path)
            .map(drop)
            .map_err(|error| error.error)
    };
    replace().map_err(at(path))
}

fn at(path: &Path) -> impl Fn(io::Error) -> Failure + '_ {
    |source| Failure::Write {
        name: path.display().to_string(),
        source,
    }
}

/// Writes the content to a new file in the directory of its place.
fn stage(artefact: &Artefact<'_>, mode: u32) -> io::Result<NamedTempFile> {
    if artefact.path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let directory = artefact
        .path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let mut file = Builder::new()
        .prefix(".epochgate-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(directory.unwrap_or_else(|| Path::new(".")))?;
    file.write_all(artefact.content)?;
    file.as_file().sync_all()?;
    Ok(file)
}

/// Brings back what was there. If even that fails, the first error is the one to report.
fn undo(path: &Path, before: Option<Vec<u8>>) {
    let _ = match before {
        Some(content) => fs::write(path, content),
        None => fs::remove_file(path),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artefact(path: PathBuf, content: &str) -> Artefact<'_> {
        Artefact {
            path,
            content: content.as_bytes(),
            executable: true,
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn files_appear_whole() {
        let place = tempfile::tempdir().unwrap();
        let files = ["a", "b"].map(|name| artefact(place.path().join(name), name));
        write_all(&files).unwrap();
        assert_eq!(names(place.path()), ["a", "b"]);
        assert_eq!(fs::read_to_string(place.path().join("b")).unwrap(), "b");
        assert_ne!(
            fs::metadata(place.path().join("a")).unwrap().mode() & 0o100,
            0
        );
    }

    #[test]
    fn all_or_none() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("b")).unwrap();
        let files = ["a", "b"].map(|name| artefact(place.path().join(name), name));
        assert!(write_all(&files).is_err(), "`b` is a directory");
        assert_eq!(names(place.path()), ["b"]);
        let files = ["a", "no/b"].map(|name| artefact(place.path().join(name), name));
        assert!(write_all(&files).is_err(), "`no` is not there");
        assert_eq!(names(place.path()), ["b"]);
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_its_link() {
        let place = tempfile::tempdir().unwrap();
        let (file, link) = (place.path().join("file"), place.path().join("link"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        assert!(replace(&place.path().join("none"), "x").is_err());
        assert_eq!(names(place.path()), ["file", "link"]);
    }
}
