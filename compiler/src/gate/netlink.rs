//! As much of rtnetlink as a gate needs: requests with their answers, notices, attributes.
//!
//! The rules are those of `include/uapi/linux/netlink.h` and `rtnetlink.h`: a header of 16 bytes,
//! everything in the machine's byte order and padded to four bytes, attributes with a length and a
//! type of two bytes each. The crates for this bring an async runtime (nlink, rtnetlink) or a
//! model of every message, which fails on attributes of newer kernels; four kinds of message with
//! a handful of attributes are less than the glue would be.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_recv_buffer_size_force, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, getsockname, recvfrom,
    sendto, socket_with,
};

/// `RTM_NEWLINK` and its neighbours.
pub(super) mod kind {
    pub(crate) const ERROR: u16 = 2;
    pub(crate) const DONE: u16 = 3;
    pub(crate) const OVERRUN: u16 = 4;
    pub(crate) const NEW_LINK: u16 = 16;
    pub(crate) const GET_LINK: u16 = 18;
    pub(crate) const NEW_QDISC: u16 = 36;
    pub(crate) const DEL_QDISC: u16 = 37;
    pub(crate) const GET_QDISC: u16 = 38;
}

/// `NLM_F_...`.
pub(super) mod flag {
    pub(crate) const REQUEST: u16 = 0x01;
    pub(crate) const ACK: u16 = 0x04;
    pub(crate) const ECHO: u16 = 0x08;
    pub(crate) const INTERRUPTED: u16 = 0x10;
    pub(crate) const REPLACE: u16 = 0x100;
    pub(crate) const DUMP: u16 = 0x300;
    pub(crate) const CREATE: u16 = 0x400;
}

/// Notices of links and of qdiscs: the bits of `RTNLGRP_LINK` (1) and `RTNLGRP_TC` (4).
pub(super) const LINKS_AND_QDISCS: u32 = 1 | 1 << 3;

/// Bytes of `struct nlmsghdr`.
const HEADER: usize = 16;

/// Longest wait for the kernel's answer. It answers at once, unless something is badly wrong.
const PATIENCE: Duration = Duration::from_secs(2);

/// Room for notices that wait to be read, in bytes. What doesn't fit is lost, and the loss told.
const NOTICES: usize = 4 << 20;

/// Why the kernel did not do or say what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// It refused.
    #[error("the kernel refused: {0}")]
    Refused(io::Error),
    /// The socket failed; nobody knows whether the request was carried out.
    #[error("netlink failed: {0}")]
    Socket(io::Error),
    /// The answer makes no sense.
    #[error("the kernel's answer makes no sense: {0}")]
    Nonsense(&'static str),
}

impl NetlinkError {
    /// The number of a refusal.
    pub(super) fn refusal(&self) -> Option<Errno> {
        match self {
            Self::Refused(error) => Errno::from_io_error(error),
            _ => None,
        }
    }
}

impl From<Errno> for NetlinkError {
    fn from(errno: Errno) -> Self {
        Self::Socket(errno.into())
    }
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub(super) kind: u16,
    pub(super) flags: u16,
    sequence: u32,
    /// The port of the socket whose request caused it, 0 for the kernel itself.
    pub(super) port: u32,
    pub(super) body: Vec<u8>,
}

impl Message {
    /// What stands behind the header.
    #[must_use]
    pub fn into_body(self) -> Vec<u8> {
        self.body
    }
}

