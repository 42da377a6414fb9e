//! The kernel's side: interfaces in the namespace of the calling thread, driven over netlink.
//!
//! The messages are those of `tc_modify_qdisc` and `tc_get_qdisc` (net/sched/sch_api.c) and
//! `rtnl_setlink` (net/core/rtnetlink.c); the flags for each verb those of `tc/tc_qdisc.c`. A frame
//! that is written to a tap is in the plug when the call returns, or out of it if that is open. What
//! a release lets go is taken by a kernel thread (NET_TX, net/core/dev.c) that runs once this one
//! sleeps.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use compiler::device::Device;
use compiler::gate::netlink::{NetlinkError, Socket, push_attribute};
use compiler::gate::plug::Gate;
use qdisc_model::command::{Verb, parse};

use super::step::Step;
use super::{Counters, Outcome};
use crate::differential::batch::Offload;
use crate::differential::port::Port;

const IN: &str = "tapin";
const OUT: &str = "tapout";
/// The interface with the plug.
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
link add ifb1 type ifb
link set ifb1 arp off up
";
const RULES: &str = "\
qdisc replace dev tapout root noqueue
qdisc add dev tapin clsact
filter add dev tapin ingress matchall action mirred egress redirect dev ifb1
";

const RTM_NEWLINK: u16 = 16;
const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const NLM_F_ACK: u16 = 0x04;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const TC_H_ROOT: u32 = 0xffff_ffff;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const IFLA_TXQLEN: u16 = 13;
const IFF_UP: u32 = 1;

/// What is not there after so long never will be.
const PATIENCE: Duration = Duration::from_millis(150);
/// Enough for a kernel thread to run.
const MOMENT: Duration = Duration::from_micros(100);

/// The interfaces and ways to drive them.
#[derive(Debug)]
pub struct Rig {
    input: Port,
    output: Port,
    gate: Gate,
    socket: Socket,
    frames: u32,
}

impl Rig {
    /// Makes the interfaces in the namespace of the calling thread.
    ///
    /// # Errors
    /// What could not be made.
    pub fn new() -> Result<Self, String> {
        let open = |name| Port::open(name).map_err(|e| format!("no tap `{name}`: {e}"));
        let (input, output) = (open(IN)?, open(OUT)?);
        batch("ip", LINKS)?;
        batch("tc", RULES)?;
        let device = Device::new(IFB).map_err(|e| e.to_string())?;
        Ok(Self {
            input,
            output,
            gate: Gate::open(&device).map_err(|e| e.to_string())?,
            socket: Socket::new().map_err(|e| e.to_string())?,
            frames: 0,
        })
    }

    /// An IFB that is up, with the kernel's default qdisc and nothing on its way.
    ///
    /// # Errors
    /// What could not be done.
    pub fn reset(&mut self) -> Result<(), String> {
        self.delete()?;
        self.queue_length(32)?;
        self.collect()?;
        self.frames = 0;
        Ok(())
    }

    /// Does a step and looks at what came of it, until it is as expected or can't become so.
    ///
    /// # Errors
    /// What could not be done.
    pub fn act(&mut self, step: &Step, expected: &Outcome) -> Result<Outcome, String> {
        let accepted = self.happen(step)?;
        self.look(accepted, expected)
    }

    /// What is to be seen after a moment; `before` is what was seen last.
    ///
    /// # Errors
    /// What could not be done.
    pub fn rest(&mut self, before: Option<&Outcome>) -> Result<Outcome, String> {
        thread::sleep(MOMENT);
        let before = before.cloned().unwrap_or_default();
        let mut seen = self.look(
            before.accepted,
            &Outcome {
                out: Vec::new(),
                ..before.clone()
            },
        )?;
        if seen.out.is_empty() {
            seen.out = before.out;
        }
        Ok(seen)
    }

    fn look(&mut self, accepted: bool, expected: &Outcome) -> Result<Outcome, String> {
        let begin = Instant::now();
        let mut out = Vec::new();
        loop {
            out.extend(self.collect()?);
            let root = self.gate.root().map_err(|e| e.to_string())?;
            let seen = Outcome {
                accepted,
                out: out.clone(),
                plug: root.is_plug().then_some(Counters {
                    packets: root.packets,
                    backlog: root.backlog,
                    drops: root.drops,
                    sent: root.sent_packets,
                    sent_bytes: root.sent_bytes,
                }),
            };
            if seen == *expected || begin.elapsed() > PATIENCE {
                return Ok(seen);
            }
            thread::sleep(MOMENT);
        }
    }

    /// Does a step. Whether it was taken.
    ///
    /// # Errors
    /// What could not be done.
    pub fn happen(&mut self, step: &Step) -> Result<bool, String> {
        match step {
            Step::Send(bytes) => self.send(*bytes, None)?,
            Step::SendToCut(bytes, segment) => self.send(*bytes, Some(*segment))?,
            Step::Tc(verb, words) => {
                let words: Vec<&str> = words.split_whitespace().collect();
                let accepted = self.tc(*verb, &words)?;
                // Each release is run by itself: two in one go would be one run.
                thread::sleep(MOMENT);
                return Ok(accepted);
            }
            Step::Pfifo => {
                let flags = NLM_F_CREATE | NLM_F_REPLACE;
                return self.modify(flags, b"pfifo\0", None);
            }
            Step::Delete => return self.delete(),
            Step::Flap(frames) => {
                self.set_link(0)?;
                for _ in 0..*frames {
                    self.send(100, None)?;
                }
                self.set_link(IFF_UP)?;
            }
            Step::QueueLength(packets) => self.queue_length(*packets)?,
        }
        Ok(true)
    }

