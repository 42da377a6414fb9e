//! One driver for one plug: two that count epochs on their own would each spend what the other
//! counted.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Held as long as it lives, and gone with the process however it ends.
///
/// It is a name among the abstract sockets. They belong to the network namespace, as the
/// interface does, so a number of an interface is a good name; a lock file would need a directory
/// that is the same for all namespaces.
#[derive(Debug)]
pub struct Lock {
    _socket: UnixDatagram,
}

impl Lock {
    /// Takes the lock of the interface with this number; `None` when somebody has it.
    ///
    /// # Errors
    ///
    /// What the system says when it can't be tried at all.
    pub fn take(index: u32) -> io::Result<Option<Self>> {
        match UnixDatagram::bind_addr(&name(index)?) {
            Ok(socket) => Ok(Some(Self { _socket: socket })),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether somebody has the lock; doesn't take it even for a moment, so that an onlooker never
/// keeps a driver out.
#[must_use]
pub fn is_taken(index: u32) -> bool {
    let knocks = || UnixDatagram::unbound()?.connect_addr(&name(index)?);
    knocks().is_ok()
}

fn name(index: u32) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("epochgate-gate-{index}"))
}

#[cfg(test)]
mod tests {
    use super::{Lock, is_taken};

    #[test]
    fn only_one_has_it_and_it_goes_with_its_holder() {
        // No interface has this number.
        let index = u32::MAX - std::process::id();
        assert!(!is_taken(index));
        let first = Lock::take(index).unwrap();
        assert!(is_taken(index));
        assert!(first.is_some());
        assert!(Lock::take(index).unwrap().is_none());
        drop(first);
        assert!(Lock::take(index).unwrap().is_some());
    }
}
