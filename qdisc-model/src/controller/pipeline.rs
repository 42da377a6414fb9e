//! How to drive `sch_epochgate`, so that each of several epochs in flight leaves with its own commit.
//!
//! The module counts epochs by itself, from 1 on and without a gap, and knows nothing of the numbers
//! of a client, which may leave out some and begin anew with each connection. The rules:
//!
//! - *What an epoch of the client is called is what the module says.* An end sends BEGIN of the number
//!   after the open one; only if the answer shows that just this epoch has ended by it, the two numbers
//!   belong together. BEGIN of the open epoch ends nothing and is no error, so whoever meddled (the
//!   module's own watchdog may abort, others may begin) is found out in this way, and it is tried again.
//! - *A commit of the client commits whatever ended up to it*, one by one and the oldest first: also
//!   what an earlier client or daemon left in flight, which thereby leaves with a later commit and
//!   never by itself.
//! - *What can't be told apart belongs to nobody.* After a failure, after orders of somebody else, and
//!   when the numbers fell, because another module's queue is there, no epoch that is in flight has a
//!   number of the client any more. It leaves with the next one that ends and is committed.
//! - *The gate is never opened*, and at the start it is closed: BEGIN of the open epoch does that.
//!
//! A flap needs nothing: the markers of epochs are positions, not counts.

use std::collections::VecDeque;

use super::session::Session;
use super::{Answer, Refusal, Request, Totals};

/// How often a request is tried again when the module turns out to be in another state than it was
/// a moment ago.
const TRIES: u8 = 5;

/// What is asked of the module. The next event after a command is its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Read its state. Fails unless the module is at the root.
    Look,
    /// The open epoch ends and this one begins; the open one itself ends nothing. Closes the gate.
    Begin(u64),
    /// This epoch may leave, the oldest in flight.
    Commit(u64),
    /// This epoch and all later ones are dropped.
    Abort(u64),
    /// How much it holds, in bytes.
    Limit(u32),
}

/// The state of the module, as it dumps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sighting {
    /// The open epoch.
    pub open: u64,
    /// The newest committed one.
    pub committed: u64,
    /// The oldest that has ended and is not committed.
    pub oldest: Option<u64>,
    /// How many have ended and are not committed.
    pub in_flight: u64,
    /// Packets dropped with aborted epochs, by whomever.
    pub aborted: u64,
    /// Packets lost when the link went down.
    pub purged: u64,
}

impl Sighting {
    fn lost(self) -> u64 {
        self.aborted.wrapping_add(self.purged)
    }

    /// Whether it is another queue than `earlier`: in one and the same no number ever falls.
    fn is_another_than(self, earlier: Self) -> bool {
        self.open < earlier.open || self.committed < earlier.committed
    }

    /// Whether from `earlier` to here the open epoch ended, and nothing else happened to any.
    fn ended_one_since(self, earlier: Self) -> bool {
        earlier.open.checked_add(1) == Some(self.open)
            && earlier.in_flight.checked_add(1) == Some(self.in_flight)
            && earlier.committed == self.committed
    }
}

/// Why the module refused a command, and did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Objection {
    /// As many epochs are in flight as may be.
    TooMany,
    /// Packets found no room, and it was set to refuse epochs then.
    Full,
    /// The command does not fit its state: the state was another one than was thought.
    OutOfStep,
}

/// What happens to a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// It begins, or begins again after [`Pipeline::is_lost`].
    Start,
    /// A client took command; what an earlier one said of epochs is void.
    Joined,
    /// The client is gone. Nothing is committed for it any more.
    Left,
    /// A line of the client.
    Request(Request),
    /// The command was carried out, and this is the module after it.
    Done(Sighting),
    /// The module refused the command.
    Objected(Objection),
    /// Nobody knows whether the command was carried out, or the module is gone.
    Failed,
    /// Somebody else gave orders, or may have.
    Disturbed,
}

/// What to do after an event: first the answer, then the command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Step {
    /// For the client.
    pub answer: Option<Answer>,
    /// For the kernel.
    pub command: Option<Command>,
}

