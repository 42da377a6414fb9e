//! A guest's way through an IFB, in the namespace of the calling thread, all driven from within this
//! program:
//!
//! ```text
//! tapin -> redirect -> IFB with the qdisc -> br1 -> tapout
//! ```
//!
//! A frame that is written to `tapin` is in the qdisc when the call returns. What a commit lets go is
//! taken by a kernel thread (NET_TX, net/core/dev.c), which runs once this one sleeps.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use pnet_datalink::{Channel, DataLinkSender};

use super::drive::Driver;
use crate::differential::batch::Offload;
use crate::differential::port::{Port, Sent};

/// The interface that has the qdisc.
pub const IFB: &str = "ifb1";

const LINKS: &str = "\
link set tapin mtu 65521 arp off txqueuelen 1000 up
link set tapout mtu 65521 arp off txqueuelen 1000 up
link add br1 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
link set tapin master br1
link set tapout master br1
link set tapin type bridge_slave learning off flood on
link set tapout type bridge_slave learning off flood on
link set br1 arp off up
";
const THE_IFB: &str = "\
link add ifb1 type ifb
link set ifb1 arp off txqueuelen 1000 up
";
const RULES: &str = "\
qdisc replace dev tapout root noqueue
qdisc add dev tapin clsact
filter add dev tapin ingress protocol 0x88b6 pref 1 matchall action skbedit mark 7 pipe action mirred egress redirect dev ifb1
filter add dev tapin ingress pref 2 matchall action mirred egress redirect dev ifb1
";

/// What is not there after so long never will be.
const PATIENCE: Duration = Duration::from_millis(300);
/// Enough for a kernel thread to run.
const MOMENT: Duration = Duration::from_micros(100);

const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8];
/// Ethertypes for experiments. Frames of the second get a mark.
const PLAIN: [u8; 2] = [0x88, 0xb5];
const MARKED: [u8; 2] = [0x88, 0xb6];
/// The mark.
pub const MARK: u32 = 7;

/// The interfaces.
#[derive(Debug)]
pub struct Rig {
    /// Where frames go in.
    pub source: Source,
    /// Where they come out.
    pub sink: Sink,
    /// The way to the root qdisc of the IFB.
    pub driver: Driver,
}

/// Where frames go in; a thread of its own may have it.
#[derive(Debug)]
pub struct Source(Port);

/// Where frames come out.
#[derive(Debug)]
pub struct Sink(Port);

impl Rig {
    /// Makes the interfaces.
    ///
    /// # Errors
    /// What could not be made.
    pub fn new() -> Result<Self, String> {
        let open = |name| Port::open(name).map_err(|e| format!("no tap `{name}`: {e}"));
        let (input, output) = (open("tapin")?, open("tapout")?);
        batch("ip", LINKS)?;
        batch("ip", THE_IFB)?;
        batch("tc", RULES)?;
        Ok(Self {
            source: Source(input),
            sink: Sink(output),
            driver: Driver::new(IFB)?,
        })
    }

    /// Sends a frame with this number and so many bytes.
    ///
    /// # Errors
    /// When it is not taken.
    pub fn send(&mut self, number: u32, bytes: usize) -> Result<(), String> {
        self.source.send(number, bytes)
    }

    /// Sends one that gets the mark [`MARK`] on its way.
    ///
    /// # Errors
    /// When it is not taken.
    pub fn send_marked(&mut self, number: u32, bytes: usize) -> Result<(), String> {
        self.send_raw(Offload::default(), &frame(MARKED, number, bytes))
    }

