//! Reads all Ethernet frames of a directory of capture files (pcap and pcapng).
//! The files are real and partly damaged on purpose: what can't be read is noted, never a failure.
//! Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pcap_file::DataLink;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::{Block, PcapNgReader};

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
    let mut paths: Vec<PathBuf> = listing.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.sort();
    let mut captures = Captures::default();
    for path in paths {
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if matches!(
            path.extension().and_then(|e| e.to_str()),
            Some("pcap" | "pcapng")
        ) {
            captures.add_file(&path, &file);
        }
    }
    Ok(captures)
}

impl Captures {
    fn add_file(&mut self, path: &Path, file: &str) {
        let packets = match fs::read(path) {
            Ok(bytes) => read_packets(&bytes),
            Err(error) => Packets {
                damage: Some(error.to_string()),
                ..Packets::default()
            },
        };
        let mut others: BTreeMap<String, usize> = BTreeMap::new();
        for (number, (link, frame)) in (1..).zip(packets.read) {
            if link == DataLink::ETHERNET {
                self.frames.push((format!("{file}#{number}"), frame));
            } else {
                *others.entry(format!("{link:?}")).or_default() += 1;
            }
        }
        for (link, count) in others {
            self.left_out
                .push(format!("{file}: {count} packets of link type {link}"));
        }
        if let Some(damage) = packets.damage {
            self.left_out
                .push(format!("{file}: the rest of the file: {damage}"));
        }
    }
}

#[derive(Default)]
struct Packets {
    read: Vec<(DataLink, Vec<u8>)>,
    damage: Option<String>,
}

/// The section header block's type: what a pcapng file begins with.
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Keeps what stands before the first damage.
fn read_packets(bytes: &[u8]) -> Packets {
    let mut packets = Packets::default();
    let outcome = if bytes.starts_with(&PCAPNG_MAGIC) {
        read_pcapng(bytes, &mut packets.read)
    } else {
        read_pcap(bytes, &mut packets.read)
    };
    packets.damage = outcome.err().map(|e| e.to_string());
    packets
}

type Outcome = Result<(), pcap_file::PcapError>;

fn read_pcap(bytes: &[u8], into: &mut Vec<(DataLink, Vec<u8>)>) -> Outcome {
    let mut reader = PcapReader::new(bytes)?;
    let link = reader.header().datalink;
    // The raw form: an odd time stamp or snap length says nothing against the frame's bytes.
    while let Some(packet) = reader.next_raw_packet() {
        into.push((link, packet?.data.into_owned()));
    }
    Ok(())
}

fn read_pcapng(bytes: &[u8], into: &mut Vec<(DataLink, Vec<u8>)>) -> Outcome {
    let mut reader = PcapNgReader::new(bytes)?;
    while let Some(block) = reader.next_block() {
        let (interface, data) = match block? {
            Block::EnhancedPacket(packet) => (packet.interface_id, packet.data.into_owned()),
            Block::SimplePacket(packet) => (0, packet.data.into_owned()),
            _ => continue,
        };
        let described = reader.interfaces().get(interface as usize);
        let link = described.map_or(DataLink::Unknown(u32::MAX), |i| i.linktype);
        into.push((link, data));
    }
    Ok(())
}
