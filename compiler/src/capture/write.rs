//! Writes captures in the classic pcap format with times in nanoseconds
//! (draft-ietf-opsawg-pcap, sections 4 and 5).

use super::{ETHERNET, Record};

/// Times in nanoseconds, in the byte order of the writer: little-endian here on every machine.
const MAGIC: u32 = 0xa1b2_3c4d;

/// No frame is longer; what readers allow for.
const SNAP_LEN: u32 = 262_144;

/// The frames as a pcap file, in the order given.
///
/// Times past the year 2106, which the format can't hold, become its last second.
#[must_use]
pub fn pcap<'a>(records: impl IntoIterator<Item = &'a Record>) -> Vec<u8> {
    let mut file = Vec::new();
    let word = |file: &mut Vec<u8>, word: u32| file.extend(word.to_le_bytes());
    word(&mut file, MAGIC);
    file.extend([2, 0, 4, 0]);
    for value in [0, 0, SNAP_LEN, ETHERNET.into()] {
        word(&mut file, value);
    }
    for record in records {
        let captured = u32::try_from(record.frame.len()).unwrap_or(u32::MAX);
        word(
            &mut file,
            u32::try_from(record.time.as_secs()).unwrap_or(u32::MAX),
        );
        word(&mut file, record.time.subsec_nanos());
        word(&mut file, captured);
        word(&mut file, record.original_len);
        file.extend(&record.frame);
    }
    file
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::capture::{Capture, Record};

    #[test]
    fn what_is_written_is_read_again() {
        let records: Vec<Record> = (1..=3_u8)
            .map(|n| Record {
                number: n.into(),
                time: Duration::new(1_700_000_000, 999_999_990 + u32::from(n)),
                frame: vec![n; 14 + usize::from(n)],
                original_len: 60,
            })
            .collect();
        let file = super::pcap(&records);
        let read: Result<Vec<Record>, _> = Capture::open(&file).unwrap().collect();
        assert_eq!(read.unwrap(), records);
    }
}
