//! Which frames are streams.

use policy_lang::Headers;
use policy_lang::policy::Media;

use super::{Announced, Candidate, Header, Spotted, Spotter};
use crate::frame_text::parse;

fn rtp(sequence: u16, ssrc: u32) -> Vec<u8> {
    let text = "udp 10.0.0.2:17000 > 192.0.2.9:40000 payload 80";
    let mut frame = parse(text).unwrap();
    frame.truncate(14 + 20 + 8);
    frame.extend([0x80, 8]);
    frame.extend(sequence.to_be_bytes());
    frame.extend((u32::from(sequence) * 160).to_be_bytes());
    frame.extend(ssrc.to_be_bytes());
    frame.extend([0; 160]);
    frame
}

/// The streams in frames that are in order, with the clocks of their packets.
fn find(frames: &[Vec<u8>]) -> Vec<(Candidate, Vec<Option<u32>>)> {
    let (mut spotter, mut announced) = (Spotter::default(), Announced::default());
    let mut all: Vec<(Candidate, Vec<Option<u32>>)> = Vec::new();
    for frame in frames {
        match spotter.look(&Headers::of(frame).unwrap()) {
            Some(Spotted::Packet(number, header)) => {
                let number = usize::try_from(number).unwrap();
                if number == all.len() {
                    all.push((Candidate::new(spotter.keys()[number]), Vec::new()));
                }
                let (candidate, clocks) = &mut all[number];
                clocks.extend(
                    candidate
                        .take(&announced, header)
                        .map(|packet| packet.clock_rate),
                );
            }
            Some(Spotted::Description(text)) => announced.learn(text),
            None => {}
        }
    }
    all.retain(|(candidate, _)| candidate.is_stream());
    all
}

#[test]
fn packets_that_count_up_are_a_stream() {
    let frames: Vec<_> = [65_534, 65_535, 0, 1, 4]
        .map(|number| rtp(number, 7))
        .into();
    let found = find(&frames);
    assert_eq!(found.len(), 1);
    let (stream, clocks) = &found[0];
    assert_eq!((stream.key().ssrc, stream.packets()), (7, 5));
    assert_eq!(clocks[..], [Some(8000); 5]);
    assert!(!stream.announced());
}

#[test]
fn packets_that_only_look_like_rtp_are_none() {
    let random: Vec<_> = [1, 900, 17, 60_000, 4, 333]
        .map(|number| rtp(number, 7))
        .into();
    assert!(find(&random).is_empty());
    let few: Vec<_> = [1, 2, 3].map(|number| rtp(number, 7)).into();
    assert!(find(&few).is_empty());
    let strangers: Vec<_> = (0..20).map(|n| rtp(n, u32::from(n))).collect();
    assert!(find(&strangers).is_empty());
}

#[test]
fn an_announced_packet_is_a_stream_alone() {
    let mut sdp = parse("udp 10.0.0.3:5060 > 10.0.0.2:5060 payload 00").unwrap();
    sdp.truncate(14 + 20 + 8);
    sdp.extend(b"SIP/2.0 200 OK\r\n\r\nv=0\r\nc=IN IP4 192.0.2.9\r\nm=audio 40000 RTP/AVP 8\r\n");
    let announced = find(&[sdp.clone(), rtp(1, 7)]);
    assert_eq!(announced.len(), 1);
    assert!(announced[0].0.announced());
    assert!(find(&[rtp(1, 7), sdp]).is_empty(), "announced too late");
}

#[test]
fn rtp_is_what_the_language_calls_so() {
    for (first, second) in (0..=u8::MAX).flat_map(|a| (0..=u8::MAX).map(move |b| (a, b))) {
        let mut bytes = [0; 12];
        (bytes[0], bytes[1]) = (first, second);
        let in_language = Media::Rtp.first_byte().contains(first.into())
            && Media::Rtp.second_byte().contains(second.into());
        assert_eq!(Header::of(&bytes).is_some(), in_language);
    }
}

#[test]
fn headers_are_read_as_the_rfc_draws_them() {
    let bytes = [0x80, 0xe0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    let header = Header::of(&bytes).unwrap();
    assert!(header.marker);
    assert_eq!((header.payload_type, header.sequence), (96, 0x0102));
    assert_eq!((header.timestamp, header.ssrc), (0x0304_0506, 0x0708_090a));
    assert_eq!(Header::of(&bytes[..11]), None);
    assert_eq!(Header::of(&[0x40; 12]), None);
    assert_eq!(
        Header::of(&[0x80, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        None,
        "RTCP"
    );
}
