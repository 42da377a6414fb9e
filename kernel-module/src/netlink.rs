// SPDX-License-Identifier: GPL-2.0

//! What is said over netlink: the options of a request, and the dump.
//!
//! C headers: [`include/uapi/linux/pkt_sched.h`](srctree/include/uapi/linux/pkt_sched.h),
//! [`include/net/netlink.h`](srctree/include/net/netlink.h)
//!
//! `TCA_OPTIONS` holds attributes of our own, or a bare `struct tc_plug_qopt`, so that whoever drives
//! `sch_plug` can drive this. The two can't be mistaken for each other: the structure begins with an
//! action of at most 3, and no attribute is shorter than its header of 4 bytes. A request is read
//! as a whole before any of it is done.

mod dump;

use kernel::error::code;
use kernel::prelude::Result;

use crate::gate::{Late, Overflow};
pub use dump::{LONGEST, Writer};

/// `TCA_EPOCHGATE_...`: the numbers of the attributes.
pub mod attribute {
    /// Ends the open epoch and begins this one; 64 bits.
    pub const BEGIN: u16 = 1;
    /// Lets this epoch go; 64 bits.
    pub const COMMIT: u16 = 2;
    /// Drops this epoch and all later ones; 64 bits.
    pub const ABORT: u16 = 3;
    /// Gives up protection until the next begin; no value.
    pub const OPEN: u16 = 4;
    /// Most bytes queued; 64 bits.
    pub const LIMIT: u16 = 5;
    /// Beyond the limit: 0 drops, 1 refuses epochs as well, 2 asks for a checkpoint as well.
    pub const OVERFLOW: u16 = 6;
    /// Bytes from which on it is asked; 64 bits, with 2 above.
    pub const ASK_AT: u16 = 7;
    /// Most epochs in flight; 32 bits.
    pub const IN_FLIGHT: u16 = 8;
    /// Milliseconds without a commit until the watchdog barks; 32 bits, 0 for never.
    pub const WATCHDOG: u16 = 9;
    /// What it then does: 0 holds and says so, 1 aborts, 2 opens.
    pub const LATE: u16 = 10;
    /// Bits of the mark of packets that pass by; 32 bits.
    pub const MARK: u16 = 11;
    /// Which bits of the mark are looked at; 32 bits.
    pub const MASK: u16 = 12;
    /// The first that only a dump has.
    pub const STATE: u16 = 32;
    /// The open epoch; 64 bits.
    pub const OPEN_EPOCH: u16 = 33;
    /// The newest committed epoch; 64 bits.
    pub const COMMITTED: u16 = 34;
    /// The epoch to commit next, 0 for none; 64 bits.
    pub const OLDEST: u16 = 35;
    /// Epochs in flight; 64 bits, as all counts below.
    pub const FLYING: u16 = 36;
    /// Packets in the queue.
    pub const HELD_PACKETS: u16 = 37;
    /// Their bytes, as compared with the limit.
    pub const HELD_BYTES: u16 = 38;
    /// Milliseconds that the oldest packet has waited for a commit.
    pub const AGE: u16 = 39;
    /// Commands refused.
    pub const REFUSED: u16 = 40;
    /// Times that the watchdog barked.
    pub const BARKS: u16 = 41;
    /// Packets and bytes (64 bits each) that passed by, and so on.
    pub const PASSED: u16 = 42;
    /// Left after a commit.
    pub const SENT: u16 = 43;
    /// Left without one.
    pub const UNPROTECTED: u16 = 44;
    /// Found no room.
    pub const OVERFLOWED: u16 = 45;
    /// Dropped with an aborted epoch.
    pub const ABORTED: u16 = 46;
    /// Lost when the device went down.
    pub const PURGED: u16 = 47;
}

/// Bits of `STATE`.
pub mod state {
    /// Protection is given up.
    pub const OPEN: u32 = 1;
    /// No commit came in time.
    pub const LATE: u32 = 2;
    /// A packet found no room and nothing has left since.
    pub const FULL: u32 = 4;
    /// A checkpoint is asked for.
    pub const ASKING: u32 = 8;
}