/// A socket to the kernel's routing family.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    port: u32,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// A socket for requests.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn new() -> Result<Self, NetlinkError> {
        let socket = Self::open(0, SocketFlags::CLOEXEC)?;
        set_socket_timeout(&socket.fd, Timeout::Recv, Some(PATIENCE))?;
        Ok(socket)
    }

    /// A socket for notices, which never blocks.
    pub(super) fn subscribed(groups: u32) -> Result<Self, NetlinkError> {
        let socket = Self::open(groups, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        // Without the right to force it the default of 200 KiB stays.
        let _ = set_socket_recv_buffer_size_force(&socket.fd, NOTICES);
        Ok(socket)
    }

    fn open(groups: u32, flags: SocketFlags) -> Result<Self, NetlinkError> {
        // NETLINK_ROUTE is protocol 0.
        let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&fd, &SocketAddrNetlink::new(0, groups))?;
        let port = SocketAddrNetlink::try_from(getsockname(&fd)?)?.pid();
        Ok(Self {
            fd,
            port,
            sequence: 0,
            buffer: vec![0; 1 << 16],
        })
    }

    /// The number by which the kernel knows this socket.
    pub(super) fn port(&self) -> u32 {
        self.port
    }

    /// Sends one request and reads up to its acknowledgement or the end of the dump. Everything
    /// that the kernel says in between is the answer.
    ///
    /// # Errors
    ///
    /// [`NetlinkError`]; a refusal is told from the rest.
    pub fn request(
        &mut self,
        kind: u16,
        flags: u16,
        body: &[u8],
    ) -> Result<Vec<Message>, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER + body.len())
            .map_err(|_| NetlinkError::Nonsense("too long a request"))?;
        let mut request = Vec::with_capacity(HEADER + body.len());
        request.extend(length.to_ne_bytes());
        request.extend(kind.to_ne_bytes());
        request.extend((flags | flag::REQUEST).to_ne_bytes());
        request.extend(self.sequence.to_ne_bytes());
        request.extend(self.port.to_ne_bytes());
        request.extend(body);
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&self.fd, &request, SendFlags::empty(), &kernel)?;
        let mut answer = Vec::new();
        loop {
            for message in self.receive()? {
                // An answer that came too late for a request before this one.
                if message.sequence != self.sequence || message.port != self.port {
                    continue;
                }
                match message.kind {
                    kind::ERROR => return acknowledged(&message).map(|()| answer),
                    kind::DONE => return Ok(answer),
                    kind::OVERRUN => return Err(NetlinkError::Nonsense("data were lost")),
                    _ if message.flags & flag::INTERRUPTED != 0 => {
                        return Err(NetlinkError::Nonsense("the list changed while it was read"));
                    }
                    _ => answer.push(message),
                }
            }
        }
    }

    /// The notices that wait, or `None` when some were lost.
    pub(super) fn notices(&mut self) -> Result<Option<Vec<Message>>, NetlinkError> {
        let mut notices = Vec::new();
        let mut complete = true;
        loop {
            match self.receive() {
                Ok(messages) => notices.extend(messages),
                Err(NetlinkError::Socket(error)) => match Errno::from_io_error(&error) {
                    Some(Errno::AGAIN) => return Ok(complete.then_some(notices)),
                    Some(Errno::NOBUFS) => complete = false,
                    Some(Errno::INTR) => {}
                    _ => return Err(NetlinkError::Socket(error)),
                },
                // Something came and can't be read: as good as lost.
                Err(NetlinkError::Nonsense(_)) => complete = false,
                Err(error) => return Err(error),
            }
        }
    }

    /// One datagram of the kernel; what any other process sends is passed over.
    fn receive(&mut self) -> Result<Vec<Message>, NetlinkError> {
        loop {
            let (_, length, from) = recvfrom(&self.fd, &mut self.buffer[..], RecvFlags::TRUNC)?;
            let sender = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
            if sender.is_none_or(|sender| sender.pid() != 0) {
                continue;
            }
            let bytes = self.buffer.get(..length);
            return split(bytes.ok_or(NetlinkError::Nonsense("it is cut off"))?);
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn acknowledged(message: &Message) -> Result<(), NetlinkError> {
    match number(&message.body, 0) {
        None => Err(NetlinkError::Nonsense("an error without a number")),
        Some(0) => Ok(()),
        Some(code) => {
            let code = i32::from_ne_bytes(code.to_ne_bytes()).saturating_neg();
            Err(NetlinkError::Refused(io::Error::from_raw_os_error(code)))
        }
    }
}

/// Cuts a datagram into messages.
fn split(mut bytes: &[u8]) -> Result<Vec<Message>, NetlinkError> {
    let cut_off = NetlinkError::Nonsense("a message is cut off");
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let header = (
            number(bytes, 0),
            short(bytes, 4),
            short(bytes, 6),
            number(bytes, 8),
            number(bytes, 12),
        );
        let (Some(length), Some(kind), Some(flags), Some(sequence), Some(port)) = header else {
            return Err(cut_off);
        };
        let length = length as usize;
        let Some(body) = bytes.get(HEADER..length) else {
            return Err(cut_off);
        };
        messages.push(Message {
            kind,
            flags,
            sequence,
            port,
            body: body.to_vec(),
        });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(messages)
}

/// The attributes of `bytes` as pairs of type and value; ends at the first that is cut off.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(short(bytes, 0)?);
        // The two upper bits say that it is nested, or in network order.
        let kind = short(bytes, 2)? & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute of this type.
pub(super) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(found, value)| (found == kind).then_some(value))
}

/// Appends an attribute with its padding.
pub fn push_attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// A text of an attribute, without its closing zero.
pub(super) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0);
    let text = value.get(..end.unwrap_or(value.len()));
    String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
}

/// Four bytes at `at`.
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*four))
}

/// Eight bytes at `at`.
pub(super) fn long(bytes: &[u8], at: usize) -> Option<u64> {
    let eight = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_ne_bytes(*eight))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*two))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_read_back() {
        let mut body = Vec::new();
        push_attribute(&mut body, 1, b"plug\0");
        push_attribute(&mut body, 2 | 1 << 15, &[7; 8]);
        assert_eq!(body.len(), 12 + 12);
        assert_eq!(attribute(&body, 1).map(text).as_deref(), Some("plug"));
        assert_eq!(attribute(&body, 2), Some(&[7; 8][..]));
        assert_eq!(attribute(&body, 3), None);
    }

    #[test]
    fn what_is_cut_off_ends_the_list_and_nothing_else() {
        let mut body = Vec::new();
        push_attribute(&mut body, 1, &[1, 2, 3, 4]);
        push_attribute(&mut body, 2, &[5, 6, 7, 8]);
        for length in 0..body.len() {
            let whole = attributes(&body[..length]).count();
            assert_eq!(whole, usize::from(length >= 8));
        }
        // A length of nought must not go round for ever.
        assert_eq!(attributes(&[0; 16]).count(), 0);
        assert!(split(&[0; 16]).is_err());
        assert!(split(&[1; 3]).is_err());
    }
}
