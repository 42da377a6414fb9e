//! The sequences of commands that one request, one start or one disturbance takes. Each arm is one
//! command's success; every failure goes to `Controller::lose`.
//!
//! The order of commands is what matters: after a start BUFFER comes before LIMIT, because whoever
//! died in the middle of a flush left the plug open with a limit of 0, and a limit would let
//! packets through.

use super::{Answer, Batch, Command, Controller, Refusal, Request, Sighting, State, Step};

/// How often a flush waits for the queue to run out before it closes the plug regardless.
const PATIENCE: u8 = 100;

/// The command that is under way, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Doing {
    /// Look: what is there at the start.
    Surveying,
    /// BUFFER at a start; so many bytes had left before.
    Blocking { sent: u64 },
    /// LIMIT at the end of a start.
    Limiting { sent: u64 },
    /// Look: whether what is held stays at rest.
    Resting { sent: u64 },
    /// Look: what is lost with the plug that is going to be replaced.
    Inspecting,
    /// The replacement, with which so many packets are lost.
    Renewing { lost: u32 },
    /// BUFFER at the end of an epoch.
    Ending(u64),
    /// Look before a release.
    Checking,
    /// RELEASE_ONE.
    Releasing,
    /// LIMIT 0 before a flush.
    Shutting,
    /// The fence before a flush.
    Fencing,
    /// RELEASE_INDEFINITE with a limit of 0.
    Flushing,
    /// Drain: whether the queue has run out; so many looks are left.
    Draining(u8),
    /// BUFFER after a flush.
    Closing,
    /// LIMIT after a flush.
    Widening,
    /// LIMIT after a flush that was given up because something had arrived.
    Yielding,
}

impl Controller {
    /// Nothing is known: look first.
    pub(super) fn survey(&mut self) -> Step {
        self.disturbed = false;
        self.go(Doing::Surveying, Command::Look)
    }

    /// The counts can't be trusted: count what will be lost, then replace the plug.
    pub(super) fn inspect(&mut self) -> Step {
        self.go(Doing::Inspecting, Command::Look)
    }

    fn renew(&mut self) -> Step {
        // What was disturbed so far goes with the old plug.
        self.disturbed = false;
        let lost = self.seen.packets;
        self.go(Doing::Renewing { lost }, Command::Renew)
    }

    /// The plug is empty, closed and exact; whatever was asked for, nothing is held for it.
    fn renewed(&mut self, lost: u32) -> Step {
        self.batch = None;
        self.strays = 0;
        self.late = 0;
        self.totals.renewals += 1;
        self.totals.purged += u64::from(lost);
        if self.disturbed {
            return self.inspect();
        }
        self.state = State::Idle;
        Step {
            answer: self.asked.take().map(|request| match request {
                Request::End(epoch) => self.end(epoch),
                Request::Committed(epoch) => Answer::Purged(epoch),
                Request::Abort => {
                    self.session.aborted = self.session.ended;
                    Answer::Aborted(lost)
                }
            }),
            command: None,
        }
    }

    fn end(&mut self, epoch: u64) -> Answer {
        self.session.ended = Some(epoch);
        Answer::Ended(epoch)
    }

    /// All commands were carried out, the counts fit.
    fn finish(&mut self) -> Step {
        self.state = State::Idle;
        Step {
            answer: self.asked.take().map(|request| match request {
                Request::End(epoch) => self.end(epoch),
                Request::Committed(epoch) => Answer::Released(epoch),
                // An abort always replaces the plug.
                Request::Abort => Answer::Refused(Refusal::Lost),
            }),
            command: None,
        }
    }

    fn released(&mut self) -> Step {
        self.batch = None;
        self.totals.releases += 1;
        self.finish()
    }

    /// A command was carried out.
    pub(super) fn done(&mut self, doing: Doing, seen: Sighting) -> Step {
        let before = std::mem::replace(&mut self.seen, seen);
        let fresh = matches!(doing, Doing::Surveying | Doing::Renewing { .. });
        if !fresh {
            let purged = seen.purged_since(before);
            self.disturbed |= purged;
            // One at least.
            self.totals.purged += u64::from(purged);
        }
        match doing {
            Doing::Inspecting => self.renew(),
            Doing::Renewing { lost } => self.renewed(lost),
            _ if self.disturbed => self.inspect(),
            Doing::Surveying => self.go(Doing::Blocking { sent: seen.sent }, Command::Block),
            Doing::Blocking { sent } => {
                self.strays = seen.packets;
                self.go(Doing::Limiting { sent }, Command::Limit(self.limit))
            }
            Doing::Limiting { sent } => self.go(Doing::Resting { sent }, Command::Look),
            // Something still leaves, or nothing is there to show that nothing does: a release of
            // somebody else may not be spent.
            Doing::Resting { sent } if seen.sent != sent || seen.packets == 0 => self.inspect(),
            Doing::Resting { .. } => self.finish(),
            Doing::Ending(epoch) => {
                self.batch = Some(Batch {
                    // A client that has gone meanwhile is forgotten, and its numbers with it.
                    newest: if self.asked.is_some() { epoch } else { 0 },
                    arrivals: seen.arrivals(),
                });
                self.finish()
            }
            Doing::Checking if self.strays > 0 && self.is_quiet() => {
                self.go(Doing::Shutting, Command::Limit(0))
            }
            Doing::Checking => self.go(Doing::Releasing, Command::ReleaseOne),
            Doing::Releasing => {
                self.late += u8::from(self.strays > 0);
                self.released()
            }
            Doing::Shutting => self.go(Doing::Fencing, Command::Fence),
            Doing::Fencing if self.is_quiet() => self.go(Doing::Flushing, Command::Flush),
            Doing::Fencing => self.go(Doing::Yielding, Command::Limit(self.limit)),
            Doing::Yielding => self.go(Doing::Checking, Command::Look),
            Doing::Flushing => self.go(Doing::Draining(PATIENCE), Command::Drain),
            Doing::Draining(left) if seen.packets > 0 && left > 0 => {
                self.go(Doing::Draining(left - 1), Command::Drain)
            }
            Doing::Draining(_) => self.go(Doing::Closing, Command::Block),
            Doing::Closing => self.go(Doing::Widening, Command::Limit(self.limit)),
            Doing::Widening => {
                self.strays = seen.packets;
                self.late = 0;
                self.released()
            }
        }
    }

    /// Whether nothing has arrived since the batch began to wait. Then the whole queue is no newer
    /// than the batch.
    fn is_quiet(&self) -> bool {
        self.batch
            .is_some_and(|batch| batch.arrivals == self.seen.arrivals())
    }
}
