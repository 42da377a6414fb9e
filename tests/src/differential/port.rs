//! A tap interface that this program holds the other end of (Documentation/networking/tuntap.rst),
//! with `IFF_VNET_HDR`: a header in front of each frame says what offloads apply to it.

use std::fmt;
use std::io::{self, IoSlice};

use rustix::io::{Errno, read, writev};
use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use super::batch::{LONGEST, Offload};

const HEADER: usize = 10;

/// The open end.
pub struct Port {
    device: SyncDevice,
    buffer: Vec<u8>,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").finish_non_exhaustive()
    }
}

/// What the kernel says to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It took it, and has done with it all that needs no waiting.
    Taken,
    /// It knows no such offload, or the header does not fit the frame.
    Refused,
}

impl Port {
    /// Makes the interface `name`, up, in the namespace of the calling thread. It is gone when the
    /// port is dropped.
    ///
    /// # Errors
    /// What the system says; without `/dev/net/tun` that it does not exist.
    pub fn open(name: &str) -> io::Result<Self> {
        let device = DeviceBuilder::new()
            .name(name)
            .layer(Layer::L2)
            .offload(true)
            .build_sync()?;
        device.set_nonblocking(true)?;
        Ok(Self {
            device,
            buffer: vec![0; HEADER + LONGEST + 4],
        })
    }

    /// Sends a frame into the interface, as if it came in by wire.
    ///
    /// # Errors
    /// What the system says, other than that it refuses the frame.
    pub fn send(&self, offload: Offload, frame: &[u8]) -> io::Result<Sent> {
        let parts = [IoSlice::new(&offload.0), IoSlice::new(frame)];
        match writev(&self.device, &parts) {
            Ok(_) => Ok(Sent::Taken),
            Err(Errno::INVAL) => Ok(Sent::Refused),
            Err(error) => Err(error.into()),
        }
    }

    /// The next frame that went out of the interface, if there is one by now.
    ///
    /// # Errors
    /// What the system says.
    pub fn receive(&mut self) -> io::Result<Option<(Offload, &[u8])>> {
        let length = match read(&self.device, &mut self.buffer[..]) {
            Ok(length) => length,
            Err(Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut header = [0; HEADER];
        header.copy_from_slice(&self.buffer[..HEADER]);
        Ok(Some((Offload(header), &self.buffer[HEADER..length])))
    }
}

impl Offload {
    /// What must be the same behind the rules as in front of them: whether a checksum is missing and
    /// where, and the kind and size of segments. The length of the headers is a hint that each side
    /// works out anew, and a checksum that was already checked (`DATA_VALID`) may be noted.
    #[must_use]
    pub fn essence(self) -> Self {
        const NEEDS_CHECKSUM: u8 = 1;
        let [flags, kind, _, _, rest @ ..] = self.0;
        let mut essence = [0; 10];
        essence[0] = flags & NEEDS_CHECKSUM;
        essence[1] = kind;
        if kind != 0 {
            essence[4..6].copy_from_slice(&rest[..2]);
        }
        if essence[0] != 0 {
            essence[6..].copy_from_slice(&rest[2..]);
        }
        Self(essence)
    }
}
