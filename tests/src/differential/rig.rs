//! The interfaces around the rules, in the namespace of the calling thread, and one case put
//! through them.
//!
//! ```text
//! vif0 (tap, port of br0) -> rules -> br0 -> out0 (tap, port of br0)
//!                              |                 ^
//!                              +-> IFB with a plug
//! ```
//!
//! `seen0` and `held0` are taps for frames that end in the bridge, see [`super::way`]. Writing to a
//! tap hands the frame to the kernel's receive path within the call (`tun_rx_batched` in
//! drivers/net/tun.c), and everything up to `out0` or the plug is done there and then. What the IFB
//! gives back comes later; its own counter tells when all of it has come.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use compiler::backend::Loader;

use super::answer::{CaseAnswer, Counts};
use super::batch::Case;
use super::judge::{Judge, Place, Setting};
use super::port::{Port, Sent};
use super::way::{WITNESS, witness_bpf};
use super::{IFB, VIF};

/// Before there are interfaces: IPv6 would send reports of its own as soon as one is up.
const SILENCE: &str = r"
for f in /proc/sys/net/ipv6/conf/all/disable_ipv6 /proc/sys/net/ipv6/conf/default/disable_ipv6; do
    [ ! -e $f ] || echo 1 > $f
done
";

/// As [`crate::netlab`]: nothing but the rules and the bridge decides about a frame. `noqueue`,
/// because a queue that sorts by flow would change the order. The ring of a tap has as many places
/// as its queue is long.
const TOPOLOGY: &str = r"
set -e
for f in /proc/sys/net/bridge/bridge-nf-call-*; do
    [ ! -e $f ] || echo 0 > $f
done
ip -batch - <<EOF
link set vif0 address 02:65:67:00:00:01
link set out0 address 02:65:67:00:00:02
link add br0 address 02:65:67:00:00:03 type bridge stp_state 0 forward_delay 0 mcast_snooping 0
link add ifb-vif0 type ifb
EOF
for link in vif0 out0 seen0 held0; do
    echo link set $link mtu 65521 arp off txqueuelen 16384 up
done | ip -batch -
for port in vif0 out0; do
    echo link set $port master br0
    echo link set $port type bridge_slave learning off flood on mcast_flood on bcast_flood on group_fwd_mask 65533
done | ip -batch -
for link in br0 ifb-vif0; do
    echo link set $link arp off up
done | ip -batch -
for link in out0 seen0 held0; do
    echo qdisc replace dev $link root noqueue
done | tc -batch -
tc qdisc add dev ifb-vif0 clsact
";

/// Bytes that may be held at once.
const LIMIT: &str = "2000000000";
/// Frames that are sent before what came out is read.
const STRIDE: usize = 128;
/// No release takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long something is waited for that is missing once the IFB has given everything back.
const GRACE: Duration = Duration::from_millis(50);

/// The interfaces.
#[derive(Debug)]
pub struct Rig {
    vif: Port,
    out: Port,
    seen: Port,
    held: Port,
    setting: Setting,
    loaded: Option<Loader>,
}

impl Rig {
    /// Makes the interfaces in the namespace of the calling thread, where none of them may be.
    ///
    /// # Errors
    /// What could not be made, in words.
    pub fn new() -> Result<Self, String> {
        run("sh", &["-c", SILENCE], "")?;
        let open = |name| Port::open(name).map_err(|e| format!("no tap `{name}`: {e}"));
        let mut rig = Self {
            vif: open(VIF)?,
            out: open("out0")?,
            seen: open("seen0")?,
            held: open("held0")?,
            setting: Setting {
                plug: false,
                br_netfilter: Path::new("/proc/sys/net/bridge").exists(),
            },
            loaded: None,
        };
        run("sh", &["-c", TOPOLOGY], "")?;
        let root = ["qdisc", "add", "dev", IFB, "root"];
        rig.setting.plug = run("tc", &[&root[..], &["plug", "limit", LIMIT]].concat(), "").is_ok();
        if !rig.setting.plug {
            run("tc", &[&root[..], &["bfifo", "limit", LIMIT]].concat(), "")?;
        }
        // The stand-in holds nothing, so every frame is looked at on the IFB.
        let program = if rig.setting.plug {
            witness_bpf()
        } else {
            String::from("1,6 0 0 4294967295")
        };
        let filter = [
            "filter", "add", "dev", IFB, "egress", "pref", "1", "protocol", "all",
        ];
        let rest = [
            "bpf", "bytecode", &program, "flowid", ":1", "action", "mirred", "egress",
        ];
        let mirror = ["mirror", "dev", "held0"];
        run("tc", &[&filter[..], &rest, &mirror].concat(), "")?;
        Ok(rig)
    }

    /// Whether the kernel's plug holds what is held.
    #[must_use]
    pub fn plug(&self) -> bool {
        self.setting.plug
    }

