//! What the domU says, and how its far side takes it: streams of RTP-like, SIP-like and TCP data over both
//! families, tagged frames and ARP announcements; and servers that answer, for round trips.
//!
//! Both ends have what they need to know here, and so has who reads the captures.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pnet_datalink::{Channel, Config};

/// MAC address of the domU.
pub const GUEST_MAC: [u8; 6] = [0x00, 0x16, 0x3e, 0, 0, 1];
/// MAC address of the far side.
pub const FAR_MAC: [u8; 6] = [0x02, 0, 0, 0, 0x09, 0x09];
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
/// Source port of calls, and of what answers like a call.
pub const MEDIA: u16 = 16_384;
/// Destination port of calls.
pub const PHONE: u16 = 30_000;
/// Source and destination port of SIP.
pub const SIP: u16 = 5_060;
/// Where the domU's connections lead.
pub const TCP: u16 = 5_070;
/// Where the domU answers: as media do, as SIP does and over TCP.
pub const ECHO_MEDIA: u16 = MEDIA + 2;
/// See [`ECHO_MEDIA`].
pub const ECHO_SIP: u16 = 5_061;
/// See [`ECHO_MEDIA`].
pub const ECHO_TCP: u16 = 5_071;
/// The VLAN of the tagged frames.
pub const VLAN: u16 = 7;

/// An RTP packet of G.711 A-law, with its number and the sender's time behind the header.
fn rtp(number: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 8];
    packet.extend((number as u16).to_be_bytes());
    packet.extend((number.wrapping_mul(160)).to_be_bytes());
    packet.extend(0xe900_0000_u32.to_be_bytes());
    packet.extend(number.to_be_bytes());
    packet.resize(12 + 160, 0xd5);
    packet
}

fn sip(number: u32) -> Vec<u8> {
    let text = format!(
        "MESSAGE sip:far@10.9.0.9 SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.0.2;branch=z9hG4bK{number:08x}\r\n\
         From: <sip:guest@10.9.0.2>;tag=1\r\nTo: <sip:far@10.9.0.9>\r\nCall-ID: {number:08x}\r\n\
         CSeq: {number} MESSAGE\r\nContent-Length: 0\r\n\r\n"
    );
    text.into_bytes()
}

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
                let mut record = format!("record {number:08}\n").into_bytes();
                record.resize(100, b'.');
                stream.write_all(&record).is_ok()
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

fn tagged(number: u32) -> Vec<u8> {
    let mut frame = [FAR_MAC, GUEST_MAC].concat();
    frame.extend([0x81, 0x00]);
    frame.extend(VLAN.to_be_bytes());
    // 172 bytes of IPv4: a datagram that no policy here lets pass for its port.
    frame.extend([0x08, 0x00, 0x45, 0, 0, 172, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend([10, 9, 0, 2, 10, 9, 0, 9]);
    frame.extend([0x13, 0xcf, 0x13, 0xcf]);
    frame.extend(number.to_be_bytes());
    frame.extend([0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    frame.resize(18 + 172, b't');
    frame
}

fn announcement(number: u32) -> Vec<u8> {
    let mut frame = [[0xff; 6], GUEST_MAC].concat();
    frame.extend([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1]);
    frame.extend(GUEST_MAC);
    frame.extend([10, 9, 0, 2]);
    frame.extend([0; 6]);
    frame.extend([10, 9, 0, 2]);
    // Behind the ARP packet, where Ethernet's padding is: each frame is another one.
    frame.extend(number.to_be_bytes());
    frame.resize(60, 0);
    frame
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
    thread::spawn(move || paced(|n| asking.write_all(&asked(n)).is_ok()));
    let mut answer = vec![0; asked(0).len()];
    loop {
        stream.read_exact(&mut answer)?;
        tell("tcp", family, &answer);
    }
}
