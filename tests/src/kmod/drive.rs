//! A qdisc of the module over netlink: the messages of `tc_modify_qdisc` and `tc_dump_qdisc`
//! (net/sched/sch_api.c), with the attributes of `kernel_module::netlink`.

use std::collections::BTreeMap;

use compiler::device::Device;
use compiler::gate::netlink::{self, NetlinkError, Socket, push_attribute};
use compiler::gate::plug::Gate;
use kernel_module::netlink::attribute;

const RTM_NEWLINK: u16 = 16;
const RTM_NEWQDISC: u16 = 36;
const RTM_DELQDISC: u16 = 37;
const RTM_GETQDISC: u16 = 38;
const NLM_F_ACK: u16 = 0x04;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const TC_H_ROOT: u32 = 0xffff_ffff;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_STATS2: u16 = 7;
const TCA_STATS_BASIC: u16 = 1;
const TCA_STATS_QUEUE: u16 = 3;

/// A refusal, as a negative errno, or what went wrong.
#[derive(Debug, PartialEq, Eq)]
pub enum Failure {
    /// The kernel refused.
    Refused(i32),
    /// Nobody knows.
    Broken(String),
}

impl From<Failure> for String {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(errno) => format!("refused with {errno}"),
            Failure::Broken(what) => what,
        }
    }
}

/// What a dump says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// The kind.
    pub kind: String,
    /// The handle.
    pub handle: u32,
    /// `qlen`.
    pub packets: u32,
    /// Bytes, segments with their headers.
    pub backlog: u32,
    /// Dropped.
    pub drops: u32,
    /// Over the limit.
    pub overlimits: u32,
    /// Left.
    pub sent: u32,
    /// The numbers in `TCA_OPTIONS`; of a pair the second has the key plus 1000.
    pub own: BTreeMap<u16, u64>,
}

impl Dump {
    /// One of our own attributes.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn get(&self, kind: u16) -> u64 {
        *self
            .own
            .get(&kind)
            .unwrap_or_else(|| panic!("no attribute {kind} in {self:?}"))
    }
}

/// A way to the root qdisc of an interface.
#[derive(Debug)]
pub struct Driver {
    socket: Socket,
    index: u32,
    parent: u32,
}

impl Driver {
    /// For an interface in the namespace of the calling thread.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn new(device: &str) -> Result<Self, String> {
        let device = Device::new(device).map_err(|e| e.to_string())?;
        let index = Gate::open(&device).map_err(|e| e.to_string())?.index();
        let socket = Socket::new().map_err(|e| e.to_string())?;
        Ok(Self {
            socket,
            index,
            parent: TC_H_ROOT,
        })
    }

    /// The same for a qdisc below this class.
    #[must_use]
    pub fn below(mut self, parent: u32) -> Self {
        self.parent = parent;
        self
    }

    /// `tc qdisc add`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn add(&mut self, kind: &str, options: Option<&[u8]>) -> Result<(), Failure> {
        self.modify(NLM_F_CREATE | NLM_F_EXCL, kind, options)
    }

    /// `tc qdisc change`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn change(&mut self, kind: &str, options: &[u8]) -> Result<(), Failure> {
        self.modify(0, kind, Some(options))
    }

    fn modify(&mut self, flags: u16, kind: &str, options: Option<&[u8]>) -> Result<(), Failure> {
        let mut body = self.header();
        push_attribute(&mut body, TCA_KIND, format!("{kind}\0").as_bytes());
        if let Some(options) = options {
            push_attribute(&mut body, TCA_OPTIONS, options);
        }
        self.request(RTM_NEWQDISC, flags | NLM_F_ACK, &body)
            .map(drop)
    }

    /// `tc qdisc del`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn delete(&mut self) -> Result<(), Failure> {
        let body = self.header();
        self.request(RTM_DELQDISC, NLM_F_ACK, &body).map(drop)
    }

    /// The qdisc, if one is there that somebody added.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn dump(&mut self) -> Result<Option<Dump>, Failure> {
        let mut body = vec![0; 4];
        for field in [self.index, 0, 0, 0] {
            body.extend(field.to_ne_bytes());
        }
        let answer = self.request(RTM_GETQDISC, NLM_F_DUMP, &body)?;
        Ok(answer
            .iter()
            .find_map(|body| read(body, self.index, self.parent)))
    }

    /// `ip link set up` or `down` for the interface.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_link(&mut self, up: bool) -> Result<(), Failure> {
        let mut body = vec![0; 4];
        for field in [self.index, u32::from(up), 1] {
            body.extend(field.to_ne_bytes());
        }
        self.request(RTM_NEWLINK, NLM_F_ACK, &body).map(drop)
    }

    fn header(&self) -> Vec<u8> {
        let mut body = vec![0; 4];
        for field in [self.index, 0, self.parent, 0] {
            body.extend(field.to_ne_bytes());
        }
        body
    }

    fn request(&mut self, kind: u16, flags: u16, body: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
        match self.socket.request(kind, flags, body) {
            Ok(answer) => Ok(answer
                .into_iter()
                .map(|message| message.into_body())
                .collect()),
            Err(NetlinkError::Refused(error)) => {
                Err(Failure::Refused(-error.raw_os_error().unwrap_or_default()))
            }
            Err(error) => Err(Failure::Broken(error.to_string())),
        }
    }
}

