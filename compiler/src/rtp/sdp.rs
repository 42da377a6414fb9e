//! What session descriptions (SDP, RFC 8866) in a capture say of media: where it goes, and which
//! clock a payload type has there.
//!
//! What an end announced last counts, and what stands last within one description: an end that has
//! moved to fax over UDP (`m=image 16756 udptl t38`) no longer takes RTP. Wireshark reads it so too.
//!
//! A description is looked for in the text of one datagram or segment, whatever carries it (SIP,
//! MGCP, Megaco). One that is spread over several is missed.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use memchr::memmem::Finder;

/// What has been announced so far.
#[derive(Clone, Debug, Default)]
pub struct Session {
    ends: BTreeMap<SocketAddr, End>,
}

/// What is known of an end.
#[derive(Clone, Debug, Default)]
struct End {
    is_rtp: bool,
    /// Clocks by payload type; none for telephone events.
    clocks: BTreeMap<u8, Option<u32>>,
}

/// A media section while its lines are read.
#[derive(Debug)]
struct Section {
    port: u16,
    address: Option<IpAddr>,
    end: End,
}

impl Session {
    /// Reads the descriptions in the bytes of a packet, if there are any.
    pub fn learn(&mut self, bytes: &[u8]) {
        let Some(text) = Search::default().text(bytes) else {
            return;
        };
        let mut address = None;
        let mut section: Option<Section> = None;
        for line in text.split(|byte| *byte == b'\n').filter(|line| tells(line)) {
            let line = String::from_utf8_lossy(line);
            let line = line.trim();
            match line.split_once('=') {
                Some(("v", _)) => {
                    self.close(&mut section, address);
                    address = None;
                }
                Some(("c", value)) => match &mut section {
                    Some(section) => section.address = connection(value),
                    None => address = connection(value),
                },
                Some(("m", value)) => {
                    self.close(&mut section, address);
                    section = media(value);
                }
                Some(("a", value)) => {
                    let map = value.strip_prefix("rtpmap:").and_then(rtpmap);
                    if let (Some(section), Some((payload_type, clock))) = (&mut section, map) {
                        section.end.clocks.insert(payload_type, clock);
                    }
                }
                _ => {}
            }
        }
        self.close(&mut section, address);
    }

    fn close(&mut self, section: &mut Option<Section>, session_address: Option<IpAddr>) {
        let Some(section) = section.take() else {
            return;
        };
        if let Some(address) = section.address.or(session_address) {
            let end = SocketAddr::new(address, section.port);
            let known = self.ends.entry(end).or_default();
            known.is_rtp = section.end.is_rtp;
            known.clocks.extend(section.end.clocks);
        }
    }

    /// Whether this end takes RTP; none if nothing was announced.
    #[must_use]
    pub fn takes_rtp(&self, end: SocketAddr) -> Option<bool> {
        self.ends.get(&end).map(|end| end.is_rtp)
    }

    /// What was said of a payload type at this end: its clock, or that it has none.
    #[must_use]
    pub fn clock(&self, end: SocketAddr, payload_type: u8) -> Option<Option<u32>> {
        self.ends.get(&end)?.clocks.get(&payload_type).copied()
    }
}

/// Whether a line may be one that is read: most are not, and need no closer look.
fn tells(line: &[u8]) -> bool {
    match line.trim_ascii_start() {
        [b'v' | b'c' | b'm', b'=', ..] => true,
        [b'a', b'=', value @ ..] => value.starts_with(b"rtpmap:"),
        // White space of other kinds.
        [first, ..] => !first.is_ascii() || first.is_ascii_control(),
        [] => false,
    }
}

/// How a description begins.
const VERSION: &[u8] = b"v=0";

/// Finds descriptions. To get ready for a search takes as long as to search a packet.
#[derive(Clone, Debug)]
pub(super) struct Search(Finder<'static>);

impl Default for Search {
    fn default() -> Self {
        Self(Finder::new(VERSION))
    }
}

impl Search {
    /// The bytes of a packet from its first description on: from a `v=0` at the end of its line.
    pub(super) fn text<'packet>(&self, bytes: &'packet [u8]) -> Option<&'packet [u8]> {
        let ends_line = |at: &usize| matches!(bytes.get(at + VERSION.len()), Some(b'\r' | b'\n'));
        let start = self.0.find_iter(bytes).find(ends_line)?;
        bytes.get(start..)
    }
}

