//! How to drive `sch_plug` so that it keeps the law: one pure state machine between a client that
//! names epochs and a kernel that only counts packets.
//!
//! The rules follow from [`crate::plug`], which stands for `net/sched/sch_plug.c`:
//!
//! - *One batch at a time.* BUFFER turns what arrived since the last BUFFER into a batch, and a
//!   second BUFFER before RELEASE_ONE mixes two batches up. So an epoch that ends while a batch
//!   awaits its release gets no BUFFER; it joins the next batch, which begins at a later end.
//! - *A batch leaves with the commit of the newest epoch in it*, and with no earlier one.
//! - *A count that may be stale is never spent.* Before each release the kernel is looked at. Was
//!   the queue disturbed (the link went down, somebody else gave commands, notices were lost, the
//!   counters went backwards), then the plug is replaced by a new one, which is empty, closed and
//!   counts from nought. BUFFER would not do: it leaves what is still to be released.
//! - *At the start nothing is known.* BUFFER takes what is held out of the count, and the next
//!   BUFFER forgets the batch that this made; so it stays held, and is called strays. With strays
//!   in front each release lets go as many packets as it should, but older ones. They are
//!   flushed, without a loss, at the first commit at which nothing has arrived since the end of
//!   the epoch (see [`Command::Fence`]). A guest that is never quiet would be late by as many
//!   packets for ever; after [`LATE_RELEASES`] the plug is replaced at the end of an epoch.
//! - *The plug is never open* unless its limit is 0, so that nothing can enter while all that it
//!   holds, which is committed, runs out.
//!
//! Where the kernel knows epochs by their numbers, none of this is needed: see [`pipeline`].

pub mod pipeline;
mod procedure;
mod session;

use procedure::Doing;
use session::Session;

/// How many releases may let go older packets than they should. Strays are then given up, with
/// all that is held at the end of an epoch: a loss that TCP mends at once is better than a delay
/// that never ends.
pub const LATE_RELEASES: u8 = 10;

/// What the controller asks of the kernel. The next event after a command is its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Take in all notices of the kernel that are waiting, as [`Event::Disturbed`], and read the
    /// plug. Fails unless a plug is at the root.
    Look,
    /// `TCQ_PLUG_BUFFER`.
    Block,
    /// `TCQ_PLUG_RELEASE_ONE`.
    ReleaseOne,
    /// `TCQ_PLUG_RELEASE_INDEFINITE`; only sent while the limit is 0.
    Flush,
    /// `TCQ_PLUG_LIMIT`, in bytes.
    Limit(u32),
    /// Wait until every packet that was on its way into the queue is in it or dropped, then look
    /// and take in notices, as [`Command::Look`] does: the counters can't tell purged packets and
    /// as many new ones from packets that stayed. An enqueue on another processor may have read the old limit; it runs inside an RCU read
    /// section, so one grace period is enough.
    Fence,
    /// Give the queue a moment to run out, then look.
    Drain,
    /// Put a new plug with the limit in the place of the one at the root, in one request. What the
    /// old one held is lost.
    Renew,
}

/// What the kernel says of the plug: its queue and what ever left it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sighting {
    /// Packets in the queue.
    pub packets: u32,
    /// Bytes in the queue, as the queueing layer charges for them.
    pub backlog: u32,
    /// Bytes that left, charged in the same way. The packets that left say nothing: an offload packet
    /// counts as as many as it has segments, and one from a tap as none (up to 6.18).
    pub sent: u64,
}

impl Sighting {
    /// Bytes that ever came in and were not purged. Never falls unless packets were lost.
    #[must_use]
    pub fn arrivals(self) -> u64 {
        self.sent.wrapping_add(u64::from(self.backlog))
    }

    /// Whether packets were purged since `earlier`, as far as can be told.
    fn purged_since(self, earlier: Self) -> bool {
        let behind = earlier.arrivals().wrapping_sub(self.arrivals());
        (1..=u64::MAX / 2).contains(&behind)
    }
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// The guest is paused at the end of this epoch, and stays so until the answer.
    End(u64),
    /// The backup has this epoch and all earlier ones.
    Committed(u64),
    /// No epoch that is in flight will ever be committed: what is held must never leave.
    Abort,
}

