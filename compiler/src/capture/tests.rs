//! Captures written by another hand are read back as they were written; broken ones never panic.

use std::borrow::Cow;
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapWriter, RawPcapPacket};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::simple_packet::SimplePacketBlock;
use pcap_file::{DataLink, Endianness, TsResolution};
use proptest::prelude::*;

use super::*;

/// What a test writes: seconds, fraction of the unit, bytes, and bytes lost to the snap length.
type Written = (u32, u32, Vec<u8>, u32);

fn written() -> impl Strategy<Value = Vec<Written>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..80);
    prop::collection::vec((any::<u32>(), 0..1_000_000_u32, bytes, 0..3_u32), 0..8)
}

fn pcap(packets: &[Written], endianness: Endianness, ts_resolution: TsResolution) -> Vec<u8> {
    let header = PcapHeader {
        endianness,
        ts_resolution,
        ..PcapHeader::default()
    };
    let mut writer = PcapWriter::with_header(Vec::new(), header).unwrap();
    for (ts_sec, ts_frac, data, lost) in packets {
        let len = u32::try_from(data.len()).unwrap();
        let packet = RawPcapPacket {
            ts_sec: *ts_sec,
            ts_frac: *ts_frac,
            incl_len: len,
            orig_len: len + lost,
            data: Cow::Borrowed(data),
        };
        writer.write_raw_packet(&packet).unwrap();
    }
    writer.into_writer()
}

/// Interface 0 is not Ethernet; interface 1 is, and counts nanoseconds.
fn pcapng(packets: &[Written], endianness: Endianness, interface_id: u32) -> Vec<u8> {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), endianness).unwrap();
    for linktype in [DataLink::LINUX_SLL, DataLink::ETHERNET] {
        let options = vec![
            InterfaceDescriptionOption::IfName("vif1.0".into()),
            InterfaceDescriptionOption::IfTsResol(9),
        ];
        let interface = InterfaceDescriptionBlock {
            linktype,
            snaplen: 0,
            options,
        };
        writer.write_pcapng_block(interface).unwrap();
    }
    for (seconds, fraction, data, lost) in packets {
        let packet = EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::new(u64::from(*seconds), *fraction),
            original_len: u32::try_from(data.len()).unwrap() + lost,
            data: Cow::Borrowed(data),
            options: vec![],
        };
        writer.write_pcapng_block(packet).unwrap();
    }
    writer.into_inner()
}

fn expected(packets: &[Written], nanoseconds_per_unit: u32) -> Vec<Record> {
    let record = |(number, (seconds, fraction, data, lost)): (u64, &Written)| Record {
        number,
        time: Duration::new(u64::from(*seconds), fraction * nanoseconds_per_unit),
        frame: data.clone(),
        original_len: u32::try_from(data.len()).unwrap() + lost,
    };
    (1..).zip(packets).map(record).collect()
}

fn read(file: &[u8]) -> Result<Vec<Record>, CaptureError> {
    Capture::open(file)?.collect()
}

/// All that can be read before the first error.
fn read_on(file: &[u8]) -> Vec<Record> {
    Capture::open(file)
        .into_iter()
        .flatten()
        .map_while(Result::ok)
        .collect()
}

fn endianness() -> impl Strategy<Value = Endianness> {
    prop_oneof![Just(Endianness::Big), Just(Endianness::Little)]
}

/// Gives so many bytes at once, at most.
struct Slowly(io::Cursor<Vec<u8>>, usize);

impl io::Read for Slowly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.1.min(buffer.len());
        self.0.read(&mut buffer[..most])
    }
}