/// `IN IP4 10.0.0.1`; with a multicast address perhaps `/ttl`.
fn connection(value: &str) -> Option<IpAddr> {
    let address = value.split_whitespace().nth(2)?;
    address.split('/').next()?.parse().ok()
}

/// `audio 5004 RTP/AVP 8 101` or `image 5004 udptl t38`. Media that was refused has port 0.
fn media(value: &str) -> Option<Section> {
    let mut words = value.split_whitespace().skip(1);
    let port = words.next()?.split('/').next()?.parse().ok()?;
    let transport = words.next()?.to_ascii_lowercase();
    let is_rtp = transport.contains("rtp/");
    let known = is_rtp || transport == "udptl";
    (known && port != 0).then(|| Section {
        port,
        address: None,
        end: End {
            is_rtp,
            clocks: BTreeMap::new(),
        },
    })
}

/// `101 telephone-event/8000`.
fn rtpmap(value: &str) -> Option<(u8, Option<u32>)> {
    let (payload_type, encoding) = value.split_once(' ')?;
    let mut parts = encoding.trim().split('/');
    let name = parts.next()?;
    let rate = parts.next()?.parse().ok().filter(|rate| *rate > 0);
    let stands_still = name.eq_ignore_ascii_case("telephone-event");
    Some((payload_type.parse().ok()?, rate.filter(|_| !stands_still)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Session, tells};

    const OFFER: &str = "INVITE sip:a@b SIP/2.0\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\
        o=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
        m=audio 5004 RTP/AVP 8 96 101\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n\
        m=video 5006 RTP/SAVPF 97\r\nc=IN IP6 2001:db8::1\r\na=rtpmap:97 VP8/90000\r\n\
        m=audio 0 RTP/AVP 0\r\nm=image 5008 udptl t38\r\n";

    #[test]
    fn an_offer_names_ends_and_clocks() {
        let mut session = Session::default();
        session.learn(OFFER.as_bytes());
        let audio = "10.0.0.1:5004".parse().unwrap();
        assert_eq!(session.takes_rtp(audio), Some(true));
        assert_eq!(session.clock(audio, 96), Some(Some(48_000)));
        assert_eq!(session.clock(audio, 101), Some(None));
        assert_eq!(session.clock(audio, 8), None);
        let video = "[2001:db8::1]:5006".parse().unwrap();
        assert_eq!(session.clock(video, 97), Some(Some(90_000)));
        let takes_rtp = |end: &str| session.takes_rtp(end.parse().unwrap());
        assert_eq!(takes_rtp("10.0.0.1:5006"), None);
        assert_eq!(takes_rtp("10.0.0.1:5008"), Some(false), "fax");
    }

    proptest! {
        /// No line that would tell something is passed over.
        #[test]
        fn lines_that_tell_something_are_read(
            before in "[ \t\r\u{b}\u{c}\u{85}\u{a0}\u{2003}vcma=x]{0,3}",
            sign in "[vcmaso]=|a=rtpmap:|rtpmap",
            behind in any::<Vec<u8>>(),
        ) {
            let line = [before.as_bytes(), sign.as_bytes(), &behind].concat();
            let text = String::from_utf8_lossy(&line);
            let is_read = match text.trim().split_once('=') {
                Some(("v" | "c" | "m", _)) => true,
                Some(("a", value)) => value.starts_with("rtpmap:"),
                _ => false,
            };
            prop_assert!(tells(&line) || !is_read);
        }
    }

    #[test]
    fn nonsense_is_passed_over() {
        let mut session = Session::default();
        for text in [
            "v=0\r\nm=audio",
            "v=0\nm=audio x RTP/AVP\nc=IN\na=rtpmap:",
            "m=audio 1 RTP/AVP 0",
            "\u{fffd}v=0\r\n",
        ] {
            session.learn(text.as_bytes());
        }
        session.learn(&[0xff; 3]);
        assert!(session.ends.is_empty());
    }

    #[test]
    fn the_last_word_counts() {
        let end = "10.0.0.1:5004".parse().unwrap();
        let mut session = Session::default();
        for (media, takes_rtp) in [
            ("m=image 5004 udptl t38", false),
            ("m=audio 5004 RTP/AVP 8", true),
            ("m=audio 5004 RTP/AVP 8\r\nm=image 5004 UDPTL t38", false),
        ] {
            session.learn(format!("v=0\r\nc=IN IP4 10.0.0.1\r\n{media}\r\n").as_bytes());
            assert_eq!(session.takes_rtp(end), Some(takes_rtp), "{media}");
        }
    }
}
