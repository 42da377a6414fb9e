//! Linux's `sch_plug` as it is: counts instead of markers, and every consequence of that.
//!
//! The rules are those of `net/sched/sch_plug.c` in kernels from 6.1 on (with the `throttled` flag
//! and `.reset = qdisc_reset_queue`) and of the queue helpers in `include/net/sch_generic.h`.
//! Fields carry the kernel's names. A plug belongs at the root of a private IFB, where nobody peeks;
//! [`Plug::peek`] is what a parent qdisc would do to it.

use std::collections::VecDeque;

use crate::limit::default_plug_limit;
use crate::packet::Packet;

/// `TCQ_PLUG_BUFFER`.
pub const BUFFER: i32 = 0;
/// `TCQ_PLUG_RELEASE_ONE`.
pub const RELEASE_ONE: i32 = 1;
/// `TCQ_PLUG_RELEASE_INDEFINITE`.
pub const RELEASE_INDEFINITE: i32 = 2;
/// `TCQ_PLUG_LIMIT`.
pub const LIMIT: i32 = 3;

/// `struct tc_plug_qopt`: the one message that creates and drives a plug.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Qopt {
    /// One of [`BUFFER`], [`RELEASE_ONE`], [`RELEASE_INDEFINITE`], [`LIMIT`]; the kernel refuses
    /// any other number.
    pub action: i32,
    /// Bytes. Read on creation whatever the action is, and afterwards only with [`LIMIT`].
    pub limit: u32,
}

/// What a plug asks its device when it is created without options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// `tx_queue_len`, in packets.
    pub tx_queue_len: u32,
    /// `psched_mtu`: MTU and hard header, in bytes.
    pub psched_mtu: u32,
}

/// `-EINVAL`: the message held an action that `sch_plug` doesn't know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("unknown plug action `{action}`")]
pub struct UnknownAction {
    /// The number that was sent.
    pub action: i32,
}

/// Whether the tail of the queue had room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Enqueued {
    /// At the tail.
    Queued,
    /// Tail drop; the sender is not told.
    Dropped,
}

/// The state of one plug: `struct plug_sched_data`, the queue and its statistics.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plug {
    unplug_indefinite: bool,
    throttled: bool,
    limit: u32,
    pkts_current_epoch: u32,
    pkts_last_epoch: u32,
    pkts_to_release: u32,
    backlog: u32,
    drops: u32,
    queue: VecDeque<Packet>,
    gso_skb: Option<Packet>,
}

impl Plug {
    /// `plug_init`. Starts closed. With options only their limit counts, whatever the action is;
    /// without, the limit is the device's queue length times its MTU.
    #[must_use]
    pub fn init(options: Option<Qopt>, device: Device) -> Self {
        let limit = options.map_or_else(
            || default_plug_limit(device.tx_queue_len, device.psched_mtu),
            |options| options.limit,
        );
        Self {
            unplug_indefinite: false,
            throttled: true,
            limit,
            pkts_current_epoch: 0,
            pkts_last_epoch: 0,
            pkts_to_release: 0,
            backlog: 0,
            drops: 0,
            queue: VecDeque::new(),
            gso_skb: None,
        }
    }

    /// `plug_enqueue`. The door compares the buffer's own bytes, but the backlog it compares them
    /// with grows by the bytes on the wire; both are 32 bits wide and wrap. A dropped packet is
    /// counted in no epoch.
    pub fn enqueue(&mut self, packet: Packet) -> Enqueued {
        if self.backlog.wrapping_add(packet.bytes) > self.limit {
            self.drops = self.drops.wrapping_add(1);
            return Enqueued::Dropped;
        }
        if !self.unplug_indefinite {
            self.pkts_current_epoch = self.pkts_current_epoch.wrapping_add(1);
        }
        self.backlog = self.backlog.wrapping_add(packet.wire_bytes);
        self.queue.push_back(packet);
        Enqueued::Queued
    }

