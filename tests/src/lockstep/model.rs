//! The model's side: `qdisc_model::plug` at the root of an IFB.

use std::collections::BTreeMap;

use qdisc_model::command::{Root, Verb, parse};
use qdisc_model::packet::{Packet, Verdict};
use qdisc_model::plug::{Device, Plug, RELEASE_INDEFINITE, RELEASE_ONE};

use super::step::Step;
use super::{Counters, Outcome};

/// An IFB as the kernel makes it.
const IFB: Device = Device {
    tx_queue_len: 32,
    psched_mtu: 1514,
};
/// Ethernet, IPv4 and TCP: what each segment repeats.
const HEADERS: u32 = 54;

/// A mistake that somebody could make who writes this model; recorded traces must show each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// None, as far as we know.
    None,
    /// A flap leaves a plug like a new one.
    FlapForgetsCounts,
    /// A new length of the queue changes nothing for what is in it.
    QueueLengthKeepsPackets,
    /// `replace` puts a new plug in the place of an old one.
    ReplaceMakesNew,
    /// A second BUFFER is passed over.
    SecondBlockIsNothing,
    /// What is still to be cut counts with its own bytes only.
    SegmentsAreFree,
}

impl Mistake {
    /// All but none.
    pub const ALL: [Self; 5] = [
        Self::FlapForgetsCounts,
        Self::QueueLengthKeepsPackets,
        Self::ReplaceMakesNew,
        Self::SecondBlockIsNothing,
        Self::SegmentsAreFree,
    ];
}

/// In what kernels differ, around a plug that is the same in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// A packet from a tap that is still to be cut counts as many as it has segments when it leaves;
    /// otherwise as none. Up to 6.18 nobody but the bytes in the queue learns the number
    /// (`qdisc_pkt_len_init` in net/core/dev.c).
    pub counts_segments: bool,
    /// A new length of the device's queue purges what the plug holds
    /// (`dev_qdisc_change_tx_queue_len` in net/sched/sch_generic.c); seen up to 6.12 and not on 7.3.
    pub queue_length_purges: bool,
}

impl Kernel {
    /// That of Debian 12.
    pub const V6_1: Self = Self {
        counts_segments: false,
        queue_length_purges: true,
    };

    /// One of this release.
    #[must_use]
    pub fn of(release: &str) -> Self {
        let mut numbers = release
            .split(['.', '-'])
            .map(|number| number.parse::<u32>().unwrap_or(0));
        let version = (numbers.next(), numbers.next());
        let at_least = |major, minor| version >= (Some(major), Some(minor));
        Self {
            counts_segments: at_least(6, 19),
            queue_length_purges: !at_least(7, 0),
        }
    }
}

/// The model of one IFB.
#[derive(Debug)]
pub struct Model {
    mistake: Mistake,
    kernel: Kernel,
    segments: BTreeMap<u64, u32>,
    root: Root,
    device: Device,
    frames: u32,
    sent: u32,
    sent_bytes: u64,
    out: Vec<u32>,
    blocked: bool,
}

impl Model {
    /// An IFB that is up, with the kernel's default qdisc.
    #[must_use]
    pub fn new(kernel: Kernel, mistake: Mistake) -> Self {
        Self {
            mistake,
            kernel,
            segments: BTreeMap::new(),
            root: Root::Default,
            device: IFB,
            frames: 0,
            sent: 0,
            sent_bytes: 0,
            out: Vec::new(),
            blocked: false,
        }
    }

    /// Does a step.
    pub fn act(&mut self, step: &Step) -> Outcome {
        let accepted = self.happen(step);
        Outcome {
            accepted,
            out: std::mem::take(&mut self.out),
            plug: match &self.root {
                Root::Plug(plug) => Some(Counters {
                    packets: u32::try_from(plug.held().len()).expect("few packets"),
                    backlog: plug.backlog(),
                    drops: plug.drops(),
                    sent: self.sent,
                    sent_bytes: self.sent_bytes,
                }),
                _ => None,
            },
        }
    }

    fn happen(&mut self, step: &Step) -> bool {
        match step {
            Step::Send(bytes) => self.send(*bytes, *bytes),
            Step::SendToCut(bytes, segment) => {
                let segments = (bytes - HEADERS).div_ceil(u32::from(*segment));
                let more = match self.mistake {
                    Mistake::SegmentsAreFree => 0,
                    _ => (segments - 1) * HEADERS,
                };
                let counted = match self.kernel.counts_segments {
                    true => segments,
                    false => 0,
                };
                self.segments.insert(u64::from(self.frames) + 1, counted);
                self.send(*bytes, bytes + more);
            }
            Step::Tc(verb, words) => {
                let words: Vec<&str> = words.split_whitespace().collect();
                return self.tc(*verb, &words);
            }
            Step::Pfifo => {
                self.root = Root::Foreign;
            }
            Step::Delete => return self.root.delete().is_ok(),
            Step::Flap(frames) => {
                self.frames += u32::from(*frames);
                match (self.mistake, &mut self.root) {
                    (Mistake::FlapForgetsCounts, Root::Plug(plug)) => {
                        let limit = plug.limit();
                        let options = qdisc_model::plug::Qopt { action: 0, limit };
                        *plug = Plug::init(Some(options), self.device);
                    }
                    (_, Root::Plug(plug)) => drop(plug.reset()),
                    _ => {}
                }
            }
            Step::QueueLength(packets) => {
                let resets = *packets != self.device.tx_queue_len
                    && self.kernel.queue_length_purges
                    && self.mistake != Mistake::QueueLengthKeepsPackets;
                self.device.tx_queue_len = *packets;
                if let (true, Root::Plug(plug)) = (resets, &mut self.root) {
                    plug.reset();
                }
            }
        }
        true
    }

    fn send(&mut self, bytes: u32, wire_bytes: u32) {
        self.frames += 1;
        let packet = Packet {
            id: u64::from(self.frames),
            bytes,
            wire_bytes,
            verdict: Verdict::Buffer,
        };
        match &mut self.root {
            Root::Plug(plug) => {
                plug.enqueue(packet);
                // The kernel does so whether it took the packet or not.
                self.run();
            }
            Root::Default | Root::Foreign => self.out.push(self.frames),
        }
    }

    fn run(&mut self) {
        let Root::Plug(plug) = &mut self.root else {
            return;
        };
        for packet in plug.run() {
            self.sent += self.segments.get(&packet.id).copied().unwrap_or(1);
            self.sent_bytes += u64::from(packet.wire_bytes);
            self.out
                .push(u32::try_from(packet.id).expect("few packets"));
        }
    }

    fn tc(&mut self, verb: Verb, words: &[&str]) -> bool {
        let was_plug = matches!(self.root, Root::Plug(_));
        let action = parse(words).ok().flatten().map(|options| options.action);
        if was_plug && verb != Verb::Add {
            if self.mistake == Mistake::SecondBlockIsNothing && action == Some(0) && self.blocked {
                return true;
            }
            if self.mistake == Mistake::ReplaceMakesNew && verb == Verb::Replace {
                self.root = Root::Default;
            }
            match action {
                Some(0) => self.blocked = true,
                Some(RELEASE_ONE | RELEASE_INDEFINITE) => self.blocked = false,
                _ => {}
            }
        }
        let accepted = self.root.tc(verb, words, self.device).is_ok();
        if !was_plug && accepted {
            (self.sent, self.sent_bytes, self.blocked) = (0, 0, false);
        }
        // A plug that was just made never runs for it.
        if accepted && was_plug && matches!(action, Some(RELEASE_ONE | RELEASE_INDEFINITE)) {
            self.run();
        }
        accepted
    }
}