proptest! {
    #[test]
    fn pcap_is_read_as_written(packets in written(), order in endianness(), nano in any::<bool>()) {
        let (resolution, unit) =
            if nano { (TsResolution::NanoSecond, 1) } else { (TsResolution::MicroSecond, 1000) };
        prop_assert_eq!(read(&pcap(&packets, order, resolution)), Ok(expected(&packets, unit)));
    }

    #[test]
    fn pcapng_is_read_as_written(packets in written(), order in endianness()) {
        prop_assert_eq!(read(&pcapng(&packets, order, 1)), Ok(expected(&packets, 1)));
    }

    #[test]
    fn a_capture_cut_anywhere_yields_what_came_before(packets in written(), ng in any::<bool>(), cut in any::<prop::sample::Index>()) {
        let file = if ng {
            pcapng(&packets, Endianness::Little, 1)
        } else {
            pcap(&packets, Endianness::Little, TsResolution::NanoSecond)
        };
        let kept = cut.index(file.len() + 1);
        let records = read_on(&file[..kept]);
        prop_assert!(expected(&packets, 1).starts_with(&records));
        prop_assert!(kept < file.len() || records.len() == packets.len());
    }

    /// Frames, the error at the end, and what was left out are the same however the file comes.
    #[test]
    fn a_stream_finds_what_is_in_the_bytes(
        packets in written(),
        ng in any::<bool>(),
        interface in 0..2_u32,
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 0..3),
        piece in 1..200_usize,
        at_once in 1..100_usize,
    ) {
        let mut file = if ng {
            pcapng(&packets, Endianness::Big, interface)
        } else {
            pcap(&packets, Endianness::Little, TsResolution::NanoSecond)
        };
        file.truncate(cut.index(file.len() * 3).min(file.len()));
        for (at, bit) in flips {
            if !file.is_empty() {
                let at = at.index(file.len());
                file[at] ^= 1 << bit;
            }
        }
        let source = Slowly(io::Cursor::new(file.clone()), at_once);
        let mut stream = Stream::sized(source, piece);
        let mut found = Vec::new();
        let (mut piece, mut pieces) = (Piece::default(), 0);
        while stream.next_piece(&mut piece) {
            prop_assert_eq!(piece.number(), pieces);
            pieces += 1;
            found.extend(piece.frames().map(|frame| frame.to_record()));
        }
        prop_assert!(!stream.next_piece(&mut piece), "nothing behind the end");
        prop_assert_eq!(piece.frames().len(), 0);
        let left_out = stream.left_out().clone();
        let error = match stream.finish() {
            Ok(()) => None,
            Err(StreamError::Capture(error)) => Some(error),
            Err(StreamError::Read(error)) => panic!("{error}"),
        };
        match Capture::open(&file) {
            Err(expected) => prop_assert_eq!((found.len(), error), (0, Some(expected))),
            Ok(mut capture) => {
                let mut records = Vec::new();
                let mut expected = None;
                for record in capture.by_ref() {
                    match record {
                        Ok(record) => records.push(record),
                        Err(error) => expected = Some(error),
                    }
                }
                prop_assert_eq!((&found, error), (&records, expected));
                prop_assert_eq!(&left_out, capture.left_out());
            }
        }
    }

    /// However many look at it, each frame is seen once, and by each of them in file order.
    #[test]
    fn a_crew_sees_what_is_in_the_bytes(
        packets in written(),
        cut in any::<prop::sample::Index>(),
        piece in 1..200_usize,
        workers in 1..5_usize,
    ) {
        let mut file = pcap(&packets, Endianness::Little, TsResolution::NanoSecond);
        file.truncate(cut.index(file.len() * 3).min(file.len()));
        let stream = Stream::sized(io::Cursor::new(file.clone()), piece);
        let mut seen = vec![Vec::new(); workers];
        let end = crew::look_through(stream, &mut seen, |seen, piece| {
            seen.extend(piece.frames().map(|frame| frame.to_record()));
            ControlFlow::Continue(())
        });
        prop_assert!(seen.iter().all(|of_one| of_one.is_sorted_by_key(|record| record.number)));
        let mut found = seen.concat();
        found.sort_by_key(|record| record.number);
        prop_assert_eq!(found, read_on(&file));
        prop_assert_eq!(end.unwrap().error, read(&file).err());
    }

    #[test]
    fn flipped_bits_never_panic(packets in written(), ng in any::<bool>(), flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 1..6)) {
        let mut file = if ng {
            pcapng(&packets, Endianness::Big, 1)
        } else {
            pcap(&packets, Endianness::Big, TsResolution::MicroSecond)
        };
        for (at, bit) in flips {
            let at = at.index(file.len());
            file[at] ^= 1 << bit;
        }
        let bytes: usize = read_on(&file).iter().map(|record| record.frame.len()).sum();
        prop_assert!(bytes <= file.len());
    }

    #[test]
    fn garbage_never_panics(mut file in prop::collection::vec(any::<u8>(), 0..200), magic in prop::sample::select(vec![0xa1b2_c3d4_u32, 0x0a0d_0d0a, 0])) {
        let len = file.len().min(4);
        file[..len].copy_from_slice(&magic.to_be_bytes()[..len]);
        read_on(&file);
    }
}

