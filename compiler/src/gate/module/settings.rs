//! What the module does from now on: as it can be told, and as its dump tells it.

use std::fmt;

use serde::Serialize;

use crate::gate::netlink::{attribute, long, number, push_attribute};

const OVERFLOW: u16 = 6;
const ASK_AT: u16 = 7;
const IN_FLIGHT: u16 = 8;
const WATCHDOG: u16 = 9;
const LATE: u16 = 10;
const MARK: u16 = 11;
const MASK: u16 = 12;

/// What happens when a packet finds no room; it is dropped in each case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// That is all.
    Drop,
    /// The open epoch can't end any more, so that no backup takes over what has lost a packet.
    RefuseEpoch,
    /// A checkpoint is asked for from so many bytes on, before there is no room.
    AskAt(u64),
}

/// What the watchdog does when no commit came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Late {
    /// It holds on and says so.
    Hold,
    /// It aborts what is in flight.
    Abort,
    /// It gives up protection.
    Open,
}

/// Packets whose mark has these bits pass by; none do if no bit is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// What the bits must be.
    pub value: u32,
    /// Which bits are looked at.
    pub mask: u32,
}

/// One thing that can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// What happens when a packet finds no room.
    Overflow(Overflow),
    /// Most epochs that have ended and are not committed; at least 1.
    InFlight(u32),
    /// Milliseconds without a commit until the watchdog barks, 0 for never.
    Watchdog(u32),
    /// What it does then.
    Late(Late),
    /// What passes by.
    Mark(Mark),
}

impl Setting {
    /// The value of `TCA_OPTIONS` that says this and nothing else.
    #[must_use]
    pub fn options(self) -> Vec<u8> {
        let mut options = Vec::new();
        self.push(&mut options);
        options
    }

    /// Appends its attributes to a value of `TCA_OPTIONS`.
    pub(crate) fn push(self, options: &mut Vec<u8>) {
        let mut word = |kind, value: u32| push_attribute(options, kind, &value.to_ne_bytes());
        match self {
            Self::Overflow(Overflow::Drop) => word(OVERFLOW, 0),
            Self::Overflow(Overflow::RefuseEpoch) => word(OVERFLOW, 1),
            Self::Overflow(Overflow::AskAt(bytes)) => {
                word(OVERFLOW, 2);
                push_attribute(options, ASK_AT, &bytes.to_ne_bytes());
            }
            Self::InFlight(most) => word(IN_FLIGHT, most),
            Self::Watchdog(milliseconds) => word(WATCHDOG, milliseconds),
            Self::Late(Late::Hold) => word(LATE, 0),
            Self::Late(Late::Abort) => word(LATE, 1),
            Self::Late(Late::Open) => word(LATE, 2),
            Self::Mark(Mark { value, mask }) => {
                word(MARK, value);
                word(MASK, mask);
            }
        }
    }
}

/// All that is chosen now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// What happens when a packet finds no room.
    pub overflow: Overflow,
    /// Most epochs that have ended and are not committed.
    pub most_in_flight: u32,
    /// Milliseconds without a commit until the watchdog barks, 0 for never.
    pub watchdog: u32,
    /// What it does then.
    pub late: Late,
    /// What passes by.
    pub mark: Mark,
}

impl Settings {
    /// Reads them out of a dump.
    pub(super) fn read(options: &[u8]) -> Option<Self> {
        let word = |kind| number(attribute(options, kind)?, 0);
        Some(Self {
            overflow: match word(OVERFLOW)? {
                0 => Overflow::Drop,
                1 => Overflow::RefuseEpoch,
                _ => Overflow::AskAt(long(attribute(options, ASK_AT)?, 0)?),
            },
            most_in_flight: word(IN_FLIGHT)?,
            watchdog: word(WATCHDOG)?,
            late: match word(LATE)? {
                0 => Late::Hold,
                1 => Late::Abort,
                _ => Late::Open,
            },
            mark: Mark {
                value: word(MARK)?,
                mask: word(MASK)?,
            },
        })
    }

    /// In words, one thing in a line.
    pub(super) fn lines(&self) -> [String; 3] {
        let watchdog = match self.watchdog {
            0 => String::from("never barks"),
            milliseconds => format!("after {milliseconds} ms without a commit: {}", self.late),
        };
        let mark = match self.mark {
            Mark { mask: 0, .. } => String::from("no mark"),
            Mark { value, mask } => format!("mark {value:#x}/{mask:#x}"),
        };
        [
            format!("no room     {}", self.overflow),
            format!("watchdog    {watchdog}"),
            format!(
                "at most     {} epochs in flight; what passes by has {mark}",
                self.most_in_flight
            ),
        ]
    }
}

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drop => f.write_str("drop the packet"),
            Self::RefuseEpoch => f.write_str("drop the packet, and refuse to end its epoch"),
            Self::AskAt(bytes) => write!(
                f,
                "drop the packet; from {bytes} bytes on ask for a checkpoint"
            ),
        }
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hold => "hold on and say so",
            Self::Abort => "abort what is in flight",
            Self::Open => "give up protection",
        })
    }
}
