//! All Ethernet frames of a directory of capture files. The files are real and partly damaged on
//! purpose: what can't be read is noted, never a failure.

use std::fs;
use std::path::{Path, PathBuf};

use compiler::capture::{Capture, CaptureError};

/// What a directory of captures holds.
#[derive(Debug, Default)]
pub struct Captures {
    /// Each Ethernet frame with its name, `file#number`, counted from 1 as other tools do.
    pub frames: Vec<(String, Vec<u8>)>,
    /// What was left out and why, one line each, in the order of the files.
    pub left_out: Vec<String>,
}

/// Where the captures lie: in `shared/captures` beside a checkout of the project, or further up.
/// `None` in a plain clone, which has none.
#[must_use]
pub fn directory() -> Option<PathBuf> {
    let ancestors = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(2);
    ancestors
        .map(|above| above.join("shared/captures"))
        .find(|directory| directory.is_dir())
}

/// Reads every `.pcap` and `.pcapng` file of `directory`, in the order of their names.
///
/// # Errors
/// Only when the directory itself can't be listed.
pub fn ethernet_frames(directory: &Path) -> Result<Captures, String> {
    let listing = fs::read_dir(directory).map_err(|e| format!("no captures to read: {e}"))?;
    let mut paths: Vec<PathBuf> = listing.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    let mut captures = Captures::default();
    for path in paths {
        if matches!(
            path.extension().and_then(|e| e.to_str()),
            Some("pcap" | "pcapng")
        ) {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let bytes = fs::read(&path).map_err(|e| format!("can't read {file}: {e}"))?;
            if let Err(damage) = captures.add_file(&file, &bytes) {
                captures
                    .left_out
                    .push(format!("{file}: from here on: {damage}"));
            }
        }
    }
    Ok(captures)
}

impl Captures {
    /// Keeps what stands before the first damage.
    fn add_file(&mut self, file: &str, bytes: &[u8]) -> Result<(), CaptureError> {
        let mut capture = Capture::open(bytes)?;
        for record in capture.by_ref() {
            let record = record?;
            self.frames
                .push((format!("{file}#{}", record.number), record.frame));
        }
        for (link_type, packets) in capture.left_out() {
            self.left_out.push(format!(
                "{file}: {packets} packets of link type {link_type}"
            ));
        }
        Ok(())
    }
}
