//! QEMU's command line: what a guest is made of, what its clock goes by, and cables to other guests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::LabError;
use super::image::Image;
use super::protocol::PORT;

pub(super) const QEMU: &str = "qemu-system-x86_64";
/// No console output is of interest, warnings of the kernel are. On a busy machine the timer of a guest
/// may come too late for the test that the kernel makes of it, and it would panic.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet loglevel=5 panic=-1 oops=panic nowatchdog \
    mitigations=off nokaslr norandmaps random.trust_cpu=on net.ifnames=0 no_timer_check";
/// Of Xen. The memory beyond dom0's is for the domains that it starts.
const HYPERVISOR_ARGUMENTS: &str = "console=com1 com1=115200,8n1 dom0_mem=900M,max:900M \
    dom0_max_vcpus=1 loglvl=warning guest_loglvl=warning sched=credit2";
/// Of the kernel in dom0, whose console is Xen's.
const DOM0_ARGUMENTS: &str = "console=hvc0 quiet loglevel=5 panic=-1 oops=panic nowatchdog \
    random.trust_cpu=on net.ifnames=0";
/// What QEMU computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// QEMU's own translator, which works everywhere.
    Tcg,
    /// The processor's help through /dev/kvm.
    Kvm,
}

impl Accelerator {
    /// TCG, unless LAB_ACCEL=kvm asks for more.
    #[must_use]
    pub fn wanted() -> Self {
        match std::env::var_os("LAB_ACCEL") {
            Some(value) if value == "kvm" => Self::Kvm,
            _ => Self::Tcg,
        }
    }
}

/// What a guest's clock goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// The clock of this machine.
    Wall,
    /// A nanosecond for each instruction, and a jump over times in which the guest sleeps (QEMU's
    /// `-icount`). What is measured by it, and what is waited for, is the same on a busy machine. TCG
    /// only; several processors take turns.
    Instructions,
    /// A nanosecond for each instruction, and times in which the guest sleeps as long as they are. For guests
    /// that wait for each other.
    InstructionsAwake,
}

/// What chooses the clock.
const CLOCK: &str = "LAB_CLOCK";

impl Clock {
    /// What LAB_CLOCK asks for, `wall` or `instructions`, or else `usual`. Only TCG counts instructions, so
    /// with KVM the clock is then that of the wall. Another word is refused by [`Guest::boot`].
    #[must_use]
    pub fn asked_or(usual: Self) -> Self {
        match std::env::var(CLOCK).as_deref() {
            Ok("wall") => Self::Wall,
            Ok("instructions") => Self::Instructions,
            _ if Accelerator::wanted() == Accelerator::Kvm => Self::Wall,
            _ => usual,
        }
    }

    /// Whether LAB_CLOCK says what is known.
    pub(super) fn is_asked_well() -> Result<(), LabError> {
        let Some(asked) = std::env::var_os(CLOCK) else {
            return Ok(());
        };
        match asked == "wall" || asked == "instructions" {
            true => Ok(()),
            false => Err(LabError::Guest(format!(
                "{CLOCK} is `{}`; write `wall` or `instructions`, or leave it out",
                asked.display()
            ))),
        }
    }
}

/// The size of a guest, and its clock.
#[derive(Clone, Debug)]
pub struct Size {
    /// Memory in MiB.
    pub memory: u32,
    /// Processors.
    pub processors: u32,
    /// What its clock goes by.
    pub clock: Clock,
}

impl Default for Size {
    fn default() -> Self {
        Self {
            memory: 512,
            processors: 1,
            clock: Clock::asked_or(Clock::Wall),
        }
    }
}

/// An Ethernet cable to another guest, on a socket of this machine that no other program can reach. It stays
/// plugged in when the other end is gone, as a cable to a switch does.
#[derive(Clone, Debug)]
pub struct Link {
    /// The socket.
    pub socket: PathBuf,
    /// Whether this end makes the socket. It has to be there first.
    pub listens: bool,
    /// The MAC address of this end.
    pub mac: String,
}

impl Link {
    fn put(&self, number: usize, qemu: &mut Command) {
        let server = if self.listens { "on" } else { "off" };
        let path = self.socket.display();
        qemu.arg("-netdev").arg(format!(
            "stream,id=link{number},server={server},addr.type=unix,addr.path={path}"
        ));
        qemu.arg("-device").arg(format!(
            "virtio-net-pci,netdev=link{number},mac={}",
            self.mac
        ));
    }
}

/// Whether this machine has QEMU.
///
/// # Errors
/// [`LabError::Unavailable`] when it has not.
pub fn find_qemu() -> Result<(), LabError> {
    let found = Command::new(QEMU).arg("--version").output();
    match found {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(LabError::Unavailable(format!(
            "no `{QEMU}` (Debian package qemu-system-x86)"
        ))),
    }
}

/// The command that starts a guest with its console in a file and its port (see `protocol`) on a socket.
pub(super) fn command(
    image: &Image,
    size: &Size,
    links: &[Link],
    accelerator: Accelerator,
    socket: &Path,
    console: &Path,
) -> Command {
    let mut qemu = Command::new(QEMU);
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none"]);
    qemu.args(["-no-reboot", "-machine", "q35"]);
    match accelerator {
        // A paravirtual kernel trips over what the largest processor of QEMU has.
        _ if image.hypervisor.is_some() => qemu.args(["-accel", "tcg", "-cpu", "qemu64"]),
        Accelerator::Tcg => qemu.args(["-accel", "tcg", "-cpu", "max"]),
        Accelerator::Kvm => qemu.args(["-accel", "kvm", "-cpu", "host"]),
    };
    match size.clock {
        Clock::Wall => &mut qemu,
        Clock::Instructions => qemu.args(["-icount", "shift=0,sleep=off"]),
        Clock::InstructionsAwake => qemu.args(["-icount", "shift=0,sleep=on"]),
    };
    qemu.arg("-smp").arg(size.processors.to_string());
    qemu.arg("-m").arg(format!("{}M", size.memory));
    match &image.hypervisor {
        None => {
            qemu.arg("-kernel").arg(&image.kernel.image);
            qemu.arg("-initrd").arg(image.initrd.path());
            qemu.args(["-append", KERNEL_ARGUMENTS]);
        }
        // Multiboot modules: the kernel with its arguments, then its initramfs. A comma parts them.
        Some(hypervisor) => {
            let (kernel, initrd) = (image.kernel.image.display(), image.initrd.path().display());
            qemu.arg("-kernel").arg(hypervisor);
            qemu.args(["-append", HYPERVISOR_ARGUMENTS]);
            qemu.arg("-initrd")
                .arg(format!("{kernel} {DOM0_ARGUMENTS},{initrd}"));
        }
    }
    qemu.args(["-device", "virtio-serial-pci"]);
    qemu.arg("-chardev")
        .arg(format!("socket,id=port,path={}", socket.display()));
    qemu.arg("-device")
        .arg(format!("virtserialport,chardev=port,name={PORT}"));
    for (number, link) in links.iter().enumerate() {
        link.put(number, &mut qemu);
    }
    qemu.arg("-serial")
        .arg(format!("file:{}", console.display()));
    qemu.stdin(Stdio::null()).stdout(Stdio::null());
    qemu.stderr(Stdio::piped());
    qemu
}
