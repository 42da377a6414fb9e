//! Frames as text, for `explain`, witnesses and `trace`: words into bytes and bytes into words.
//!
//! ```text
//! udp 10.0.0.2:17000 > 192.0.2.9:40000 len 172
//! tcp [2001:db8::1]:5060 > [2001:db8::2]:5061 flags syn+ack
//! icmp 10.0.0.1 > 10.0.0.2 type 8 code 0
//! ip 10.0.0.1 > 10.0.0.2 proto 47
//! arp
//! ethertype 0x88cc payload 0207
//! ```
//!
//! or the bytes of the frame in hexadecimal, from the destination address on, with or without
//! blanks and colons. What words may follow which kind is the table in [`words`].
//!
//! What is not said has a usual value: lengths and checksums are right, MAC addresses locally
//! administered, the payload zero bytes, but for the first one of UDP, which is no known protocol's
//! (zero would be STUN's). [`describe`] says what differs from that. It leaves out
//! what no policy can ask for (identifications, sequence numbers, checksums, TCP options), so the
//! text stands for a frame that every policy judges like the one described.

mod describe;
mod spec;
#[cfg(test)]
mod tests;
mod words;

use std::ops::Range;

pub use describe::describe;

/// Longest frame that text can describe: the largest IP packet behind a tagged Ethernet header.
const MAX_FRAME: usize = 65_535 + 18;

/// First byte of a UDP payload that is not given: of none of the protocols of RFC 7983 section 7.
const UNKNOWN_MEDIA: u8 = 0xff;

/// Payload bytes that [`describe`] shows; what follows them is `...`, or `len` if it is zero bytes.
const SHOWN_PAYLOAD: usize = 32;

/// The TCP flags from the lowest bit on, RFC 9293 section 3.1.
const TCP_FLAGS: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];

/// Why a text is no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FrameTextError {
    /// What is wrong, with the word in backticks.
    pub message: String,
    /// What would be right.
    pub help: String,
    /// Where in the text, in bytes; empty and at the end if something is missing.
    pub span: Range<usize>,
}

/// The bytes of the frame that `text` describes.
///
/// # Errors
///
/// [`FrameTextError`] at the first word that does not fit.
pub fn parse(text: &str) -> Result<Vec<u8>, FrameTextError> {
    let frame = match hexadecimal(text) {
        Some(digits) => bytes_of(&digits).ok_or_else(|| FrameTextError {
            message: String::from("an odd number of hexadecimal digits"),
            help: String::from("two digits make a byte"),
            span: 0..text.len(),
        })?,
        None => words::read(text)?.build(),
    };
    if frame.len() > MAX_FRAME {
        return Err(FrameTextError {
            message: format!("a frame of {} bytes", frame.len()),
            help: format!(
                "at most {MAX_FRAME} bytes fit a tagged Ethernet frame with an IP packet"
            ),
            span: 0..text.len(),
        });
    }
    Ok(frame)
}

/// The digits of `text` if it is nothing but hexadecimal digits, blanks and colons.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let text = text.strip_prefix("0x").unwrap_or(text);
    let digits = text.chars().filter(|c| !c.is_whitespace() && *c != ':');
    let digits: Option<Vec<u8>> = digits
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    digits.filter(|digits| !digits.is_empty())
}

/// The bytes that pairs of digits make, if they are pairs.
fn bytes_of(digits: &[u8]) -> Option<Vec<u8>> {
    digits
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(high << 4 | low),
            _ => None,
        })
        .collect()
}
