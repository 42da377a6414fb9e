//! Reading what the user names: files, and standard input as `-`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use policy_lang::diagnostic::Diagnostic;
use policy_lang::source::SourceFile;
use policy_lang::syntax::MAX_POLICY_BYTES;

use super::Console;
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
    open(path)
        .and_then(|(source, _)| work(source))
        .map_err(|source| unread(path, source))
}

/// The same for what may be long: the console shows how much of it has been read.
pub(crate) fn read_long<T: Send>(
    path: &Path,
    console: &mut Console,
    work: impl FnOnce(Source) -> io::Result<T> + Send,
) -> Result<T, Failure> {
    let (source, length) = open(path).map_err(|source| unread(path, source))?;
    let kibibytes = Arc::new(AtomicU64::new(0));
    let source = Counted {
        source,
        rest: 0,
        kibibytes: Arc::clone(&kibibytes),
    };
    let all = length.map(|length| length.div_ceil(KIBIBYTE));
    console
        .counting("KiB read", (&kibibytes, all), || work(Box::new(source)))
        .map_err(|source| unread(path, source))
}

/// Opens what is named; how long it is, if that is known.
fn open(path: &Path) -> io::Result<(Source, Option<u64>)> {
    if is_standard(path) {
        return Ok((Box::new(io::stdin()), None));
    }
    let file = File::open(path)?;
    let about = file.metadata()?;
    Ok((Box::new(file), about.is_file().then_some(about.len())))
}

fn unread(path: &Path, source: io::Error) -> Failure {
    Failure::Read {
        name: name(path),
        source,
    }
}

const KIBIBYTE: u64 = 1024;

/// Counts what is read.
struct Counted {
    source: Source,
    /// Bytes that are no whole kibibyte yet.
    rest: u64,
    kibibytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.rest += u64::try_from(count).unwrap_or(u64::MAX);
        self.kibibytes
            .fetch_add(self.rest / KIBIBYTE, Ordering::Relaxed);
        self.rest %= KIBIBYTE;
        Ok(count)
    }
}
