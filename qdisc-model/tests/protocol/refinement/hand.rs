//! Who carries out the controller's commands. One does what it is told; each of the others leaves
//! out one thing, as a daemon would with one line forgotten.

use qdisc_model::controller::{Command, Sighting};
use qdisc_model::plug::{BUFFER, LIMIT, RELEASE_INDEFINITE, RELEASE_ONE};

/// One way to carry out commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Hand {
    /// As `compiler::gate::driver`.
    Faithful,
    /// Releases without looking: answers a look from memory.
    Blind,
    /// Never hears a notice; sees the counters only.
    Deaf,
    /// Reads notices, and never the counters.
    Countless,
    /// Gives a BUFFER at the end of each epoch, also while a batch waits.
    Eager,
    /// Gives a RELEASE_ONE for each commit, also of an epoch that joined a later batch.
    Hasty,
    /// Gives each RELEASE_ONE twice.
    Twice,
    /// Flushes without shutting the door first.
    Ajar,
    /// Closes a disturbed plug by BUFFER instead of replacing it.
    Thrifty,
    /// Gives BUFFER at the end of an epoch and never else.
    Lax,
}

/// What a command becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Nothing, or a look.
    Nothing,
    /// The plug is told these.
    Orders([Option<(i32, u32)>; 2]),
    /// A new plug takes the place of the old one.
    Renew,
}

impl Hand {
    /// `ends` tells that an epoch is about to end.
    pub(crate) fn deed(self, command: Command, ends: bool) -> Deed {
        let one = |action, limit| Deed::Orders([Some((action, limit)), None]);
        match (self, command) {
            (_, Command::Look | Command::Fence | Command::Drain) => Deed::Nothing,
            (Self::Ajar, Command::Limit(0)) => Deed::Nothing,
            (Self::Lax, Command::Block) if !ends => Deed::Nothing,
            (Self::Thrifty, Command::Renew) => one(BUFFER, 0),
            (Self::Twice, Command::ReleaseOne) => {
                Deed::Orders([Some((RELEASE_ONE, 0)), Some((RELEASE_ONE, 0))])
            }
            (_, Command::Block) => one(BUFFER, 0),
            (_, Command::ReleaseOne) => one(RELEASE_ONE, 0),
            (_, Command::Flush) => one(RELEASE_INDEFINITE, 0),
            (_, Command::Limit(limit)) => one(LIMIT, limit),
            (_, Command::Renew) => Deed::Renew,
        }
    }

    /// Whether it takes in the notices that wait when it carries out this command.
    pub(crate) fn hears(self, command: Command) -> bool {
        match self {
            Self::Deaf => false,
            Self::Blind if command == Command::Look => false,
            _ => matches!(command, Command::Look | Command::Drain | Command::Fence),
        }
    }

    /// What it tells the controller of the plug.
    pub(crate) fn tells(self, command: Command, seen: Sighting, last: Sighting) -> Sighting {
        match self {
            Self::Blind if command == Command::Look => last,
            Self::Countless if command == Command::Look && seen.arrivals() < last.arrivals() => {
                last
            }
            _ => seen,
        }
    }
}