#[test]
fn packets_of_other_interfaces_are_counted_and_left_out() {
    let packet = (1, 2, vec![0; 60], 0);
    let file = pcapng(&[packet.clone(), packet], Endianness::Little, 0);
    let mut capture = Capture::open(&file).unwrap();
    assert_eq!(capture.next(), None);
    assert_eq!(capture.left_out(), &BTreeMap::from([(113, 2)]));
}

#[test]
fn a_pcap_of_another_link_type_is_refused() {
    let header = PcapHeader {
        datalink: DataLink::C_HDLC,
        ..PcapHeader::default()
    };
    let file = PcapWriter::with_header(Vec::new(), header)
        .unwrap()
        .into_writer();
    assert_eq!(read(&file), Err(CaptureError::LinkType(104)));
}

#[test]
fn what_is_no_capture_is_refused() {
    assert_eq!(read(b""), Err(CaptureError::NotACapture));
    assert_eq!(read(b"buffer tcp;\n"), Err(CaptureError::NotACapture));
    assert_eq!(
        read(&[0xd4, 0xc3, 0xb2, 0xa1, 2]),
        Err(CaptureError::Truncated { offset: 0 })
    );
}

#[test]
fn a_frame_cut_by_the_snap_length_is_marked() {
    let file = pcap(
        &[(0, 0, vec![1; 60], 1), (0, 0, vec![1; 60], 0)],
        Endianness::Big,
        TsResolution::NanoSecond,
    );
    let cut: Vec<bool> = read(&file).unwrap().iter().map(Record::is_cut).collect();
    assert_eq!(cut, [true, false]);
}

#[test]
fn a_pcapng_without_time_resolution_counts_microseconds_and_needs_no_end_mark() {
    let mut file = PcapNgWriter::with_endianness(Vec::new(), Endianness::Big)
        .unwrap()
        .into_inner();
    // An interface with a name option and no end mark, then one packet 1.5 s after the epoch.
    let interface = [0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, b'v', 0, 0, 0];
    let mut packet = vec![0; 12];
    packet[4..12].copy_from_slice(&1_500_000_u64.to_be_bytes());
    packet.extend([0, 0, 0, 1, 0, 0, 0, 1, 7, 0, 0, 0]);
    for (kind, body) in [(1_u32, &interface[..]), (6, &packet)] {
        let total = u32::try_from(body.len() + 12).unwrap().to_be_bytes();
        file.extend([&kind.to_be_bytes(), &total, body, &total].concat());
    }
    let records = read(&file).unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(
        (records[0].time, &records[0].frame[..]),
        (Duration::from_millis(1500), &[7][..])
    );
}

#[test]
fn a_simple_packet_is_as_long_as_the_snap_length_lets_it_be() {
    let mut writer = PcapNgWriter::with_endianness(Vec::new(), Endianness::Little).unwrap();
    writer
        .write_pcapng_block(InterfaceDescriptionBlock {
            linktype: DataLink::ETHERNET,
            snaplen: 3,
            options: vec![],
        })
        .unwrap();
    let data = Cow::Borrowed(&[1, 2, 3][..]);
    writer
        .write_pcapng_block(SimplePacketBlock {
            original_len: 70,
            data,
        })
        .unwrap();
    let records = read(&writer.into_inner()).unwrap();
    assert_eq!(records.len(), 1);
    assert!(records[0].is_cut());
    assert_eq!(
        (&records[0].frame[..], records[0].original_len),
        (&[1, 2, 3][..], 70)
    );
}

#[test]
fn damage_is_told_with_its_place() {
    let whole = pcapng(&[(1, 2, vec![7; 8], 0)], Endianness::Big, 1);
    let packet = whole.len() - 40;
    let damage = |at: usize, byte: u8| {
        let mut file = whole.clone();
        file[at] = byte;
        read(&file).unwrap_err().to_string()
    };
    for (at, byte, told) in [
        (
            8,
            0,
            String::from("the capture is damaged at byte 0: a section of unknown byte order"),
        ),
        (
            packet + 7,
            43,
            format!("the capture is damaged at byte {packet}: a block of impossible length"),
        ),
        (
            packet + 7,
            36,
            format!("the capture is damaged at byte {packet}: a block whose two lengths differ"),
        ),
        (
            packet + 7,
            44,
            format!("the capture ends in the middle of what begins at byte {packet}"),
        ),
        (
            packet + 11,
            9,
            format!("the capture is damaged at byte {packet}: a packet block that lies"),
        ),
        (
            packet + 23,
            9,
            format!("the capture is damaged at byte {packet}: a packet block that lies"),
        ),
    ] {
        assert_eq!(damage(at, byte), told);
    }
}