/// `TCQ_PLUG_...`.
pub mod plug {
    /// An epoch ends.
    pub const BUFFER: u32 = 0;
    /// One may leave.
    pub const RELEASE_ONE: u32 = 1;
    /// All may leave.
    pub const RELEASE_INDEFINITE: u32 = 2;
    /// The limit changes.
    pub const LIMIT: u32 = 3;
}

/// What is to be done, at most one thing in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ends the open epoch.
    Begin(u64),
    /// Lets an epoch go.
    Commit(u64),
    /// Drops an epoch.
    Abort(u64),
    /// Gives up protection.
    Open,
}

/// What is to be from now on; `None` stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Most bytes.
    pub limit: Option<u64>,
    /// Beyond the limit.
    pub overflow: Option<Overflow>,
    /// Most epochs in flight.
    pub in_flight: Option<u32>,
    /// Milliseconds.
    pub watchdog: Option<u32>,
    /// When it barks.
    pub late: Option<Late>,
    /// Bits of the mark.
    pub mark: Option<u32>,
    /// The bits looked at.
    pub mask: Option<u32>,
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// In our own attributes.
    Own(Settings, Option<Command>),
    /// `struct tc_plug_qopt`.
    Plug {
        /// One of [`plug`].
        action: u32,
        /// Bytes.
        limit: u32,
    },
}

impl Request {
    /// Reads the value of `TCA_OPTIONS`.
    ///
    /// # Errors
    ///
    /// `EINVAL` for what is cut off, not known, said twice or can't be done together; `ERANGE` for a
    /// number out of its range.
    pub fn read(options: &[u8]) -> Result<Self> {
        let words = (options.len(), number(options, 0), number(options, 4));
        if let (8, Some(action @ 0..=plug::LIMIT), Some(limit)) = words {
            return Ok(Self::Plug { action, limit });
        }
        let mut settings = Settings::default();
        let mut command = None;
        let mut overflow = None;
        let mut ask_at = None;
        let mut rest = options;
        while !rest.is_empty() {
            let (kind, value) = split(&mut rest)?;
            match kind {
                attribute::BEGIN => set(&mut command, Command::Begin(long(value)?))?,
                attribute::COMMIT => set(&mut command, Command::Commit(long(value)?))?,
                attribute::ABORT => set(&mut command, Command::Abort(long(value)?))?,
                attribute::OPEN if value.is_empty() => set(&mut command, Command::Open)?,
                attribute::LIMIT => set(&mut settings.limit, long(value)?)?,
                attribute::OVERFLOW => set(&mut overflow, word(value)?)?,
                attribute::ASK_AT => set(&mut ask_at, long(value)?)?,
                attribute::IN_FLIGHT => set(&mut settings.in_flight, word(value)?)?,
                attribute::WATCHDOG => set(&mut settings.watchdog, word(value)?)?,
                attribute::LATE => set(&mut settings.late, late(word(value)?)?)?,
                attribute::MARK => set(&mut settings.mark, word(value)?)?,
                attribute::MASK => set(&mut settings.mask, word(value)?)?,
                _ => return Err(code::EINVAL),
            }
        }
        settings.overflow = match (overflow, ask_at) {
            (None, None) => None,
            (Some(0), None) => Some(Overflow::DropNewest),
            (Some(1), None) => Some(Overflow::RefuseEpoch),
            (Some(2), Some(at)) => Some(Overflow::AskCheckpoint(at)),
            (Some(0..=2) | None, _) => return Err(code::EINVAL),
            (Some(_), _) => return Err(code::ERANGE),
        };
        if settings.in_flight == Some(0) {
            return Err(code::ERANGE);
        }
        Ok(Self::Own(settings, command))
    }
}

fn late(number: u32) -> Result<Late> {
    match number {
        0 => Ok(Late::Hold),
        1 => Ok(Late::Abort),
        2 => Ok(Late::Open),
        _ => Err(code::ERANGE),
    }
}

