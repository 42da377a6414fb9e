//! Both ends of the Xen lab's traffic (`tests::xen::traffic`): as the first process of a domU it sets the
//! domU up, sends and answers for ever; as `lab-xen far` it is the other end. `lab-xen mark FILE` writes the
//! wall clock to a file at once: to a trace of the kernel, so that its clock can be told from that of captures.
//! `lab-xen send ADDRESS` and `lab-xen receive ADDRESS COMMAND...` carry checkpoints (`tests::xen::wire`).

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use rustix::mount::{MountFlags, mount};
use rustix::system::init_module;
use tests::xen::domu::{ADDRESSES, DEVICE, MODULES};
use tests::xen::{call, traffic, wire};

/// What is mounted: type and place.
const MOUNTS: [(&str, &str); 3] = [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["far"] => traffic::far(),
        ["mark", file] => fs::OpenOptions::new()
            .write(true)
            .open(file)
            .and_then(|mut file| file.write_all(format!("wall={}", traffic::now()).as_bytes())),
        ["send", to] => address(to).and_then(wire::send),
        ["receive", own, ..] => address(own).and_then(|own| wire::receive(own, &words[2..])),
        _ if std::process::id() == 1 => domu(),
        _ => {
            eprintln!("usage: lab-xen far | mark FILE | send ADDRESS | receive ADDRESS COMMAND...");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = done {
        eprintln!("lab-xen: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn address(text: &str) -> io::Result<SocketAddr> {
    text.parse().map_err(io::Error::other)
}

/// From a bare kernel to a domU that talks. Does not come back: without its first process a kernel panics.
fn domu() -> io::Result<()> {
    for (kind, place) in MOUNTS {
        fs::create_dir_all(place)?;
        mount(kind, place, kind, MountFlags::empty(), None)?;
    }
    let mut modules: Vec<_> = fs::read_dir(format!("/{MODULES}"))?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    modules.sort();
    for module in modules {
        init_module(&fs::read(&module)?, c"")?;
    }
    let device = Path::new("/sys/class/net").join(DEVICE);
    while !device.exists() {
        thread::sleep(traffic::PACKET_TIME);
    }
    // No other host has these addresses: nobody waits for their check.
    fs::write(format!("/proc/sys/net/ipv6/conf/{DEVICE}/accept_dad"), "0")?;
    for words in [
        &["link", "set", "lo", "up"][..],
        &["link", "set", DEVICE, "up"],
    ] {
        ip(words)?;
    }
    for address in ADDRESSES {
        ip(&["addr", "add", address, "dev", DEVICE])?;
    }
    // A packet that is cut behind the vif is not the same frame before and behind the buffer.
    run(
        "/usr/sbin/ethtool",
        &["-K", DEVICE, "tso", "off", "gso", "off"],
    )?;
    traffic::guest(DEVICE)?;
    // Its screen is of no interest, its answers are.
    let _service = Command::new("/usr/bin/sipp")
        .args(call::service())
        .env("TERM", "linux")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    println!("domU: talking");
    loop {
        thread::park();
    }
}

fn ip(words: &[&str]) -> io::Result<()> {
    run("/bin/busybox", &[&["ip"], words].concat())
}

fn run(program: &str, words: &[&str]) -> io::Result<()> {
    let status = Command::new(program).args(words).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{program} {}", words.join(" ")))),
    }
}