    /// Loads the rules of a case and sends its frames.
    pub fn run(&mut self, case: &Case) -> CaseAnswer {
        let done = self.load(case).and_then(|()| self.send(case));
        done.unwrap_or_else(|failure| CaseAnswer {
            name: case.name.clone(),
            counts: Counts::default(),
            failure: Some(failure),
            differences: Vec::new(),
        })
    }

    /// Puts the rules of a case in place of those of the last one.
    fn load(&mut self, case: &Case) -> Result<(), String> {
        let loader = case.backend.loader();
        let before = self.loaded.replace(loader);
        let witness_alone = format!("flush ruleset\n{WITNESS}");
        match loader {
            Loader::Nft => {
                if before == Some(Loader::Tc) {
                    run("tc", &["qdisc", "del", "dev", VIF, "clsact"], "")?;
                }
                let transaction = format!("{witness_alone}{}", case.rules);
                run("nft", &["-f", "-"], &transaction)?;
            }
            Loader::Tc => {
                let anew = if before == Some(Loader::Tc) {
                    "qdisc del dev vif0 clsact\nqdisc add dev vif0 clsact\n"
                } else {
                    run("nft", &["-f", "-"], &witness_alone)?;
                    "qdisc add dev vif0 clsact\n"
                };
                run("tc", &["-batch", "-"], &format!("{anew}{}", case.rules))?;
            }
        }
        Ok(())
    }

    fn send(&mut self, case: &Case) -> Result<CaseAnswer, String> {
        let returned = returned_by_ifb()?;
        let mut judge = Judge::new(case, self.setting);
        for (at, shot) in case.shots.iter().enumerate() {
            let sent = self.vif.send(shot.offload, &shot.frame);
            match sent.map_err(|e| format!("frame {at} can't be sent: {e}"))? {
                Sent::Taken => {}
                Sent::Refused => judge.refuse(at),
            }
            if at % STRIDE == STRIDE - 1 {
                self.collect(&mut judge, Place::Early)?;
            }
        }
        self.collect(&mut judge, Place::Early)?;
        let held = if self.setting.plug {
            release()?
        } else {
            judge.on_ifb() as u64
        };
        self.settle(&mut judge, returned + held)?;
        Ok(judge.finish())
    }

    /// Reads everything that has come out by now.
    fn collect(&mut self, judge: &mut Judge<'_>, out: Place) -> Result<(), String> {
        let ports = [
            (&mut self.out, out),
            (&mut self.seen, Place::Witness),
            (&mut self.held, Place::Ifb),
        ];
        for (port, place) in ports {
            while let Some((offload, frame)) = port.receive().map_err(|e| e.to_string())? {
                judge.see(place, offload, frame);
            }
        }
        Ok(())
    }

    /// Reads until the IFB has given back everything that it took.
    fn settle(&mut self, judge: &mut Judge<'_>, returned: u64) -> Result<(), String> {
        let begin = Instant::now();
        let mut all_back: Option<Instant> = None;
        loop {
            let now = returned_by_ifb()?;
            self.collect(judge, Place::Late)?;
            if now >= returned {
                let since = all_back.get_or_insert_with(Instant::now);
                if judge.is_complete(Place::Late) || since.elapsed() > GRACE {
                    return self.collect(judge, Place::Late);
                }
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!("the IFB gave back {now} frames of {returned}"));
            }
            thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Ends the epoch and releases it. Returns how many packets were held.
fn release() -> Result<u64, String> {
    let commands = "qdisc show dev ifb-vif0 root\n\
                    qdisc change dev ifb-vif0 root plug block\n\
                    qdisc change dev ifb-vif0 root plug release\n";
    let shown = run("tc", &["-s", "-batch", "-"], commands)?;
    let unreadable = || format!("no backlog in what tc shows: {shown}");
    let backlog = shown
        .lines()
        .find_map(|line| line.trim().strip_prefix("backlog "));
    let packets = backlog.and_then(|line| line.split(' ').nth(1)?.strip_suffix('p'));
    if !shown.contains("(dropped 0,") {
        return Err(format!("the plug has dropped packets: {shown}"));
    }
    packets.and_then(|n| n.parse().ok()).ok_or_else(unreadable)
}

/// How many packets the IFB has given back since it was made.
fn returned_by_ifb() -> Result<u64, String> {
    let table = fs::read_to_string("/proc/thread-self/net/dev").map_err(|e| e.to_string())?;
    let line = table
        .lines()
        .find_map(|line| line.trim().strip_prefix(IFB)?.strip_prefix(':'));
    let sent = line.and_then(|counters| counters.split_whitespace().nth(9)?.parse().ok());
    sent.ok_or_else(|| format!("no counters of {IFB}"))
}

/// Runs a program with `input` and returns what it prints.
fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let start = || -> io::Result<_> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that stops at an error reads no further, and says why.
            let _ = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output()
    };
    let output = start().map_err(|e| format!("can't run `{program}`: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "`{program}` failed ({}): {}",
        output.status,
        said.trim()
    ))
}