    fn send(&mut self, bytes: u32, segment: Option<u16>) -> Result<(), String> {
        self.frames += 1;
        let (frame, offload) = frame(self.frames, bytes as usize, segment);
        let sent = self.input.send(offload, &frame);
        match sent.map_err(|e| format!("a frame of {bytes} bytes can't be sent: {e}"))? {
            crate::differential::port::Sent::Taken => Ok(()),
            crate::differential::port::Sent::Refused => {
                Err(format!("a frame of {bytes} bytes is refused"))
            }
        }
    }

    /// The frames that have come out by now, by their numbers.
    ///
    /// # Errors
    /// What could not be read.
    pub fn collect(&mut self) -> Result<Vec<u32>, String> {
        let mut out = Vec::new();
        while let Some((_, frame)) = self.output.receive().map_err(|e| e.to_string())? {
            out.push(number(frame));
        }
        Ok(out)
    }

    fn tc(&mut self, verb: Verb, words: &[&str]) -> Result<bool, String> {
        let flags = match verb {
            Verb::Add => NLM_F_CREATE | NLM_F_EXCL,
            Verb::Change => 0,
            Verb::Replace => NLM_F_CREATE | NLM_F_REPLACE,
        };
        let options = parse(words).map_err(|e| e.to_string())?.map(|options| {
            let mut bytes = options.action.to_ne_bytes().to_vec();
            bytes.extend(options.limit.to_ne_bytes());
            bytes
        });
        self.modify(flags, b"plug\0", options.as_deref())
    }

    fn modify(&mut self, flags: u16, kind: &[u8], options: Option<&[u8]>) -> Result<bool, String> {
        let mut body = tc_message(self.gate.index());
        push_attribute(&mut body, TCA_KIND, kind);
        if let Some(options) = options {
            push_attribute(&mut body, TCA_OPTIONS, options);
        }
        self.request(RTM_NEWQDISC, flags, &body)
    }

    fn delete(&mut self) -> Result<bool, String> {
        let body = tc_message(self.gate.index());
        self.request(RTM_DELQDISC, 0, &body)
    }

    fn set_link(&mut self, flags: u32) -> Result<(), String> {
        let body = link_message(self.gate.index(), flags, IFF_UP);
        self.request(RTM_NEWLINK, 0, &body).map(drop)
    }

    fn queue_length(&mut self, packets: u32) -> Result<(), String> {
        let mut body = link_message(self.gate.index(), 0, 0);
        push_attribute(&mut body, IFLA_TXQLEN, &packets.to_ne_bytes());
        self.request(RTM_NEWLINK, 0, &body).map(drop)
    }

    /// Whether the kernel did it.
    fn request(&mut self, kind: u16, flags: u16, body: &[u8]) -> Result<bool, String> {
        match self.socket.request(kind, flags | NLM_F_ACK, body) {
            Ok(_) => Ok(true),
            Err(NetlinkError::Refused(_)) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// `struct tcmsg` for the root of an interface.
fn tc_message(index: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    for field in [index, 0, TC_H_ROOT, 0] {
        body.extend(field.to_ne_bytes());
    }
    body
}

/// `struct ifinfomsg`.
fn link_message(index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    for field in [index, flags, change] {
        body.extend(field.to_ne_bytes());
    }
    body
}

const TCP: [u8; 2] = [8, 0];
/// An ethertype for experiments.
const OURS: [u8; 2] = [0x88, 0xb5];
/// Where the number of a frame stands: behind the Ethernet header, or in the sequence number.
const NUMBER: usize = 14;
const SEQUENCE: usize = 38;

/// A frame with a number, and its header: one TCP packet to be cut, or plain bytes.
fn frame(number: u32, bytes: usize, segment: Option<u16>) -> (Vec<u8>, Offload) {
    let mut frame = vec![2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 8];
    let Some(segment) = segment else {
        frame.extend(OURS);
        frame.extend(number.to_be_bytes());
        frame.resize(bytes, 0);
        return (frame, Offload::default());
    };
    frame.extend(TCP);
    frame.extend([0x45, 0]);
    let total = u16::try_from(bytes - 14).expect("an IPv4 packet");
    frame.extend(total.to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 2, 10, 0, 0, 3]);
    frame.extend([0xc0, 1, 0, 80]);
    frame.extend(number.to_be_bytes());
    frame.extend([0, 0, 0, 0, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
    frame.resize(bytes, 0);
    // struct virtio_net_hdr: checksum missing, TCP over IPv4, 54 bytes of headers.
    let mut header = [1, 1, 54, 0, 0, 0, 34, 0, 16, 0];
    header[4..6].copy_from_slice(&segment.to_le_bytes());
    (frame, Offload(header))
}

/// The number of a frame; 0 for one that nobody sent.
fn number(frame: &[u8]) -> u32 {
    let at = match frame.get(12..14) {
        Some(kind) if *kind == OURS => NUMBER,
        Some(kind) if *kind == TCP => SEQUENCE,
        _ => return 0,
    };
    let bytes = frame.get(at..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

/// Runs `program -batch -` over these lines.
fn batch(program: &str, lines: &str) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("can't run `{program}`: {e}");
    let mut child = Command::new(program)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(lines.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    let said = String::from_utf8_lossy(&output.stderr);
    output
        .status
        .success()
        .then_some(())
        .ok_or_else(|| format!("`{program}` failed: {}", said.trim()))
}
