//! Telling systemd how the daemon is: datagrams to NOTIFY_SOCKET, as in sd_notify(3). Without that
//! variable nothing is told.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Where to tell it, if anywhere.
#[derive(Debug)]
pub(super) struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// How long systemd waits for a sign of life.
    watchdog: Option<Duration>,
}

impl Notifier {
    /// From the environment of the process.
    pub(super) fn from_environment() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        // WATCHDOG_PID, where it is set, names the process that is watched.
        let watched =
            number("WATCHDOG_PID").is_none_or(|process| process == u64::from(std::process::id()));
        Self {
            to: variable("NOTIFY_SOCKET").and_then(|name| {
                let address = match name.as_bytes().strip_prefix(b"@") {
                    Some(abstracted) => SocketAddr::from_abstract_name(abstracted),
                    None => SocketAddr::from_pathname(&name),
                };
                Some((UnixDatagram::unbound().ok()?, address.ok()?))
            }),
            watchdog: number("WATCHDOG_USEC")
                .filter(|_| watched)
                .map(Duration::from_micros),
        }
    }

    /// Says it. That nobody hears it is no reason to stop.
    pub(super) fn say(&self, state: &str) {
        if let Some((socket, address)) = &self.to {
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }

    /// How often to say `WATCHDOG=1`.
    pub(super) fn beat(&self) -> Option<Duration> {
        self.watchdog.map(|longest| longest / 2)
    }
}
