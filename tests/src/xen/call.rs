//! A call by SIPp on both ends: the domU answers it and sends back what it hears, the far side calls, plays RTP
//! and hangs up at the end. With a failover in between it is held up only if both ends are what they seem.

use std::time::Duration;

use compiler::capture::Record;
use compiler::capture::write;

use super::frames::{FAR_MAC, GUEST_MAC, rtp};
use super::traffic::PACKET_TIME;

/// Where the service answers.
pub const SERVICE: u16 = 5_062;
/// Where it hears and speaks.
pub const SERVICE_MEDIA: u16 = 16_400;
/// Where the caller does.
pub const CALLER_MEDIA: u16 = 30_100;
/// How long RTP is played, in the far side's seconds: longer than any replication with its failover.
pub const LENGTH: Duration = Duration::from_secs(150);

/// The arguments of the service.
#[must_use]
pub fn service() -> Vec<String> {
    let line = format!(
        "-sn uas -rtp_echo -i 10.9.0.2 -p {SERVICE} -mi 10.9.0.2 -mp {SERVICE_MEDIA} -nostdin"
    );
    line.split(' ').map(str::to_owned).collect()
}

/// The command of the caller. It ends well only if the domU has answered the call and its end.
#[must_use]
pub fn caller() -> String {
    format!(
        "TERM=linux sipp 10.9.0.2:{SERVICE} -sf {SCENARIO} -i 10.9.0.9 -p {SERVICE} -mi 10.9.0.9 -mp {CALLER_MEDIA} \
         -m 1 -cid_str {CALL} -nostdin"
    )
}

/// The command that makes the caller hang up: the message goes to the caller itself.
#[must_use]
pub fn hang_up() -> String {
    format!("bash -c 'cat {MESSAGE} >/dev/udp/10.9.0.9/{SERVICE}'")
}

/// Where that message is.
pub const MESSAGE: &str = "/lab/hang-up";

/// The message, in the call's dialogue (RFC 6086).
#[must_use]
pub fn message() -> String {
    format!(
        "INFO sip:far@10.9.0.9 SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.0.9:9;branch=z9hG4bKend\r\n\
         From: <sip:far@10.9.0.9>;tag=1\r\nTo: <sip:guest@10.9.0.9>\r\nCall-ID: {CALL}\r\nCSeq: 9 INFO\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// How the call is called.
const CALL: &str = "held-up";

/// Where the scenario is.
pub const SCENARIO: &str = "/lab/call.xml";
/// Where the capture is that it plays.
pub const CAPTURE: &str = "/lab/call.pcap";

/// The scenario: that of the measured lab up to its pause, and when somebody says so the end of the call.
#[must_use]
pub fn scenario() -> String {
    include_str!("../measure/sipp.xml")
        .replace("CAPTURE", CAPTURE)
        .replace(
            r#"<pause milliseconds="PAUSE"/>"#,
            r#"<recv request="INFO"/>"#,
        )
        .replace("</scenario>", include_str!("bye.xml"))
}

/// The capture: RTP, a packet each 20 ms.
#[must_use]
pub fn capture() -> Vec<u8> {
    let packets = (LENGTH.as_millis() / PACKET_TIME.as_millis()) as u32;
    let records: Vec<Record> = (0..packets).map(record).collect();
    write::pcap(&records)
}

fn record(number: u32) -> Record {
    let payload = rtp(number);
    let length = |more: usize| ((payload.len() + more) as u16).to_be_bytes();
    let mut frame = [GUEST_MAC, FAR_MAC].concat();
    frame.extend([0x08, 0, 0x45, 0]);
    frame.extend(length(28));
    frame.extend([0, 0, 0x40, 0, 64, 17, 0, 0, 10, 9, 0, 9, 10, 9, 0, 2]);
    frame.extend(CALLER_MEDIA.to_be_bytes());
    frame.extend(SERVICE_MEDIA.to_be_bytes());
    frame.extend(length(8));
    frame.extend([0, 0]);
    frame.extend(&payload);
    Record {
        number: u64::from(number) + 1,
        time: PACKET_TIME * number,
        original_len: frame.len() as u32,
        frame,
    }
}
