//! From a bare kernel to a system that programs can run in.

use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::mount::{MountFlags, mount};
use rustix::system::{init_module, sethostname, uname};
use tests::lab::image::{KEPT_MODULES, MODULES};
use tests::lab::protocol::PORT;

/// What is mounted: type and place.
const MOUNTS: [(&str, &str); 6] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/run"),
    ("tmpfs", "/tmp"),
    ("devpts", "/dev/pts"),
];
/// What some kernels may lack.
const WELCOME: [(&str, &str); 2] = [("bpf", "/sys/fs/bpf"), ("cgroup2", "/sys/fs/cgroup")];
/// Modules that make interfaces by themselves, which scripts and tests want to do.
const PARAMETERS: [(&str, &CStr); 2] = [("ifb", c"numifbs=0"), ("dummy", c"numdummies=0")];
/// Modules whose files are kept: tests show what happens without them.
const KEPT: [&str; 8] = [
    "ifb",
    "sch_plug",
    "sch_ingress",
    "cls_u32",
    "cls_bpf",
    "cls_matchall",
    "act_mirred",
    "nft_fwd_netdev",
];

/// Mounts the file systems that programs expect.
pub(crate) fn mount_all() -> io::Result<()> {
    for (kind, place) in MOUNTS {
        fs::create_dir_all(place)?;
        mount(kind, place, kind, MountFlags::empty(), None)?;
    }
    for (kind, place) in WELCOME {
        let _ = mount(kind, place, kind, MountFlags::empty(), None);
    }
    sethostname(b"lab")?;
    // The decision diagrams reserve more address space than a small guest has memory.
    fs::write("/proc/sys/vm/overcommit_memory", "1")?;
    // The kernel's own choice, pfifo_fast, lets frames overtake each other by their priority, also
    // on an IFB to which a test has given no plug.
    fs::write("/proc/sys/net/core/default_qdisc", "pfifo")?;
    // What a plug holds stays charged to the socket that sent it, which here is a test's, not a VM's: at
    // 200 kB the sender would wait for a release.
    fs::write("/proc/sys/net/core/wmem_default", i32::MAX.to_string())?;
    // Debian has this one, and the deploy script keeps its lock there.
    fs::create_dir_all("/run/lock")?;
    Ok(())
}

/// Loads the modules of the image in their order; says which the kernel refused, and why.
pub(crate) fn load_modules() -> io::Result<Vec<String>> {
    let Ok(listing) = fs::read_dir(format!("/{MODULES}")) else {
        return Ok(Vec::new());
    };
    fs::create_dir_all(KEPT_MODULES)?;
    let mut paths: Vec<_> = listing.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let mut failed = Vec::new();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = name.split_once('-').map_or("", |(_, name)| name);
        let parameters = PARAMETERS.iter().find(|(module, _)| *module == name);
        let parameters = parameters.map_or(c"", |(_, parameters)| parameters);
        if let Err(error) = init_module(&fs::read(&path)?, parameters) {
            failed.push(format!("{name}: {error}"));
        }
        // The image lies in memory; most of what is loaded is not needed twice.
        if KEPT.contains(&name) {
            fs::rename(&path, format!("{KEPT_MODULES}/{name}.ko"))?;
        } else {
            fs::remove_file(&path)?;
        }
    }
    Ok(failed)
}

/// Switches the loopback interface on.
pub(crate) fn loopback() {
    let _ = Command::new("/bin/ip")
        .args(["link", "set", "lo", "up"])
        .status();
}

/// Opens the port to the host, which may take a moment to appear.
pub(crate) fn open_port() -> io::Result<File> {
    for _ in 0..500 {
        for entry in fs::read_dir("/sys/class/virtio-ports")
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
            if name.trim() == PORT {
                let device = format!("/dev/{}", entry.file_name().to_string_lossy());
                return OpenOptions::new().read(true).write(true).open(device);
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err(io::Error::other(format!("no virtio port `{PORT}`")))
}

/// The kernel's release.
pub(crate) fn release() -> String {
    uname().release().to_string_lossy().into_owned()
}

/// Milliseconds since the kernel's start.
pub(crate) fn uptime_ms() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/uptime")?;
    let seconds = text.split(' ').next().and_then(|s| s.parse::<f64>().ok());
    Ok((seconds.unwrap_or_default() * 1000.0) as u64)
}
