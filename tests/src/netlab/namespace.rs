//! One network namespace with the laboratory's interfaces, removed again when dropped.
//! Rules come from `ip-netns(8)`, `bridge(8)` and the kernel's bridge input path
//! (net/bridge/br_input.c): the settings below are those that keep the bridge from adding,
//! answering or eating frames, because only the rules under test may decide about a frame.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// All namespaces of the laboratory begin with this, then the process id, then a number.
const PREFIX: &str = "epochgate-lab-";

/// `eth1 - vif0 (br0) out0 - out1`, and `seen0 - seen1` for the witness of what was let pass.
///
/// The group_fwd_mask lets all of 01:80:c2:00:00:0x through but PAUSE, which the kernel never
/// forwards. MTU is the largest: captured frames can be longer than a wire's.
const TOPOLOGY: &str = r"
link add eth1 mtu 65535 type veth peer name vif0 mtu 65535
link add out0 mtu 65535 type veth peer name out1 mtu 65535
link add seen0 mtu 65535 type veth peer name seen1 mtu 65535
link set vif0 address 02:65:67:00:00:01
link set out0 address 02:65:67:00:00:02
link add br0 address 02:65:67:00:00:03 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
link set vif0 master br0
link set out0 master br0
link set vif0 type bridge_slave learning off flood on mcast_flood on bcast_flood on group_fwd_mask 65533
link set out0 type bridge_slave learning off flood on mcast_flood on bcast_flood on group_fwd_mask 65533
link set eth1 arp off txqueuelen 10000 up
link set vif0 arp off txqueuelen 10000 up
link set out0 arp off txqueuelen 10000 up
link set out1 arp off txqueuelen 10000 up
link set seen0 arp off txqueuelen 10000 up
link set seen1 arp off txqueuelen 10000 up
link set br0 arp off txqueuelen 10000 up
";

/// What the namespace's own settings must be, then the interfaces by one `ip` for all: starting a
/// program is slow in an emulated guest.
const PREPARE: &str = r#"
set -e
for f in /proc/sys/net/ipv6/conf/all/disable_ipv6 /proc/sys/net/ipv6/conf/default/disable_ipv6; do
    [ ! -e $f ] || echo 1 > $f
done
for f in /proc/sys/net/bridge/bridge-nf-call-*; do
    [ ! -e $f ] || echo 0 > $f
done
echo "$1" | ip -batch -
"#;

/// A network namespace of its own.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes the namespace and everything in it; on failure says what could not be done.
    pub(super) fn new() -> Result<Self, String> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        remove_orphans();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        succeed(Command::new("ip").args(["netns", "add", &name]))?;
        // From here on dropping `namespace` takes it away again.
        let namespace = Self { name };
        namespace.succeed(Command::new("sh").args(["-c", PREPARE, "sh", TOPOLOGY]))?;
        Ok(namespace)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run inside, with `/sys` showing the namespace's own interfaces.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// Runs a command inside to a successful end. `/sys` stays that of the machine, and no `ip` has
    /// to be started in between, which counts in an emulated guest.
    pub(super) fn succeed(&self, command: &mut Command) -> Result<Output, String> {
        let done = self.enter(|| succeed(command));
        done.map_err(|e| e.to_string())?
    }

    /// Runs `work` on a thread of its own inside the namespace: a namespace belongs to a thread.
    pub(super) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        let link = File::open(format!("/run/netns/{}", self.name))?;
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(work())
            });
            inside
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Packets that a gate still holds belong to sockets of this namespace, and would keep it, its
        // devices and their modules for good. A qdisc of a device that goes down drops them.
        let down = ["link", "set", "group", "default", "down"];
        let emptied = self.succeed(Command::new("ip").args(down));
        let removed = succeed(Command::new("ip").args(["netns", "del", &self.name]));
        if let Err(reason) = emptied.and(removed) {
            eprintln!(
                "the network namespace {} may be left behind: {reason}",
                self.name
            );
        }
    }
}

/// Runs a command to its end; a failure becomes text with what it said.
pub(super) fn succeed(command: &mut Command) -> Result<Output, String> {
    let shown = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|e| format!("can't run `{shown}`: {e}"))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "`{shown}` failed ({}): {}",
        output.status,
        said.trim()
    ))
}

/// A test that was killed can't clean up: the next one removes the namespaces of dead processes.
fn remove_orphans() {
    let Ok(listing) = fs::read_dir("/run/netns") else {
        return;
    };
    for entry in listing.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let Some((process, _)) = rest.split_once('-') else {
            continue;
        };
        if !fs::exists(format!("/proc/{process}")).unwrap_or(true) {
            let _ = succeed(Command::new("ip").args(["netns", "del", &name]));
        }
    }
}
