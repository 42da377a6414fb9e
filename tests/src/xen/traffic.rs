//! What the domU says, and how its far side takes it: streams of RTP-like, SIP-like and TCP data over both
//! families, tagged frames and ARP announcements; and servers that answer, for round trips.
//!
//! Both ends have what they need to know here, and so has who reads the captures.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pnet_datalink::{Channel, Config};

use super::frames::{MEDIA, PHONE, SIP, TCP, announcement, rtp, sip, tagged};

/// The domU's addresses.
pub const GUEST: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 9, 0, 2)),
    IpAddr::V6(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 2)),
];
/// Those of the far side.
pub const FAR: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(10, 9, 0, 9)),
    IpAddr::V6(Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 9)),
];
/// From one packet of a call to the next, and of every other stream.
pub const PACKET_TIME: Duration = Duration::from_millis(20);
/// Where the domU answers: as media do, as SIP does and over TCP.
pub const ECHO_MEDIA: u16 = MEDIA + 2;
/// See [`ECHO_MEDIA`].
pub const ECHO_SIP: u16 = 5_061;
/// See [`ECHO_MEDIA`].
pub const ECHO_TCP: u16 = 5_071;
/// Calls `send` with 0, 1, 2, ... at each packet time, as long as it says that it can. What became due in a
/// pause is sent at once.
fn paced(mut send: impl FnMut(u32) -> bool) {
    let begin = Instant::now();
    for number in 0.. {
        let due = begin + PACKET_TIME * number;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if !send(number) {
            return;
        }
    }
}

/// The same with datagrams: a receiver that is not there yet is no reason to stop.
fn datagrams(send: impl Fn(u32) -> io::Result<usize>) {
    paced(|number| {
        let _ = send(number);
        true
    });
}

/// Sends and answers for ever, in threads of their own.
pub fn guest(device: &str) -> io::Result<()> {
    for (own, far) in GUEST.into_iter().zip(FAR) {
        let media = UdpSocket::bind((own, MEDIA))?;
        let signalling = UdpSocket::bind((own, SIP))?;
        thread::spawn(move || datagrams(|n| media.send_to(&rtp(n), (far, PHONE))));
        thread::spawn(move || datagrams(|n| signalling.send_to(&sip(n), (far, SIP))));
        thread::spawn(move || connection((far, TCP).into()));
        for port in [ECHO_MEDIA, ECHO_SIP] {
            let socket = UdpSocket::bind((own, port))?;
            thread::spawn(move || answer(&socket));
        }
        let listener = TcpListener::bind((own, ECHO_TCP))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || answer_stream(stream));
            }
        });
    }
    let device = device.to_owned();
    thread::spawn(move || raw(&device));
    Ok(())
}

fn connection(far: SocketAddr) {
    loop {
        if let Ok(mut stream) = TcpStream::connect_timeout(&far, Duration::from_secs(5)) {
            let _ = stream.set_nodelay(true);
            paced(|number| {
                // So little that what waits for an acknowledgement still fits into one packet: a longer one is
                // cut on its way, and is not the same frame before and behind the buffer.
                let record = format!("record {number:08}\n");
                stream.write_all(record.as_bytes()).is_ok()
            });
        }
        thread::sleep(Duration::from_secs(1));
    }
}

fn answer(socket: &UdpSocket) -> io::Result<()> {
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = socket.recv_from(&mut buffer)?;
        let _ = socket.send_to(buffer.get(..length).unwrap_or_default(), from);
    }
}

fn answer_stream(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 2048];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => stream.write_all(buffer.get(..length).unwrap_or_default())?,
        }
    }
}

/// Tagged UDP frames and ARP announcements (RFC 5227 section 3), which no socket sends.
fn raw(device: &str) {
    let interfaces = pnet_datalink::interfaces();
    let Some(interface) = interfaces.into_iter().find(|found| found.name == device) else {
        return;
    };
    let Ok(Channel::Ethernet(mut sender, _)) =
        pnet_datalink::channel(&interface, Config::default())
    else {
        return;
    };
    paced(|number| {
        for frame in [tagged(number), announcement(number)] {
            sender.send_to(&frame, None);
        }
        true
    });
}

/// Takes what the domU sends, and asks it for answers; tells each round trip as a line of JSON.
pub fn far() -> io::Result<()> {
    for own in FAR {
        for port in [PHONE, SIP] {
            let socket = UdpSocket::bind((own, port))?;
            thread::spawn(move || {
                let mut buffer = [0; 2048];
                while socket.recv_from(&mut buffer).is_ok() {}
            });
        }
        let listener = TcpListener::bind((own, TCP))?;
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || io::copy(&mut stream, &mut io::sink()));
            }
        });
    }
    for (family, guest) in [(4, GUEST[0]), (6, GUEST[1])] {
        for (class, port) in [("media", ECHO_MEDIA), ("sip", ECHO_SIP)] {
            let own = FAR[usize::from(family == 6)];
            let socket = UdpSocket::bind((own, 0))?;
            socket.connect((guest, port))?;
            let asking = socket.try_clone()?;
            thread::spawn(move || datagrams(|n| asking.send(&asked(n))));
            thread::spawn(move || told_datagrams(class, family, &socket));
        }
        thread::spawn(move || {
            loop {
                let _ = told_stream(family, (guest, ECHO_TCP).into());
                thread::sleep(Duration::from_millis(500));
            }
        });
    }
    loop {
        thread::park();
    }
}

/// Nanoseconds since 1970, as captures have them.
#[must_use]
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_nanos() as u64
}

/// What is left of a question that is asked over TCP.
const QUESTION: usize = 24;

/// A question: an RTP packet, with the time at which it was asked behind its number.
fn asked(number: u32) -> Vec<u8> {
    let mut packet = rtp(number);
    packet.splice(16..24, now().to_be_bytes());
    packet
}

fn tell(class: &str, family: u8, answer: &[u8]) {
    let Some(asked) = answer.get(16..24).and_then(|bytes| bytes.try_into().ok()) else {
        return;
    };
    let (asked, now) = (u64::from_be_bytes(asked), now());
    let round_trip = now.saturating_sub(asked) as f64 / 1e6;
    println!(
        "{{\"class\":\"{class}\",\"family\":{family},\"asked\":{asked},\"ms\":{round_trip:.3}}}"
    );
}

fn told_datagrams(class: &str, family: u8, socket: &UdpSocket) {
    let mut buffer = [0; 2048];
    loop {
        // An ICMP error while the domU is away shows here.
        if let Ok(length) = socket.recv(&mut buffer) {
            tell(class, family, buffer.get(..length).unwrap_or_default());
        }
    }
}

fn told_stream(family: u8, guest: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&guest, Duration::from_secs(10))?;
    stream.set_nodelay(true)?;
    let mut asking = stream.try_clone()?;
    // See `connection` for the size.
    let question = |n| asked(n).into_iter().take(QUESTION).collect::<Vec<u8>>();
    thread::spawn(move || paced(|n| asking.write_all(&question(n)).is_ok()));
    let mut answer = vec![0; QUESTION];
    loop {
        stream.read_exact(&mut answer)?;
        tell("tcp", family, &answer);
    }
}