    /// Sends a TCP packet of so many bytes that is still to be cut into segments with so many bytes of
    /// payload. Its number is read back as 0.
    ///
    /// # Errors
    /// When it is not taken.
    pub fn send_to_cut(&mut self, bytes: u16, segment: u16) -> Result<(), String> {
        let mut frame = ADDRESSES.to_vec();
        frame.extend([8, 0, 0x45, 0]);
        frame.extend((bytes - 14).to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 3]);
        frame.extend([
            0xc0, 1, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff,
        ]);
        frame.resize(bytes.into(), 0);
        // struct virtio_net_hdr: the checksum is missing, TCP over IPv4, 54 bytes of headers.
        let [low, high] = segment.to_le_bytes();
        let offload = Offload([1, 1, 54, 0, low, high, 34, 0, 16, 0]);
        self.send_raw(offload, &frame)
    }

    /// Sends any frame.
    ///
    /// # Errors
    /// When it is not taken.
    pub fn send_raw(&mut self, offload: Offload, frame: &[u8]) -> Result<(), String> {
        self.source.send_raw(offload, frame)
    }

    /// Makes the IFB anew after it was deleted. Rules never find a new one by themselves.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn renew(&mut self) -> Result<(), String> {
        batch("ip", THE_IFB)?;
        batch("tc", "qdisc del dev tapin clsact\n")?;
        batch("tc", RULES)?;
        self.driver = Driver::new(IFB)?;
        Ok(())
    }

    /// The IFB goes down and up.
    ///
    /// # Errors
    /// When it can't.
    pub fn flap(&mut self) -> Result<(), String> {
        self.driver.set_link(false)?;
        Ok(self.driver.set_link(true)?)
    }

    /// The numbers of the frames that came out since the last call: waits until there are so many,
    /// and a moment for more.
    ///
    /// # Errors
    /// What the system says.
    pub fn out(&mut self, expected: usize) -> Result<Vec<u32>, String> {
        self.sink.out(expected)
    }
}

impl Source {
    /// Sends a frame with this number and so many bytes.
    ///
    /// # Errors
    /// When it is not taken.
    pub fn send(&mut self, number: u32, bytes: usize) -> Result<(), String> {
        self.send_raw(Offload::default(), &frame(PLAIN, number, bytes))
    }

    fn send_raw(&mut self, offload: Offload, frame: &[u8]) -> Result<(), String> {
        match self.0.send(offload, frame) {
            Ok(Sent::Taken) => Ok(()),
            other => Err(format!("a frame of {} bytes: {other:?}", frame.len())),
        }
    }
}

impl Sink {
    /// As [`Rig::out`].
    ///
    /// # Errors
    /// What the system says.
    pub fn out(&mut self, expected: usize) -> Result<Vec<u32>, String> {
        let begin = Instant::now();
        let mut out = Vec::new();
        loop {
            thread::sleep(MOMENT);
            let before = out.len();
            while let Some((_, frame)) = self.0.receive().map_err(|e| e.to_string())? {
                let number = frame.get(14..).and_then(|rest| rest.first_chunk());
                out.push(number.map_or(0, |four| u32::from_be_bytes(*four)));
            }
            let quiet = out.len() == before;
            if quiet && (out.len() >= expected || begin.elapsed() > PATIENCE) {
                return Ok(out);
            }
        }
    }
}

fn frame(ethertype: [u8; 2], number: u32, bytes: usize) -> Vec<u8> {
    let mut frame = ADDRESSES.to_vec();
    frame.extend(ethertype);
    frame.extend(number.to_be_bytes());
    frame.resize(bytes, 0);
    frame
}

/// A packet that is held keeps the socket that it came from, and that its namespace: one that ends
/// with its own packets held in it never ends. So none are left behind.
impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.driver.delete();
    }
}

/// A socket for raw frames on an interface in the namespace of the calling thread.
///
/// # Errors
/// When there is no such interface.
pub fn sender(device: &str) -> Result<Box<dyn DataLinkSender>, String> {
    let interfaces = pnet_datalink::interfaces();
    let interface = interfaces.into_iter().find(|i| i.name == device);
    let interface = interface.ok_or_else(|| format!("no interface `{device}`"))?;
    match pnet_datalink::channel(&interface, pnet_datalink::Config::default()) {
        Ok(Channel::Ethernet(sender, _)) => Ok(sender),
        Ok(_) => Err(String::from("another kind of channel")),
        Err(error) => Err(error.to_string()),
    }
}

/// Runs one `ip` or `tc` with these lines; it may have words of its own before them.
///
/// # Errors
/// What it complains of.
pub fn batch(program: &str, lines: &str) -> Result<(), String> {
    let mut words = program.split(' ');
    let child = Command::new(words.next().unwrap_or_default())
        .args(words)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|e| format!("{program}: {e}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(lines.as_bytes())
            .map_err(|e| e.to_string())?;
    }
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}
