//! Writes cpio archives in the `newc` form, the one that the kernel unpacks as initramfs
//! (Documentation/driver-api/early-userspace/buffer-format.rst). The kernel takes several archives
//! one behind the other, so a big part that never changes need not be written again.

use std::collections::BTreeSet;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
/// An archive ends with an entry of this name.
const TRAILER: &str = "TRAILER!!!";
/// Entries and their contents begin at multiples of this.
const ALIGNMENT: usize = 4;

/// An archive being written.
#[derive(Debug, Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    directories: BTreeSet<String>,
}

impl Archive {
    /// An empty archive.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory and those above it. `path` is relative to the root, as everywhere here.
    pub fn directory(&mut self, path: &str) {
        if path.is_empty() || self.directories.contains(path) {
            return;
        }
        self.directory(parent(path));
        self.directories.insert(path.to_owned());
        self.entry(path, DIRECTORY | 0o755, &[]);
    }

    /// Adds a file with these permission bits, and the directories above it.
    pub fn file(&mut self, path: &str, permissions: u32, contents: &[u8]) {
        self.directory(parent(path));
        self.entry(path, REGULAR | (permissions & 0o7777), contents);
    }

    /// Adds a symbolic link, and the directories above it.
    pub fn link(&mut self, path: &str, target: &str) {
        self.directory(parent(path));
        self.entry(path, LINK | 0o777, target.as_bytes());
    }

    /// The whole archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.entry(TRAILER, 0, &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, contents: &[u8]) {
        self.entries += 1;
        // A file of 4 GiB does not fit into a guest's memory long before it does not fit here.
        let size = u32::try_from(contents.len()).expect("a file below 4 GiB");
        let name_size = u32::try_from(path.len() + 1).expect("a name below 4 GiB");
        // ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            size,
            0,
            0,
            0,
            0,
            name_size,
            0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend(path.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(contents);
        self.align();
    }

    fn align(&mut self) {
        let length = self.bytes.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(length, 0);
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an archive back: (path, mode, contents).
    fn entries(mut bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            assert_eq!(&bytes[..6], b"070701");
            let field = |number: usize| {
                let at = 6 + 8 * number;
                let text = std::str::from_utf8(&bytes[at..at + 8]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = String::from_utf8(bytes[110..110 + name_size - 1].to_vec()).unwrap();
            let begin = (110 + name_size).next_multiple_of(ALIGNMENT);
            found.push((name, mode, bytes[begin..begin + size].to_vec()));
            bytes = &bytes[(begin + size).next_multiple_of(ALIGNMENT)..];
        }
        found
    }

    #[test]
    fn directories_come_once_and_first() {
        let mut archive = Archive::new();
        archive.file("usr/bin/a", 0o755, b"text");
        archive.file("usr/bin/b", 0o4644, b"");
        archive.link("bin", "usr/bin");
        let expected = [
            ("usr", 0o040_755, &b""[..]),
            ("usr/bin", 0o040_755, b""),
            ("usr/bin/a", 0o100_755, b"text"),
            ("usr/bin/b", 0o104_644, b""),
            ("bin", 0o120_777, b"usr/bin"),
            (TRAILER, 0, b""),
        ];
        let expected = expected.map(|(name, mode, text)| (name.to_owned(), mode, text.to_vec()));
        assert_eq!(entries(&archive.finish()), expected);
    }
}