    /// `plug_dequeue`. A packet to release is spent from the count even when the queue is empty:
    /// after a reset that is how the count runs off from the packets.
    pub fn dequeue(&mut self) -> Option<Packet> {
        if self.throttled {
            return None;
        }
        if !self.unplug_indefinite {
            let Some(left) = self.pkts_to_release.checked_sub(1) else {
                self.throttled = true;
                return None;
            };
            self.pkts_to_release = left;
        }
        let packet = self.queue.pop_front()?;
        self.backlog = self.backlog.wrapping_sub(packet.wire_bytes);
        Some(packet)
    }

    /// `qdisc_peek_dequeued`, which is plug's `.peek`: it really dequeues, so it spends a packet to
    /// release, and puts what it got aside, where it counts as backlog again.
    pub fn peek(&mut self) -> Option<&Packet> {
        if self.gso_skb.is_none() {
            let packet = self.dequeue()?;
            self.backlog = self.backlog.wrapping_add(packet.wire_bytes);
            self.gso_skb = Some(packet);
        }
        self.gso_skb.as_ref()
    }

    /// `qdisc_dequeue_peeked`: what was put aside first. A parent that peeks has to take packets
    /// with this one; [`Plug::dequeue`] alone passes over what was put aside.
    pub fn dequeue_peeked(&mut self) -> Option<Packet> {
        let Some(packet) = self.gso_skb.take() else {
            return self.dequeue();
        };
        self.backlog = self.backlog.wrapping_sub(packet.wire_bytes);
        Some(packet)
    }

    /// `__qdisc_run` with a device that is never busy: takes packets until the plug gives none
    /// (`dequeue_skb` looks at what was put aside first). The kernel does so after each enqueue and
    /// after each release.
    pub fn run(&mut self) -> Vec<Packet> {
        std::iter::from_fn(|| self.dequeue_peeked()).collect()
    }

    /// `plug_change`. The kernel runs the queue after the two releases; so should the caller.
    ///
    /// # Errors
    ///
    /// [`UnknownAction`] for a number outside the four; the state is then untouched.
    pub fn change(&mut self, message: Qopt) -> Result<(), UnknownAction> {
        match message.action {
            BUFFER => {
                self.pkts_last_epoch = self.pkts_current_epoch;
                self.pkts_current_epoch = 0;
                if self.unplug_indefinite {
                    self.throttled = true;
                }
                self.unplug_indefinite = false;
            }
            RELEASE_ONE => {
                self.pkts_to_release = self.pkts_to_release.wrapping_add(self.pkts_last_epoch);
                self.pkts_last_epoch = 0;
                self.throttled = false;
            }
            RELEASE_INDEFINITE => {
                self.unplug_indefinite = true;
                self.pkts_to_release = 0;
                self.pkts_last_epoch = 0;
                self.pkts_current_epoch = 0;
                self.throttled = false;
            }
            LIMIT => self.limit = message.limit,
            action => return Err(UnknownAction { action }),
        }
        Ok(())
    }

    /// `qdisc_reset_queue` under `qdisc_reset`, as when the device goes down: the packets are
    /// gone and returned here, no drop is counted, and the counts of both epochs and of the
    /// release stay, as does whether the plug is open.
    pub fn reset(&mut self) -> Vec<Packet> {
        self.backlog = 0;
        let aside = self.gso_skb.take();
        aside.into_iter().chain(self.queue.drain(..)).collect()
    }

    /// The packets in the queue, oldest first, without the one put aside. No kernel interface shows them; `tc` tells only
    /// their number.
    #[must_use]
    pub fn held(&self) -> &VecDeque<Packet> {
        &self.queue
    }

    /// Bytes in the queue as `tc -s qdisc show` prints them.
    #[must_use]
    pub fn backlog(&self) -> u32 {
        self.backlog
    }

    /// Tail drops as `tc -s qdisc show` prints them.
    #[must_use]
    pub fn drops(&self) -> u32 {
        self.drops
    }

    /// Whether it passes everything, after RELEASE_INDEFINITE. `tc` can't show it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.unplug_indefinite
    }

    /// The limit in bytes. The kernel has no dump for it: `tc` can't show it.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit
    }
}
