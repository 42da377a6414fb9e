//! What can happen in the world of the controller, within which bounds, and what there is to see.

use qdisc_model::controller::{Answer, Command};

use super::hand::Hand;

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Act {
    /// A packet of the guest.
    Send,
    /// The guest pauses and the client asks for the end of its epoch.
    End,
    /// The client says that so many of the epochs in flight are committed.
    Commit(u64),
    /// The guest pauses and the client asks to drop what is held.
    Abort,
    /// The daemon carries out its next command.
    Work,
    /// The daemon has time to read what the kernel told.
    Hear,
    /// The daemon tries to get hold of the plug again.
    Start,
    /// The device takes packets again.
    Flow,
    /// What should not happen.
    Fault(Fault),
}

/// What should not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// The link goes down and up, or the notices of it were lost and that was told.
    Flap,
    /// The queue is purged and nobody is told; the counters show it.
    Purge,
    /// Somebody else gives this order to the plug.
    Foreign(i32),
    /// Somebody else puts a new plug in its place.
    Replace,
    /// The next command fails; carried out or not.
    Fail(bool),
    /// The daemon is killed and started again.
    Kill,
    /// The client goes, and another one comes.
    Leave,
    /// The device takes no packets for now.
    Stall,
    /// The client commits the last epoch that is committed once more.
    RepeatCommit,
    /// The client commits the epoch that is still open.
    Lie,
}

/// The bounds of a search.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) hand: Hand,
    /// The limit of the plug; packets are one byte long.
    pub(crate) limit: u32,
    pub(crate) packets: u64,
    /// Epochs that end or are aborted.
    pub(crate) epochs: u64,
    pub(crate) faults: Vec<Fault>,
    pub(crate) most_faults: u8,
    pub(crate) abort: bool,
    /// Packets that wait in the plug when the daemon starts.
    pub(crate) before: u64,
    /// Whether disturbances may come where the controller can't see them in time.
    pub(crate) in_the_gap: bool,
}

/// What there was to see in a step, for stories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Command(Command),
    Left(u64),
    Lost(u64),
    Answer(Answer),
}
