//! Both ends of the Xen lab's traffic (`tests::xen::traffic`): as the first process of a domU it sets the
//! domU up, sends and answers for ever; as `lab-xen far` it is the other end. `lab-xen mark FILE` writes the
//! wall clock to a file at once: to a trace of the kernel, so that its clock can be told from that of captures.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;

use rustix::mount::{MountFlags, mount};
use rustix::system::init_module;
use tests::xen::domu::{ADDRESSES, DEVICE, MODULES};
use tests::xen::traffic;

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
        _ if std::process::id() == 1 => domu(),
        _ => {
            eprintln!("usage: lab-xen far | mark FILE");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = done {
        eprintln!("lab-xen: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
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
    traffic::guest(DEVICE)?;
    println!("domU: talking");
    loop {
        thread::park();
    }
}

fn ip(words: &[&str]) -> io::Result<()> {
    let status = Command::new("/bin/busybox")
        .arg("ip")
        .args(words)
        .status()?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("ip {}", words.join(" ")))),
    }
}
