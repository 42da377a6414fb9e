//! The kernel lab: Debian's kernels booted in QEMU, with an initramfs made here from Debian
//! packages that are unpacked and never installed. No root is needed on the host.
//!
//! ```text
//! packages -> image (cpio) -> guest (QEMU) <-- frames of `protocol` over virtio --> lab-init
//! ```
//!
//! docs/lab.md says how to use it and what was measured.

pub mod build;
pub mod cache;
pub mod cpio;
pub mod guest;
pub mod headers;
pub mod image;
pub mod kbuild;
pub mod kernel;
pub mod modules;
pub mod packages;
pub mod protocol;
pub mod qemu;
pub mod root;
pub mod rust;

use std::fmt;
use std::str::FromStr;

/// Why there is no result from the lab.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Something that the lab needs can't be had here: a reason to skip, not to fail.
    #[error("{0}")]
    Unavailable(String),
    /// The system refused something on the host.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The guest did something that it must not do: a crash, silence, a broken frame.
    #[error("{0}")]
    Guest(String),
}

impl LabError {
    /// Puts what was tried in front of an error of the system.
    pub fn io(what: impl fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self::Io {
            what: what.to_string(),
            error,
        }
    }
}

/// Where scenarios can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The reference model, no kernel at all.
    Model,
    /// The running kernel, in network namespaces.
    Namespace,
    /// A guest with this kernel.
    Qemu(Kernel),
}

/// The kernels of the lab; each is the newest that Debian has of its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kernel {
    /// Debian 12's own.
    V6_1,
    /// The 6.12 line, built for Debian 12.
    V6_12,
    /// The newest one, from the backports of Debian 13.
    V7,
}

impl Kernel {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::V6_1, Self::V6_12, Self::V7];
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Model,
        Self::Namespace,
        Self::Qemu(Kernel::V6_1),
        Self::Qemu(Kernel::V6_12),
        Self::Qemu(Kernel::V7),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Namespace => "namespace",
            Self::Qemu(Kernel::V6_1) => "qemu:6.1",
            Self::Qemu(Kernel::V6_12) => "qemu:6.12",
            Self::Qemu(Kernel::V7) => "qemu:7",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Target::Qemu(*self).fmt(f)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|target| target.name() == text)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join("`, `");
                format!("no target `{text}`; there are `{names}`")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn every_target_is_read_back_from_its_name() {
        for target in Target::ALL {
            assert_eq!(target.to_string().parse(), Ok(target));
        }
        assert!("qemu:5".parse::<Target>().is_err());
    }
}