/// What happens to the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The controller begins, or begins again after [`Controller::is_lost`].
    Start,
    /// A client took command; what an earlier one said of epochs is void.
    Joined,
    /// The client is gone. Nothing is released for it any more.
    Left,
    /// A line of the client.
    Request(Request),
    /// The command was carried out, and this is the plug after it.
    Done(Sighting),
    /// The command was refused, or nobody knows whether it was carried out.
    Failed,
    /// The counts of the plug may not fit the queue any more.
    Disturbed,
}

/// Why a request was refused. The gate stays as it was: held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// A commit of an epoch that has not ended on this connection.
    #[error("epoch {0} has not ended on this connection")]
    NotEnded(u64),
    /// An end of an epoch older than the newest that ended.
    #[error("epoch {epoch} is older than epoch {newest}, which has ended")]
    Backwards {
        /// The epoch.
        epoch: u64,
        /// The newest that ended.
        newest: u64,
    },
    /// A commit of an epoch that was aborted.
    #[error("epoch {0} was aborted")]
    Aborted(u64),
    /// The plug is not there, or did not do what it was told.
    #[error("the gate is out of reach, nothing was released")]
    Lost,
    /// An end while as many epochs are in flight as the module allows.
    #[error(
        "epoch {epoch} has not ended: {in_flight} await their commit and no more may; commit one, then end it again"
    )]
    TooMany {
        /// The epoch.
        epoch: u64,
        /// How many are in flight.
        in_flight: u64,
    },
    /// An end while packets found no room, and the module was set to refuse epochs then.
    #[error(
        "epoch {0} has not ended: packets of it found no room; commit what is in flight, then end it again"
    )]
    Full(u64),
    /// A request before the outcome of a command.
    #[error("the gate is busy")]
    Busy,
}

/// What the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The epoch ended; its packets leave with its commit.
    Ended(u64),
    /// The epoch ended; its packets leave together with those of a later epoch.
    Joined(u64),
    /// The epoch is committed and its packets are let go.
    Released(u64),
    /// The epoch is committed; its packets leave with a later epoch.
    Waiting(u64),
    /// The epoch is committed, but the queue was disturbed and what was held is lost.
    Purged(u64),
    /// This was said before, and changes nothing.
    Repeated(u64),
    /// What was held is dropped: so many packets.
    Aborted(u32),
    /// Refused.
    Refused(Refusal),
}

/// What to do after an event: first the answer, then the command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Step {
    /// For the client.
    pub answer: Option<Answer>,
    /// For the kernel.
    pub command: Option<Command>,
}

impl Step {
    fn command(command: Command) -> Self {
        Self {
            answer: None,
            command: Some(command),
        }
    }

    fn answer(answer: Answer) -> Self {
        Self {
            answer: Some(answer),
            command: None,
        }
    }
}

/// What ever happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Totals {
    /// Batches that were let go.
    pub releases: u64,
    /// Times that the plug was replaced.
    pub renewals: u64,
    /// Packets known to be lost with a replaced plug or a link that went down. Not fewer were, unless
    /// some left between the look at a plug and its replacement.
    pub purged: u64,
    /// Requests that were refused.
    pub refused: u64,
}

/// The packets that the next RELEASE_ONE lets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Batch {
    /// The newest epoch in it, or 0 when every epoch that can still be committed is newer.
    newest: u64,
    /// [`Sighting::arrivals`] when it began to wait.
    arrivals: u64,
}

/// Where the controller stands between two events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum State {
    /// Nothing is known, nothing is asked.
    Lost,
    /// The counts fit; waiting for a request.
    Idle,
    /// Waiting for the outcome of a command.
    Busy(Doing),
}

/// Drives one plug.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Controller {
    limit: u32,
    state: State,
    disturbed: bool,
    asked: Option<Request>,
    session: Session,
    batch: Option<Batch>,
    strays: u32,
    late: u8,
    seen: Sighting,
    totals: Totals,
}

