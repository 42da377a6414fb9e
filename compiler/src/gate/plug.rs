//! A plug at the root of an interface: reading it, and the five things it can be told. A qdisc of
//! `sch_epochgate` understands the same messages, and is as good as a plug wherever it is found; it
//! also understands epochs by their numbers.
//!
//! The messages are those of `tc_modify_qdisc` in `net/sched/sch_api.c` and `struct tc_plug_qopt`
//! in `include/uapi/linux/pkt_sched.h`. A request that names the handle *and* the kind and sets
//! neither NLM_F_CREATE nor NLM_F_REPLACE is carried out only if exactly this qdisc is at the root;
//! the kernel checks it under the lock of the request itself. Without the handle, as `tc qdisc
//! change` sends it, a root of another kind would be thrown away for a plug with a limit of 0.

use qdisc_model::controller::Sighting;
use qdisc_model::controller::pipeline::Objection;
use rustix::io::Errno;

use super::link::{self, Link};
use super::module::{self, Setting, State};
use super::netlink::{
    Message, NetlinkError, Socket, attribute, flag, kind, long, number, push_attribute, text,
};
use crate::device::Device;

/// Bytes of `struct tcmsg`.
const HEADER: usize = 20;

const TC_H_ROOT: u32 = 0xffff_ffff;

const PLUG: &str = "plug";

const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_STATS2: u16 = 7;
const TCA_STATS_BASIC: u16 = 1;
const TCA_STATS_QUEUE: u16 = 3;

/// What a plug is told: `action` of `struct tc_plug_qopt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `TCQ_PLUG_BUFFER`: an epoch ends.
    Block,
    /// `TCQ_PLUG_RELEASE_ONE`: the epoch before the last `Block` may leave.
    ReleaseOne,
    /// `TCQ_PLUG_RELEASE_INDEFINITE`: everything leaves, and passes from now on.
    Open,
    /// `TCQ_PLUG_LIMIT`, in bytes.
    Limit(u32),
}

impl Order {
    fn options(self) -> [u8; 8] {
        let (action, limit) = match self {
            Self::Block => (0_u32, 0),
            Self::ReleaseOne => (1, 0),
            Self::Open => (2, 0),
            Self::Limit(limit) => (3, limit),
        };
        let mut options = [0; 8];
        let fields = [action.to_ne_bytes(), limit.to_ne_bytes()];
        for (to, from) in options.iter_mut().zip(fields.as_flattened()) {
            *to = *from;
        }
        options
    }
}

/// The qdisc at the root of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its kind, `plug` if all is well.
    pub kind: String,
    /// Its handle, 0 for the kernel's default.
    pub handle: u32,
    /// Bytes that left.
    pub sent_bytes: u64,
    /// Packets that left, segments of offload packets counted one by one; where a tap brought such a
    /// packet in, as none up to 6.18.
    pub sent_packets: u32,
    /// Packets in the queue.
    pub packets: u32,
    /// Bytes in the queue.
    pub backlog: u32,
    /// Packets that found no room.
    pub drops: u32,
    /// Packets over a limit; a plug counts none.
    pub overlimits: u32,
    /// What only our module tells.
    pub state: Option<State>,
}

impl Root {
    /// Whether it is a plug that somebody put there, or our module in its place.
    #[must_use]
    pub fn is_plug(&self) -> bool {
        (self.kind == PLUG || self.kind == module::KIND) && self.handle != 0
    }

    /// The state of our module under its own name. Loaded in the place of plug it is driven as one: by
    /// messages that others know as well.
    #[must_use]
    pub fn module(&self) -> Option<&State> {
        self.state.as_ref().filter(|_| self.kind == module::KIND)
    }

    /// What the controller wants to know of it.
    #[must_use]
    pub fn sighting(&self) -> Sighting {
        Sighting {
            packets: self.packets,
            backlog: self.backlog,
            sent: self.sent_bytes,
        }
    }