/// Sets what is said for the first time.
fn set<T>(place: &mut Option<T>, value: T) -> Result {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(code::EINVAL),
    }
}

/// Takes one attribute off the front: `struct nlattr` and its value, padded to four bytes.
fn split<'a>(rest: &mut &'a [u8]) -> Result<(u16, &'a [u8])> {
    let header: &[u8; 4] = rest.first_chunk().ok_or(code::EINVAL)?;
    let [a, b, c, d] = *header;
    let length = usize::from(u16::from_ne_bytes([a, b]));
    // The bit for "nested" says nothing here; one for "network order" would.
    let kind = u16::from_ne_bytes([c, d]) & 0x7fff;
    let value = rest.get(4..length).ok_or(code::EINVAL)?;
    let padded = length.wrapping_add(3) & !3;
    *rest = rest.get(padded..).unwrap_or_default();
    Ok((kind, value))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four: &[u8; 4] = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*four))
}

fn word(value: &[u8]) -> Result<u32> {
    let four: &[u8; 4] = value.try_into().map_err(|_| code::EINVAL)?;
    Ok(u32::from_ne_bytes(*four))
}

fn long(value: &[u8]) -> Result<u64> {
    let eight: &[u8; 8] = value.try_into().map_err(|_| code::EINVAL)?;
    Ok(u64::from_ne_bytes(*eight))
}

#[cfg(test)]
mod tests {
    use super::{Command, Request, Settings, Writer, attribute, code};
    use crate::gate::{Late, Overflow};
    use proptest::prelude::{any, proptest};

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Request::read(&bytes);
        }

        #[test]
        fn what_tc_sends_for_a_plug_is_known(action in 0_u32..4, limit in any::<u32>()) {
            let mut bytes = action.to_ne_bytes().to_vec();
            bytes.extend(limit.to_ne_bytes());
            assert_eq!(Request::read(&bytes), Ok(Request::Plug { action, limit }));
        }

        #[test]
        fn an_attribute_of_four_bytes_is_no_plug(kind in 1_u16..64, value in any::<u32>()) {
            let mut bytes = [0; 16];
            let mut writer = Writer::new(&mut bytes);
            writer.word(kind, value).unwrap();
            let length = writer.len();
            let read = Request::read(&bytes[..length]);
            assert!(!matches!(read, Ok(Request::Plug { .. })));
        }

        #[test]
        fn settings_are_read_as_they_were_written(limit in any::<u64>(), at in any::<u64>(), ms in any::<u32>(), epoch in any::<u64>()) {
            let mut bytes = [0; 128];
            let mut writer = Writer::new(&mut bytes);
            writer.long(attribute::LIMIT, limit).unwrap();
            writer.word(attribute::OVERFLOW, 2).unwrap();
            writer.long(attribute::ASK_AT, at).unwrap();
            writer.word(attribute::WATCHDOG, ms).unwrap();
            writer.word(attribute::LATE, 1).unwrap();
            writer.long(attribute::COMMIT, epoch).unwrap();
            let length = writer.len();
            let expected = Settings {
                limit: Some(limit),
                overflow: Some(Overflow::AskCheckpoint(at)),
                watchdog: Some(ms),
                late: Some(Late::Abort),
                ..Settings::default()
            };
            assert_eq!(
                Request::read(&bytes[..length]),
                Ok(Request::Own(expected, Some(Command::Commit(epoch))))
            );
        }
    }

    #[test]
    fn nothing_is_done_in_part() {
        let mut bytes = [0; 64];
        let mut writer = Writer::new(&mut bytes);
        writer.long(attribute::BEGIN, 2).unwrap();
        writer.long(attribute::COMMIT, 1).unwrap();
        let length = writer.len();
        assert_eq!(Request::read(&bytes[..length]), Err(code::EINVAL));
        // Cut off in the second attribute.
        assert_eq!(Request::read(&bytes[..length - 1]), Err(code::EINVAL));
        assert_eq!(
            Request::read(&[]),
            Ok(Request::Own(Settings::default(), None))
        );
    }
}