impl Controller {
    /// A controller that knows nothing yet; feed it [`Event::Start`]. The limit of the plug, in
    /// bytes, is set and kept by it, because no kernel interface tells what it is.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self {
            limit,
            state: State::Lost,
            disturbed: false,
            asked: None,
            session: Session::default(),
            batch: None,
            strays: 0,
            late: 0,
            seen: Sighting::default(),
            totals: Totals::default(),
        }
    }

    /// Takes one event.
    pub fn step(&mut self, event: Event) -> Step {
        let step = match (event, self.state) {
            (Event::Start, State::Lost) => self.survey(),
            (Event::Joined | Event::Left, _) => {
                self.forget_session();
                Step::default()
            }
            (Event::Request(_), State::Lost) => Step::answer(Answer::Refused(Refusal::Lost)),
            (Event::Request(_), State::Busy(_)) => Step::answer(Answer::Refused(Refusal::Busy)),
            (Event::Request(request), State::Idle) => self.request(request),
            (Event::Disturbed, State::Idle) => self.inspect(),
            (Event::Disturbed, State::Busy(_)) => {
                self.disturbed = true;
                Step::default()
            }
            (Event::Done(seen), State::Busy(doing)) => self.done(doing, seen),
            (Event::Failed, State::Busy(_)) => self.lose(),
            (Event::Start | Event::Done(_) | Event::Failed, _)
            | (Event::Disturbed, State::Lost) => Step::default(),
        };
        if let Some(Answer::Refused(_)) = step.answer {
            self.totals.refused += 1;
        }
        step
    }

    /// Judges a request. Only an end and a commit that are new ask anything of the kernel.
    fn request(&mut self, request: Request) -> Step {
        if let Some(answer) = self.session.answer(request) {
            return Step::answer(answer);
        }
        match request {
            Request::End(epoch) if self.batch.is_some() => {
                self.session.ended = Some(epoch);
                Step::answer(Answer::Joined(epoch))
            }
            Request::End(_) if self.late >= LATE_RELEASES => {
                self.asked = Some(request);
                self.inspect()
            }
            Request::End(epoch) => self.begin(request, Doing::Ending(epoch), Command::Block),
            Request::Committed(epoch) => {
                self.session.committed = Some(epoch);
                if self.batch.is_some_and(|batch| batch.newest <= epoch) {
                    self.begin(request, Doing::Checking, Command::Look)
                } else {
                    Step::answer(Answer::Waiting(epoch))
                }
            }
            Request::Abort => {
                self.asked = Some(request);
                self.inspect()
            }
        }
    }

    fn begin(&mut self, request: Request, doing: Doing, command: Command) -> Step {
        self.asked = Some(request);
        self.go(doing, command)
    }

    fn go(&mut self, doing: Doing, command: Command) -> Step {
        self.state = State::Busy(doing);
        Step::command(command)
    }

    /// A batch of an earlier client waits for any commit of the next one: each epoch that can
    /// still be committed ended after it.
    fn forget_session(&mut self) {
        self.asked = None;
        self.session = Session::default();
        if let Some(batch) = &mut self.batch {
            batch.newest = 0;
        }
    }

    /// Nobody knows what the plug counts any more.
    fn lose(&mut self) -> Step {
        self.state = State::Lost;
        self.batch = None;
        Step {
            answer: self.asked.take().map(|_| Answer::Refused(Refusal::Lost)),
            command: None,
        }
    }

    /// Whether the plug is out of reach; [`Event::Start`] tries again.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// Whether the controller waits for the outcome of a command.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        matches!(self.state, State::Busy(_))
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

    /// Packets at the head of the queue that belong to no batch: so many leave later than they
    /// could.
    #[must_use]
    pub fn strays(&self) -> u32 {
        self.strays.min(self.seen.packets)
    }

    /// The plug when it was last seen.
    #[must_use]
    pub fn seen(&self) -> Sighting {
        self.seen
    }

    /// What ever happened.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }
}
