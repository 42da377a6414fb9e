//! The devices of a probe, in the network namespace of this process: what a guest sends goes in at
//! `guest` and comes out at `world`, unless rules on `vif0` hold it.
//!
//! ```text
//! guest <-veth-> vif0 (port of br0)      out0 (port of br0) <-veth-> world
//! ```
//!
//! Frames are sent and seen with packet sockets (packet(7)). A frame that was redirected shows in the
//! IFB's own counter, which counts what has left its qdisc.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use pnet_datalink::{Channel, Config, DataLinkReceiver, DataLinkSender};

/// The interface whose ingress has the rules.
pub(super) const VIF: &str = "vif0";
/// The interface that holds frames.
pub(super) const IFB: &str = "ifb-vif0";
/// The only nftables table.
pub(super) const TABLE: &str = "epochgate_probe";

/// Both ends of the vif, which can be made anew.
const MAKE_VIF: &str = "ip link add guest type veth peer name vif0 && ip link set vif0 master br0 && \
    ip link set guest arp off up && ip link set vif0 arp off up";
const MAKE_REST: &str = "ip link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0 && \
    ip link add out0 type veth peer name world && ip link set out0 master br0 && \
    for link in br0 out0 world; do ip link set $link arp off up || exit 1; done";
/// How long frames are waited for that may never come.
const PATIENCE: Duration = Duration::from_millis(300);
/// How often a frame is sent of which nothing is seen. A link that has just come up loses what is sent
/// until the kernel has noticed its carrier and gives it a queue (net/core/link_watch.c).
const TRIES: usize = 5;

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It came out and had not been on the IFB.
    Passed,
    /// It went through the IFB and came out, byte for byte.
    Held,
    /// It went to the IFB and did not come out as it was.
    HeldAndLost,
    /// It was not seen again.
    Lost,
}

/// The devices, and a way to send frames through them.
#[derive(Debug)]
pub(crate) struct Bench {
    /// Why frames can't be sent, if they can't.
    unfit: Option<String>,
}

impl Bench {
    /// Makes the devices. A kernel without them is still asked what can be asked without frames.
    pub(crate) fn new() -> Self {
        // Nothing but what is sent here may be on the wires.
        for setting in [
            "ipv6/conf/all/disable_ipv6",
            "ipv6/conf/default/disable_ipv6",
        ] {
            let _ = fs::write(format!("/proc/sys/net/{setting}"), "1");
        }
        for protocol in ["arptables", "ip6tables", "iptables"] {
            let _ = fs::write(
                format!("/proc/sys/net/bridge/bridge-nf-call-{protocol}"),
                "0",
            );
        }
        let made = shell(MAKE_REST).and_then(|_| shell(MAKE_VIF));
        Self {
            unfit: made
                .err()
                .map(|said| format!("no veth pair or bridge: {said}")),
        }
    }

    /// Takes away rules and IFBs of the check before.
    pub(super) fn clean(&mut self) {
        // Most of it is not there, most of the time.
        let _ = shell(&format!(
            "tc qdisc del dev {VIF} clsact; nft delete table netdev {TABLE}; ip link del {IFB}"
        ));
        if self.unfit.is_none() && shell("ip link show vif0").is_err() {
            self.unfit = shell(MAKE_VIF).err();
        }
    }

    /// Runs shell text; the error is the first line of what was said.
    pub(super) fn sh(&self, text: &str) -> Result<String, String> {
        shell(text)
    }

    /// Makes the IFB anew and brings it up.
    pub(super) fn make_ifb(&self) -> Result<String, String> {
        shell(&format!(
            "ip link add {IFB} type ifb && ip link set {IFB} up"
        ))
    }

    /// Makes the vif anew, as when a guest starts again.
    pub(super) fn make_vif_again(&self) -> Result<String, String> {
        shell(&format!("ip link del {VIF} && {MAKE_VIF}"))
    }

    /// Sends a frame, again if nothing is seen of it, and says what became of it.
    pub(super) fn fate(&self, frame: &[u8]) -> Result<Fate, String> {
        let before = redirected()?;
        let mut arrived = false;
        for _ in 0..TRIES {
            arrived = self.send(&[frame])? == 1;
            if arrived {
                break;
            }
        }
        Ok(match (redirected()? > before, arrived) {
            (true, true) => Fate::Held,
            (true, false) => Fate::HeldAndLost,
            (false, true) => Fate::Passed,
            (false, false) => Fate::Lost,
        })
    }

    /// Sends frames and counts those that come out as they were.
    pub(super) fn send(&self, frames: &[&[u8]]) -> Result<usize, String> {
        if let Some(why) = &self.unfit {
            return Err(why.clone());
        }
        let (mut guest, mut world) = (open("guest")?.out, open("world")?.into);
        for frame in frames {
            match guest.send_to(frame, None) {
                Some(Ok(())) => {}
                Some(Err(error)) => return Err(format!("a frame can't be sent: {error}")),
                None => return Err(String::from("a frame can't be sent")),
            }
        }
        let deadline = Instant::now() + PATIENCE;
        let mut arrived = 0;
        while arrived < frames.len() && Instant::now() < deadline {
            // An error is the end of a short wait.
            if let Ok(seen) = world.next() {
                arrived += usize::from(frames.contains(&seen));
            }
        }
        Ok(arrived)
    }
}

/// Both directions of a packet socket.
struct Port {
    out: Box<dyn DataLinkSender>,
    into: Box<dyn DataLinkReceiver>,
}

/// A packet socket on a device.
fn open(device: &str) -> Result<Port, String> {
    let config = Config {
        read_timeout: Some(PATIENCE / 10),
        write_timeout: Some(PATIENCE),
        ..Config::default()
    };
    let interface = pnet_datalink::interfaces()
        .into_iter()
        .find(|interface| interface.name == device)
        .ok_or_else(|| format!("there is no `{device}`"))?;
    match pnet_datalink::channel(&interface, config) {
        Ok(Channel::Ethernet(out, into)) => Ok(Port { out, into }),
        Ok(_) => Err(format!("`{device}` is no Ethernet")),
        Err(error) => Err(format!("no packet socket on `{device}`: {error}")),
    }
}

/// How many frames have been through the IFB; none if there is no IFB.
fn redirected() -> Result<u64, String> {
    let table = fs::read_to_string("/proc/self/net/dev").map_err(|e| e.to_string())?;
    let counters = table.lines().find_map(|line| {
        let (device, counters) = line.split_once(':')?;
        (device.trim() == IFB).then_some(counters)
    });
    Ok(counters
        .and_then(|counters| counters.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0))
}

fn shell(text: &str) -> Result<String, String> {
    let output = Command::new("sh")
        .args(["-c", text])
        .output()
        .map_err(|error| format!("can't run `sh`: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said.lines().map(str::trim).find(|line| !line.is_empty());
    Err(line.map_or_else(|| output.status.to_string(), ToOwned::to_owned))
}