/// The command that is under way, by what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Doing {
    /// Look: what is there at the start.
    Surveying,
    /// BEGIN of the open epoch, which closes the gate.
    Closing,
    /// LIMIT, the end of a start.
    Limiting,
    /// Look, and then what was asked for.
    Looking,
    /// BEGIN of the next epoch.
    Ending,
    /// COMMIT of the oldest epoch.
    Committing,
    /// ABORT of the oldest epoch.
    Aborting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    /// Nothing is known, nothing is asked.
    Lost,
    /// Waiting for a request.
    Idle,
    /// Waiting for the outcome of a command.
    Busy(Doing),
}

/// An epoch in flight by both its names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flight {
    /// What the client calls it.
    epoch: u64,
    /// What the module calls it.
    number: u64,
}

/// Drives one queue of the module.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pipeline {
    limit: u32,
    state: State,
    asked: Option<Request>,
    tries: u8,
    session: Session,
    /// What this client has ended and not committed, oldest first.
    flying: VecDeque<Flight>,
    seen: Sighting,
    /// [`Sighting::lost`], as far as the client knows of it.
    told: u64,
    totals: Totals,
}

impl Pipeline {
    /// A pipeline that knows nothing yet; feed it [`Event::Start`]. The limit, in bytes, is set at
    /// each start.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self {
            limit,
            state: State::Lost,
            asked: None,
            tries: 0,
            session: Session::default(),
            flying: VecDeque::new(),
            seen: Sighting::default(),
            told: 0,
            totals: Totals::default(),
        }
    }

    /// Takes one event.
    pub fn step(&mut self, event: Event) -> Step {
        let step = match (event, self.state) {
            (Event::Start, State::Lost) => {
                self.tries = TRIES;
                self.go(Doing::Surveying, Command::Look)
            }
            (Event::Joined | Event::Left, _) => {
                self.asked = None;
                self.session = Session::default();
                self.flying.clear();
                Step::default()
            }
            (Event::Request(_), State::Lost) => refuse(Refusal::Lost),
            (Event::Request(_), State::Busy(_)) => refuse(Refusal::Busy),
            (Event::Request(request), State::Idle) => self.request(request),
            (Event::Disturbed, State::Idle) => {
                self.flying.clear();
                self.tries = TRIES;
                self.go(Doing::Looking, Command::Look)
            }
            (Event::Disturbed, State::Busy(_)) => {
                self.flying.clear();
                Step::default()
            }
            (Event::Done(seen), State::Busy(doing)) => self.done(doing, seen),
            (Event::Objected(objection), State::Busy(doing)) => self.objected(doing, objection),
            (Event::Failed, State::Busy(_)) => self.lose(),
            (Event::Start | Event::Done(_) | Event::Objected(_) | Event::Failed, _)
            | (Event::Disturbed, State::Lost) => Step::default(),
        };
        if let Some(Answer::Refused(_)) = step.answer {
            self.totals.refused += 1;
        }
        step
    }

    fn request(&mut self, request: Request) -> Step {
        if let Some(answer) = self.session.answer(request) {
            return answer_with(answer);
        }
        self.asked = Some(request);
        self.tries = TRIES;
        match request {
            // What is dropped is counted from here on.
            Request::Abort => self.go(Doing::Looking, Command::Look),
            Request::End(_) | Request::Committed(_) => self.proceed(),
        }
    }

    /// The next command on the way to what was asked for.
    fn proceed(&mut self) -> Step {
        match self.asked {
            None => {
                self.state = State::Idle;
                Step::default()
            }
            Some(Request::End(_)) => match self.seen.open.checked_add(1) {
                Some(next) => self.go(Doing::Ending, Command::Begin(next)),
                None => self.lose(),
            },
            Some(Request::Committed(epoch)) => self.commit(epoch),
            Some(Request::Abort) => {
                let from = self.seen.oldest.unwrap_or(self.seen.open);
                self.go(Doing::Aborting, Command::Abort(from))
            }
        }
    }

    fn commit(&mut self, epoch: u64) -> Step {
        let covered = self
            .flying
            .iter()
            .rev()
            .find(|flight| flight.epoch <= epoch);
        let Some(newest) = covered.map(|flight| flight.number) else {
            self.session.committed = Some(epoch);
            return self.finish(Answer::Waiting(epoch));
        };
        if let Some(oldest) = self.seen.oldest.filter(|oldest| *oldest <= newest) {
            return self.go(Doing::Committing, Command::Commit(oldest));
        }
        self.flying.retain(|flight| flight.epoch > epoch);
        self.session.committed = Some(epoch);
        self.totals.releases += 1;
        let lost = self.seen.lost();
        let answer = match std::mem::replace(&mut self.told, lost) == lost {
            true => Answer::Released(epoch),
            false => Answer::Purged(epoch),
        };
        self.finish(answer)
    }

    /// A command was carried out.
    fn done(&mut self, doing: Doing, seen: Sighting) -> Step {
        let before = std::mem::replace(&mut self.seen, seen);
        if doing != Doing::Surveying && seen.is_another_than(before) {
            self.flying.clear();
            self.told = seen.lost();
        }
        match doing {
            Doing::Surveying => self.go(Doing::Closing, Command::Begin(seen.open)),
            Doing::Closing => self.go(Doing::Limiting, Command::Limit(self.limit)),
            Doing::Limiting => {
                self.told = seen.lost();
                self.proceed()
            }
            Doing::Looking => self.proceed(),
            Doing::Ending if seen.ended_one_since(before) => {
                let Some(Request::End(epoch)) = self.asked else {
                    // Its client has gone meanwhile, and its numbers with it.
                    return self.proceed();
                };
                self.session.ended = Some(epoch);
                self.flying.push_back(Flight {
                    epoch,
                    number: before.open,
                });
                self.finish(Answer::Ended(epoch))
            }
            Doing::Committing if seen.oldest != before.oldest => self.proceed(),
            // A bark just before may have aborted instead: then ABORT did nothing, and it is done.
            Doing::Aborting if seen.open > before.open => {
                self.flying.clear();
                self.told = seen.lost();
                self.session.aborted = self.session.ended;
                let dropped = seen.aborted.saturating_sub(before.aborted);
                self.finish(Answer::Aborted(u32::try_from(dropped).unwrap_or(u32::MAX)))
            }
            Doing::Ending | Doing::Committing | Doing::Aborting => self.again(Doing::Looking),
        }
    }

    fn objected(&mut self, doing: Doing, objection: Objection) -> Step {
        let refusal = match (doing, objection, self.asked) {
            (Doing::Ending, Objection::TooMany, Some(Request::End(epoch))) => Refusal::TooMany {
                epoch,
                in_flight: self.seen.in_flight,
            },
            (Doing::Ending, Objection::Full, Some(Request::End(epoch))) => Refusal::Full(epoch),
            (Doing::Surveying | Doing::Closing | Doing::Limiting, _, _) => {
                return self.again(Doing::Surveying);
            }
            _ => return self.again(Doing::Looking),
        };
        self.finish(Answer::Refused(refusal))
    }

    /// Things were not as they had been seen: look again, but not for ever.
    fn again(&mut self, doing: Doing) -> Step {
        match self.tries.checked_sub(1) {
            Some(left) => {
                self.tries = left;
                self.go(doing, Command::Look)
            }
            None => self.lose(),
        }
    }

    fn go(&mut self, doing: Doing, command: Command) -> Step {
        self.state = State::Busy(doing);
        Step {
            answer: None,
            command: Some(command),
        }
    }

    fn finish(&mut self, answer: Answer) -> Step {
        self.state = State::Idle;
        Step {
            answer: self.asked.take().map(|_| answer),
            command: None,
        }
    }

    /// Nobody knows the state of the module any more.
    fn lose(&mut self) -> Step {
        self.state = State::Lost;
        self.flying.clear();
        Step {
            answer: self.asked.take().map(|_| Answer::Refused(Refusal::Lost)),
            command: None,
        }
    }

    /// Whether the module is out of reach; [`Event::Start`] tries again.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// The newest epoch that this client ended.
    #[must_use]
    pub fn ended(&self) -> Option<u64> {
        self.session.ended
    }

    /// The newest epoch that this client committed.
    #[must_use]
    pub fn committed(&self) -> Option<u64> {
        self.session.committed
    }

    /// The module when it was last seen.
    #[must_use]
    pub fn seen(&self) -> Sighting {
        self.seen
    }

    /// What ever happened. Nothing is renewed here, and the module counts by itself what it loses.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }
}

fn answer_with(answer: Answer) -> Step {
    Step {
        answer: Some(answer),
        command: None,
    }
}

fn refuse(refusal: Refusal) -> Step {
    answer_with(Answer::Refused(refusal))
}
