//! Reading what the user names: files, and standard input as `-`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use policy_lang::diagnostic::Diagnostic;
use policy_lang::source::SourceFile;
use policy_lang::syntax::MAX_POLICY_BYTES;

use crate::exit::Failure;

/// What the user calls standard input and standard output.
pub(crate) const STANDARD: &str = "-";

/// Whether `path` stands for standard input or output.
pub(crate) fn is_standard(path: &Path) -> bool {
    path.as_os_str() == STANDARD
}

/// What messages call `path`.
pub(crate) fn name(path: &Path) -> String {
    if is_standard(path) {
        String::from("<stdin>")
    } else {
        path.display().to_string()
    }
}

/// Reads all of a file, or of standard input.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    up_to(path, u64::MAX)
}

/// Reads a policy. A text that is not UTF-8 comes with the finding that says so.
pub(crate) fn policy(path: &Path) -> Result<(SourceFile, Option<Diagnostic>), Failure> {
    // One byte more than is allowed is enough for the parser to say that it is too much.
    let most = u64::try_from(MAX_POLICY_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    Ok(SourceFile::from_bytes(name(path), &up_to(path, most)?))
}

fn up_to(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    read(path, |source| {
        let mut bytes = Vec::new();
        source.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    })
}

/// Where bytes come from.
pub(crate) type Source = Box<dyn Read + Send>;

/// Reads a file, or standard input, as `work` wants it.
pub(crate) fn read<T>(
    path: &Path,
    work: impl FnOnce(Source) -> io::Result<T>,
) -> Result<T, Failure> {
    let open = || -> io::Result<Source> {
        Ok(if is_standard(path) {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path)?)
        })
    };
    open().and_then(work).map_err(|source| Failure::Read {
        name: name(path),
        source,
    })
}
