//! What `sch_epochgate` tells of itself and can be told, which `sch_plug` can't.
//!
//! The numbers are those of `kernel-module/src/netlink.rs`, said here a second time: this crate knows
//! the module only by what it says over netlink. `tests/kmod` holds the two together.

mod settings;

use std::fmt;

pub use settings::{Late, Mark, Overflow, Setting, Settings};

use qdisc_model::controller::pipeline::Objection;
use rustix::io::Errno;
use serde::Serialize;

use super::netlink::{attribute, long, number, push_attribute};

/// The kind of its qdiscs.
pub const KIND: &str = "epochgate";

const BEGIN: u16 = 1;
const COMMIT: u16 = 2;
const ABORT: u16 = 3;
const LIMIT: u16 = 5;
const STATE: u16 = 32;
const OPEN_EPOCH: u16 = 33;
const COMMITTED: u16 = 34;
const OLDEST: u16 = 35;
const FLYING: u16 = 36;
const AGE: u16 = 39;
const BARKS: u16 = 41;
const PASSED: u16 = 42;
const UNPROTECTED: u16 = 44;
const ABORTED: u16 = 46;
const PURGED: u16 = 47;

const OPEN: u32 = 1;
const LATE: u32 = 2;
const FULL: u32 = 4;
const ASKING: u32 = 8;

/// What is told about an epoch, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The open epoch ends and this one begins; it is the next, or nothing happens.
    Begin(u64),
    /// This one may leave, the oldest that has ended.
    Commit(u64),
    /// This one and all later ones are dropped.
    Abort(u64),
}

impl Order {
    /// The value of `TCA_OPTIONS`.
    #[must_use]
    pub fn options(self) -> Vec<u8> {
        let (kind, epoch) = match self {
            Self::Begin(epoch) => (BEGIN, epoch),
            Self::Commit(epoch) => (COMMIT, epoch),
            Self::Abort(epoch) => (ABORT, epoch),
        };
        let mut options = Vec::new();
        push_attribute(&mut options, kind, &epoch.to_ne_bytes());
        options
    }

    /// Why the module refuses it with this number; `None` if it never does.
    #[must_use]
    pub fn refusal(self, errno: Errno) -> Option<&'static str> {
        let reason = match (self, errno) {
            (Self::Begin(_), Errno::INVAL) => "it is neither the open epoch nor the next one",
            (Self::Begin(_), Errno::NOSPC) => "too many epochs are in flight",
            (Self::Begin(_), Errno::NOBUFS) => "packets of the open epoch found no room",
            (Self::Commit(_), Errno::BUSY) => "it is still open, and ends when the next one begins",
            (Self::Commit(_), Errno::AGAIN) => "an older one comes first",
            (Self::Commit(_) | Self::Abort(_), Errno::NOENT) => "it has not begun",
            (_, Errno::CANCELED) => "it was aborted",
            (_, Errno::ALREADY) => "it is committed already",
            _ => return None,
        };
        Some(reason)
    }

    /// The same for who decides what to do next.
    #[must_use]
    pub fn objection(self, errno: Errno) -> Objection {
        match (self, errno) {
            (Self::Begin(_), Errno::NOSPC) => Objection::TooMany,
            (Self::Begin(_), Errno::NOBUFS) => Objection::Full,
            _ => Objection::OutOfStep,
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begin(epoch) => write!(f, "begin epoch {epoch}"),
            Self::Commit(epoch) => write!(f, "commit epoch {epoch}"),
            Self::Abort(epoch) => write!(f, "abort epoch {epoch}"),
        }
    }
}

/// The state of one gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct State {
    /// Most bytes held.
    pub limit: u64,
    /// Whether protection is given up.
    pub is_open: bool,
    /// Whether no commit came in time.
    pub is_late: bool,
    /// Whether a packet found no room and nothing has left since.
    pub is_full: bool,
    /// Whether a checkpoint is asked for.
    pub is_asking: bool,
    /// The open epoch.
    pub epoch: u64,
    /// The newest committed one.
    pub committed: u64,
    /// The oldest epoch that has ended and awaits its commit; 0 for none.
    pub oldest: u64,
    /// Epochs that have ended and await their commit.
    pub in_flight: u64,
    /// Milliseconds that the oldest packet has waited for a commit.
    pub age: u64,
    /// Times that the watchdog barked.
    pub barks: u64,
    /// Packets that passed by.
    pub passed: u64,
    /// Packets that left without a commit.
    pub unprotected: u64,
    /// Packets dropped with an aborted epoch.
    pub aborted: u64,
    /// Packets lost when the interface went down.
    pub purged: u64,
    /// What it does.
    pub settings: Settings,
}

impl State {
    /// Reads `TCA_OPTIONS` of a dump; `None` if something is missing, as in the dump of a plug.
    #[must_use]
    pub fn read(options: &[u8]) -> Option<Self> {
        let first = |kind| long(attribute(options, kind)?, 0);
        let flags = number(attribute(options, STATE)?, 0)?;
        Some(Self {
            limit: first(LIMIT)?,
            is_open: flags & OPEN != 0,
            is_late: flags & LATE != 0,
            is_full: flags & FULL != 0,
            is_asking: flags & ASKING != 0,
            epoch: first(OPEN_EPOCH)?,
            committed: first(COMMITTED)?,
            oldest: first(OLDEST)?,
            in_flight: first(FLYING)?,
            age: first(AGE)?,
            barks: first(BARKS)?,
            passed: first(PASSED)?,
            unprotected: first(UNPROTECTED)?,
            aborted: first(ABORTED)?,
            purged: first(PURGED)?,
            settings: Settings::read(options)?,
        })
    }

    /// As names with values, for a line that programs read.
    #[must_use]
    pub fn words(&self) -> String {
        let word = |is_so: bool| if is_so { "yes" } else { "no" };
        format!(
            "in-flight={} epoch={} age={} late={} asking={} full={} passed={} unprotected={} aborted={} purged={} barks={}",
            self.in_flight,
            self.epoch,
            self.age,
            word(self.is_late),
            word(self.is_asking),
            word(self.is_full),
            self.passed,
            self.unprotected,
            self.aborted,
            self.purged,
            self.barks,
        )
    }

    /// In words, one thing in a line.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let door = match (self.is_open, self.is_full) {
            (true, _) => "open",
            (false, true) => "closed, full",
            (false, false) => "closed",
        };
        let also = |is_so: bool, words| if is_so { words } else { "" };
        let late = also(self.is_late, ", a commit is late");
        let asking = also(self.is_asking, ", a checkpoint is asked for");
        let [no_room, watchdog, at_most] = self.settings.lines();
        vec![
            format!("gate        {door}{late}{asking}"),
            format!("limit       {} bytes", self.limit),
            no_room,
            watchdog,
            at_most,
            format!(
                "epochs      {} is open, {} committed, {} in flight, the oldest packet {} ms old",
                self.epoch, self.committed, self.in_flight, self.age
            ),
            format!(
                "packets     {} passed by, {} unprotected, {} aborted, {} purged",
                self.passed, self.unprotected, self.aborted, self.purged
            ),
        ]
    }
}