fn read(body: &[u8], index: u32, parent: u32) -> Option<Dump> {
    let at = |at: usize| Some(u32::from_ne_bytes(*body.get(at..)?.first_chunk()?));
    if at(4)? != index || at(12)? != parent || at(8)? == 0 {
        return None;
    }
    let list = attributes(body.get(20..)?);
    let find = |kind| {
        list.iter()
            .find(|(own, _)| *own == kind)
            .map(|(_, value)| value.as_slice())
    };
    let counters = attributes(find(TCA_STATS2).unwrap_or_default());
    let counter = |kind, at: usize| {
        let (_, value) = counters.iter().find(|(own, _)| *own == kind)?;
        Some(u32::from_ne_bytes(*value.get(at..)?.first_chunk()?))
    };
    let mut own = BTreeMap::new();
    for (kind, value) in attributes(find(TCA_OPTIONS).unwrap_or_default()) {
        let long = |at: usize| {
            let eight = value.get(at..).and_then(|v| v.first_chunk());
            eight.map_or(0, |eight| u64::from_ne_bytes(*eight))
        };
        match value.len() {
            4 => drop(own.insert(kind, u32::from_ne_bytes(*value.first_chunk()?).into())),
            8 => drop(own.insert(kind, long(0))),
            _ => {
                own.insert(kind, long(0));
                own.insert(kind + 1000, long(8));
            }
        }
    }
    let kind = String::from_utf8_lossy(find(TCA_KIND)?).into_owned();
    Some(Dump {
        kind: kind.trim_end_matches('\0').to_owned(),
        handle: at(8)?,
        packets: counter(TCA_STATS_QUEUE, 0)?,
        backlog: counter(TCA_STATS_QUEUE, 4)?,
        drops: counter(TCA_STATS_QUEUE, 8)?,
        overlimits: counter(TCA_STATS_QUEUE, 16)?,
        sent: counter(TCA_STATS_BASIC, 8)?,
        own,
    })
}

fn attributes(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    netlink::attributes(bytes)
        .map(|(kind, value)| (kind, value.to_vec()))
        .collect()
}

/// Options with 64 bits each.
#[must_use]
pub fn longs(values: &[(u16, u64)]) -> Vec<u8> {
    let mut options = Vec::new();
    for (kind, value) in values {
        push_attribute(&mut options, *kind, &value.to_ne_bytes());
    }
    options
}

/// Options with 32 bits each.
#[must_use]
pub fn words(values: &[(u16, u32)]) -> Vec<u8> {
    let mut options = Vec::new();
    for (kind, value) in values {
        push_attribute(&mut options, *kind, &value.to_ne_bytes());
    }
    options
}

/// `struct tc_plug_qopt`.
#[must_use]
pub fn plug(action: u32, limit: u32) -> Vec<u8> {
    [action.to_ne_bytes(), limit.to_ne_bytes()].concat()
}

/// The option that opens.
#[must_use]
pub fn open() -> Vec<u8> {
    let mut options = Vec::new();
    push_attribute(&mut options, attribute::OPEN, &[]);
    options
}
