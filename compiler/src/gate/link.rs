//! The state of an interface, from `RTM_NEWLINK` (`struct ifinfomsg` and IFLA attributes in
//! `include/uapi/linux/if_link.h`), as far as it decides whether a qdisc still holds its packets.

use super::netlink::{
    NetlinkError, Socket, attribute, flag, kind, long, number, push_attribute, text,
};
use crate::device::Device;

use rustix::io::Errno;

/// Bytes of `struct ifinfomsg`.
const HEADER: usize = 16;

const IFLA_IFNAME: u16 = 3;
const IFLA_TXQLEN: u16 = 13;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_STATS64: u16 = 23;
const IFLA_INFO_KIND: u16 = 1;

const IFF_UP: u32 = 1;
const IFF_PROMISC: u32 = 0x100;
const IFF_ALLMULTI: u32 = 0x200;

/// One interface as it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number, which no other interface of the namespace ever gets while it exists.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its kind, `ifb` for one; empty for a piece of hardware.
    pub kind: String,
    /// Packets received. An IFB counts what its qdisc let go.
    pub received: u64,
    flags: u32,
    queue_length: Option<u32>,
    operating: Option<u8>,
}

impl Link {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let list = body.get(HEADER..)?;
        let info = attribute(list, IFLA_LINKINFO).unwrap_or_default();
        let counters = attribute(list, IFLA_STATS64).unwrap_or_default();
        Some(Self {
            index: number(body, 4)?,
            flags: number(body, 8)?,
            name: attribute(list, IFLA_IFNAME).map(text).unwrap_or_default(),
            kind: attribute(info, IFLA_INFO_KIND)
                .map(text)
                .unwrap_or_default(),
            received: long(counters, 0).unwrap_or_default(),
            queue_length: attribute(list, IFLA_TXQLEN).and_then(|value| number(value, 0)),
            operating: attribute(list, IFLA_OPERSTATE).and_then(|value| value.first().copied()),
        })
    }

    /// Whether it is up, as `ip link set ... up` makes it.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.flags & IFF_UP != 0
    }

    /// Whether a qdisc at its root surely kept its packets from `self` to `later`, two notices in
    /// a row. The kernel resets the qdisc when the link goes down, and also when the length of the
    /// transmit queue changes (`dev_qdisc_change_tx_queue_len`). That somebody listens to all
    /// packets (tcpdump) resets nothing.
    pub(super) fn keeps_queue_until(&self, later: &Self) -> bool {
        let bare = |link: &Self| link.flags & !(IFF_PROMISC | IFF_ALLMULTI);
        self.is_up()
            && later.is_up()
            && bare(self) == bare(later)
            && self.queue_length == later.queue_length
            && self.operating == later.operating
    }
}

/// Looks an interface up by its name.
pub(super) fn find(socket: &mut Socket, device: &Device) -> Result<Option<Link>, NetlinkError> {
    let mut body = vec![0; HEADER];
    let name = [device.as_str().as_bytes(), &[0]].concat();
    push_attribute(&mut body, IFLA_IFNAME, &name);
    let answer = match socket.request(kind::GET_LINK, flag::ACK, &body) {
        Err(error) if error.refusal() == Some(Errno::NODEV) => return Ok(None),
        answer => answer?,
    };
    let link = answer.iter().find(|message| message.kind == kind::NEW_LINK);
    let link = link.and_then(|message| Link::read(&message.body));
    link.map(Some)
        .ok_or(NetlinkError::Nonsense("it is no interface"))
}

#[cfg(test)]
mod tests {
    use super::super::netlink::attributes;
    use super::*;

    fn link(flags: u32, queue_length: u32, operating: u8) -> Link {
        let mut body = vec![0; 4];
        body.extend(7_u32.to_ne_bytes());
        body.extend(flags.to_ne_bytes());
        body.extend([0; 4]);
        push_attribute(&mut body, IFLA_IFNAME, b"ifb0\0");
        push_attribute(&mut body, IFLA_TXQLEN, &queue_length.to_ne_bytes());
        push_attribute(&mut body, IFLA_OPERSTATE, &[operating]);
        assert_eq!(attributes(&body[HEADER..]).count(), 3);
        Link::read(&body).unwrap()
    }

    #[test]
    fn what_resets_a_qdisc_is_told_from_what_does_not() {
        let up = link(IFF_UP, 32, 6);
        assert!(up.keeps_queue_until(&up));
        assert!(up.keeps_queue_until(&link(IFF_UP | IFF_PROMISC, 32, 6)));
        assert!(!up.keeps_queue_until(&link(0, 32, 2)));
        assert!(!link(0, 32, 2).keeps_queue_until(&up));
        assert!(!up.keeps_queue_until(&link(IFF_UP, 1000, 6)));
        assert!(!up.keeps_queue_until(&link(IFF_UP, 32, 2)));
    }
}