    /// Reads a qdisc message, if it is about the root of this interface.
    fn read(message: &Message, index: u32) -> Option<Self> {
        let body = &message.body;
        let list = body.get(HEADER..)?;
        let ours = message.kind == kind::NEW_QDISC
            && number(body, 4)? == index
            && number(body, 12)? == TC_H_ROOT;
        if !ours {
            return None;
        }
        let counters = attribute(list, TCA_STATS2).unwrap_or_default();
        let basic = attribute(counters, TCA_STATS_BASIC).unwrap_or_default();
        let queue = attribute(counters, TCA_STATS_QUEUE).unwrap_or_default();
        let count = |at| number(queue, at).unwrap_or_default();
        Some(Self {
            kind: attribute(list, TCA_KIND).map(text).unwrap_or_default(),
            handle: number(body, 8)?,
            sent_bytes: long(basic, 0).unwrap_or_default(),
            sent_packets: number(basic, 8).unwrap_or_default(),
            packets: count(0),
            backlog: count(4),
            drops: count(8),
            overlimits: count(16),
            state: attribute(list, TCA_OPTIONS).and_then(State::read),
        })
    }
}

/// Why a plug can't be driven.
#[derive(Debug, thiserror::Error)]
pub enum PlugError {
    /// No such interface.
    #[error("there is no interface `{0}`")]
    NoInterface(Device),
    /// It is down, and what is sent to it is lost.
    #[error("`{0}` is down")]
    Down(Device),
    /// Something else is at the root.
    #[error("the root qdisc of `{device}` is `{kind}`, not `plug`")]
    NotPlug {
        /// The interface.
        device: Device,
        /// What is there.
        kind: String,
    },
    /// It was replaced between two requests.
    #[error("the root qdisc of `{0}` was replaced meanwhile")]
    Replaced(Device),
    /// It counts packets and knows no epochs.
    #[error("the plug of `{0}` knows no epochs by their numbers")]
    NotNumbered(Device),
    /// It has a limit and nothing else.
    #[error("the plug of `{0}` can't be told that")]
    NotSettable(Device),
    /// Our module says why not.
    #[error("cannot {order} of `{device}`: {reason}")]
    Epoch {
        /// The interface.
        device: Device,
        /// What was to be done.
        order: module::Order,
        /// Why it is not, in words.
        reason: &'static str,
        /// And for who decides what to do next.
        objection: Objection,
    },
    /// A limit of 0 would drop every packet.
    #[error("a limit of 0 bytes drops every packet")]
    NoLimit,
    /// The kernel or the way to it.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
}

impl PlugError {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::NoInterface(device) => Some(format!(
                "`epochgate compile` makes the script that creates it; by hand: `ip link add {device} type ifb`"
            )),
            Self::Down(device) => Some(format!("bring it up: `ip link set {device} up`")),
            Self::NotPlug { device, .. } => Some(format!(
                "put one there: `tc qdisc replace dev {device} root plug limit BYTES`; it starts closed"
            )),
            Self::Replaced(_) => Some(String::from("look at it again with `status`")),
            Self::NotNumbered(_) => Some(String::from(
                "drive a plug with `block` and `release`; the kernel module `sch_epochgate` knows epochs",
            )),
            Self::NotSettable(_) => Some(String::from(
                "a plug has a `limit` only; the kernel module `sch_epochgate` can be told more",
            )),
            Self::Epoch { .. } => Some(String::from(
                "`status` tells which epoch is open, which is committed and how many are in flight",
            )),
            Self::NoLimit => Some(String::from(
                "to drop what is held, replace the plug; to stop the traffic, take the link down",
            )),
            Self::Netlink(error) => (error.refusal() == Some(Errno::PERM))
                .then(|| String::from("this needs root, or CAP_NET_ADMIN")),
        }
    }
}

