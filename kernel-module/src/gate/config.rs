// SPDX-License-Identifier: GPL-2.0

//! What a gate is told, and what it answers.
//!
//! C headers: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use crate::skbuff::SkBuff;
use kernel::error::code;

/// What to do when a packet has no room, besides dropping and counting it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Nothing.
    DropNewest,
    /// Refuse to begin an epoch until something has left, unless no other is in flight.
    RefuseEpoch,
    /// Ask for a checkpoint, once in an epoch, from this many bytes on.
    AskCheckpoint(u64),
}

/// What the watchdog does when no commit came for the time that was set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Late {
    /// Hold on and say so.
    #[default]
    Hold,
    /// Drop what waits, as an abort of the oldest epoch does.
    Abort,
    /// Give up holding.
    Open,
}

/// What a gate is made with.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Most bytes queued.
    pub limit: u64,
    /// Most epochs that have ended and are not committed; zero counts as one.
    pub max_in_flight: usize,
    /// Beyond the limit.
    pub overflow: Overflow,
    /// When no commit comes.
    pub late: Late,
}

/// What became of a packet: `NET_XMIT_SUCCESS` or `NET_XMIT_DROP`.
#[derive(Debug)]
pub enum Xmit {
    /// In the queue, and perhaps the user should be asked for a checkpoint.
    Queued {
        /// Ask now.
        ask: bool,
    },
    /// The caller frees the packet. Counted already.
    Drop {
        /// The packet.
        skb: SkBuff,
        /// Ask now.
        ask: bool,
    },
}

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// `-EINVAL`: begins neither the open epoch nor the next.
    NotNext,
    /// `-ENOSPC`: too many epochs in flight.
    InFlight,
    /// `-ENOBUFS`: overflowed, and set to refuse epochs.
    Overflowed,
    /// `-EBUSY`: the epoch is still open.
    Open,
    /// `-ENOENT`: the epoch never began.
    NoEpoch,
    /// `-EAGAIN`: an older one comes first.
    NotOldest,
    /// `-ECANCELED`: the epoch was aborted.
    Aborted,
    /// `-EALREADY`: an abort came after the commit.
    Committed,
}

impl From<Error> for kernel::error::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::NotNext => code::EINVAL,
            Error::InFlight => code::ENOSPC,
            Error::Overflowed => code::ENOBUFS,
            Error::Open => code::EBUSY,
            Error::NoEpoch => code::ENOENT,
            Error::NotOldest => code::EAGAIN,
            Error::Aborted => code::ECANCELED,
            Error::Committed => code::EALREADY,
        }
    }
}