/// One interface and a way to the kernel.
#[derive(Debug)]
pub struct Gate {
    socket: Socket,
    device: Device,
    index: u32,
    /// The kind of the plug that was seen last, for requests about it.
    kind: String,
}

impl Gate {
    /// Finds the interface.
    ///
    /// # Errors
    ///
    /// [`PlugError::NoInterface`], [`PlugError::Netlink`].
    pub fn open(device: &Device) -> Result<Self, PlugError> {
        let mut socket = Socket::new()?;
        let link = link::find(&mut socket, device)?
            .ok_or_else(|| PlugError::NoInterface(device.clone()))?;
        Ok(Self {
            socket,
            device: device.clone(),
            index: link.index,
            kind: String::from(PLUG),
        })
    }

    /// The number of the interface.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The number by which the kernel knows the requests made here.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.socket.port()
    }

    /// The interface as it is now.
    ///
    /// # Errors
    ///
    /// [`PlugError::NoInterface`], also when another one has its name by now.
    pub fn link(&mut self) -> Result<Link, PlugError> {
        link::find(&mut self.socket, &self.device)?
            .filter(|link| link.index == self.index)
            .ok_or_else(|| PlugError::NoInterface(self.device.clone()))
    }

    /// The qdisc at the root, whatever it is, from a list of all: nobody is told of this look.
    ///
    /// # Errors
    ///
    /// [`PlugError::Netlink`]. No qdisc at all is a root of the kind `noqueue`, as for the kernel.
    pub fn root(&mut self) -> Result<Root, PlugError> {
        let body = header(self.index, 0, 0);
        let list = self.socket.request(kind::GET_QDISC, flag::DUMP, &body)?;
        let root = list
            .iter()
            .find_map(|message| Root::read(message, self.index));
        if let Some(root) = root.as_ref().filter(|root| root.is_plug()) {
            self.kind.clone_from(&root.kind);
        }
        Ok(root.unwrap_or_else(|| Root {
            kind: String::from("noqueue"),
            handle: 0,
            sent_bytes: 0,
            sent_packets: 0,
            packets: 0,
            backlog: 0,
            drops: 0,
            overlimits: 0,
            state: None,
        }))
    }

    /// The plug at the root of an interface that is up.
    ///
    /// # Errors
    ///
    /// What stands in the way of driving it.
    pub fn plug(&mut self) -> Result<Root, PlugError> {
        if !self.link()?.is_up() {
            return Err(PlugError::Down(self.device.clone()));
        }
        let root = self.root()?;
        if root.is_plug() {
            Ok(root)
        } else {
            Err(PlugError::NotPlug {
                device: self.device.clone(),
                kind: root.kind,
            })
        }
    }

    /// The plug with this handle, in one request; `None` if it is not at the root any more. Up to
    /// 6.x the kernel tells everybody who listens of this look as if the plug had changed, so it
    /// is for who drives the plug, not for onlookers.
    ///
    /// # Errors
    ///
    /// [`PlugError::Netlink`].
    pub fn look(&mut self, handle: u32) -> Result<Option<Root>, PlugError> {
        let mut body = header(self.index, handle, TC_H_ROOT);
        self.push_kind(&mut body);
        match self
            .socket
            .request(kind::GET_QDISC, flag::ACK | flag::ECHO, &body)
        {
            Ok(answer) => Ok(self.answered(&answer)),
            Err(error) if error.refusal().is_some() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives an order to the plug with this handle, and returns the plug after it.
    ///
    /// # Errors
    ///
    /// [`PlugError::Replaced`] if it is not at the root; [`PlugError::Netlink`], after which the
    /// order may have been carried out or not.
    pub fn order(&mut self, handle: u32, order: Order) -> Result<Root, PlugError> {
        self.modify(handle, flag::ACK | flag::ECHO, &order.options())
    }

    /// Tells our module, which has this handle, what becomes of an epoch, and returns it after that.
    ///
    /// # Errors
    ///
    /// [`PlugError::Epoch`] if the module refuses, and then nothing is done; otherwise as for
    /// [`Self::order`].
    pub fn epoch(&mut self, handle: u32, order: module::Order) -> Result<Root, PlugError> {
        let error = match self.send(handle, flag::ACK | flag::ECHO, &order.options()) {
            Ok(root) => return Ok(root),
            Err(error) => error,
        };
        let refusal = error
            .refusal()
            .and_then(|errno| Some((order.refusal(errno)?, order.objection(errno))));
        let Some((reason, objection)) = refusal else {
            return Err(self.explain(error, true));
        };
        // Some numbers are the kernel's as well, when there is no such qdisc.
        let root = self.root()?;
        if root.handle == handle && root.state.is_some() {
            Err(PlugError::Epoch {
                device: self.device.clone(),
                order,
                reason,
                objection,
            })
        } else {
            Err(PlugError::Replaced(self.device.clone()))
        }
    }

    /// Tells our module, which has this handle, what to do from now on: all of it or, if it refuses,
    /// nothing.
    ///
    /// # Errors
    ///
    /// As for [`Self::order`].
    pub fn set(&mut self, handle: u32, settings: &[Setting]) -> Result<Root, PlugError> {
        let mut options = Vec::new();
        for setting in settings {
            setting.push(&mut options);
        }
        self.modify(handle, flag::ACK | flag::ECHO, &options)
    }

    /// Puts a new plug with this limit, in bytes, in the place of whatever is at the root, and
    /// returns it. It is closed and empty; what the old root held is lost.
    ///
    /// # Errors
    ///
    /// [`PlugError::NoLimit`], [`PlugError::Netlink`].
    pub fn renew(&mut self, old: u32, limit: u32) -> Result<Root, PlugError> {
        if limit == 0 {
            return Err(PlugError::NoLimit);
        }
        // A handle that is not there makes a new qdisc, one that is there changes the old one.
        let handle = match old ^ 0x0001_0000 {
            0 => 0x0002_0000,
            other => other,
        };
        let flags = flag::ACK | flag::ECHO | flag::CREATE | flag::REPLACE;
        self.modify(handle, flags, &Order::Limit(limit).options())
    }

    fn modify(&mut self, handle: u32, flags: u16, options: &[u8]) -> Result<Root, PlugError> {
        self.send(handle, flags, options)
            .map_err(|error| self.explain(error, flags & flag::CREATE == 0))
    }

    fn send(&mut self, handle: u32, flags: u16, options: &[u8]) -> Result<Root, NetlinkError> {
        let mut body = header(self.index, handle, TC_H_ROOT);
        self.push_kind(&mut body);
        push_attribute(&mut body, TCA_OPTIONS, options);
        let answer = self.socket.request(kind::NEW_QDISC, flags, &body)?;
        self.answered(&answer).ok_or(NetlinkError::Nonsense(
            "it does not say what the plug is now",
        ))
    }

    /// What an error means to a request about a plug that has to be there, or one that need not.
    fn explain(&self, error: NetlinkError, must_be_there: bool) -> PlugError {
        match error.refusal() {
            Some(Errno::NOENT | Errno::EXIST | Errno::INVAL) if must_be_there => {
                PlugError::Replaced(self.device.clone())
            }
            Some(Errno::NODEV) => PlugError::NoInterface(self.device.clone()),
            _ => error.into(),
        }
    }

    fn push_kind(&self, body: &mut Vec<u8>) {
        push_attribute(body, TCA_KIND, format!("{}\0", self.kind).as_bytes());
    }

    fn answered(&self, answer: &[Message]) -> Option<Root> {
        answer
            .iter()
            .find_map(|message| Root::read(message, self.index))
    }
}

fn header(index: u32, handle: u32, parent: u32) -> Vec<u8> {
    let mut body = vec![0; 4];
    for field in [index, handle, parent, 0] {
        body.extend(field.to_ne_bytes());
    }
    body
}
