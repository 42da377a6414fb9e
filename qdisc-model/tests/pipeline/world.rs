//! A guest, its replicator, the daemon around the pipeline, and a kernel with one gate that knows
//! epochs: all that happens is written down as a trace. Epochs of the trace are the guest's own and
//! never repeat; the numbers on the line leave out some, and begin anew with each client.

use std::collections::VecDeque;

use qdisc_model::controller::pipeline::{
    Command, Event as Input, Objection, Pipeline, Sighting, Step,
};
use qdisc_model::controller::{Answer, Refusal, Request};
use qdisc_model::epoch::{Arrival, Gate, OnLate, OnOverflow, Refusal as Refused, Settings};
use qdisc_model::invariant::Event;
use qdisc_model::packet::Packet;

pub(crate) const LIMIT: u32 = 1 << 20;
/// The line says so much more from one epoch to the next.
const STRIDE: u64 = 3;

/// How the gate is set.
pub(crate) const ROOMY: Settings = Settings {
    limit: LIMIT as u64,
    in_flight: 64,
    on_overflow: OnOverflow::DropNewest,
    on_late: OnLate::Hold,
};

/// What may come between two steps of the daemon, or at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    Nothing,
    /// So many packets of the guest arrive.
    Packets(u8),
    Flap,
    /// The device takes no packets, or takes them again.
    Stall(bool),
    /// The watchdog's time is over.
    Bark,
    /// Somebody else ends an epoch, and the daemon is told when it next listens.
    ForeignBegin,
    /// Somebody else puts a new gate in the place of this one, and the daemon is told later.
    ForeignGate,
    /// The daemon is killed and started again.
    Kill,
    /// The next command fails; it was carried out all the same if the flag is set.
    Fail {
        carried_out: bool,
    },
}

pub(crate) struct World {
    pub(crate) gate: Gate,
    pub(crate) pipeline: Pipeline,
    settings: Settings,
    /// Something happened that the daemon has not heard of.
    pub(crate) news: bool,
    /// The epoch that the guest is in, and those that ended at a checkpoint.
    epoch: u64,
    pub(crate) ended: VecDeque<u64>,
    /// The guest's first epoch under this client.
    pub(crate) base: u64,
    packets: u64,
    pub(crate) trace: Vec<Event>,
    /// What comes between the next commands, in order; nothing once it is empty.
    pub(crate) between: VecDeque<Mishap>,
    paused: bool,
    stalled: bool,
}

impl World {
    /// A world in which the daemon is up and a client is in command.
    pub(crate) fn new(settings: Settings) -> Self {
        let mut world = Self {
            gate: Gate::new(settings),
            pipeline: Pipeline::new(LIMIT),
            settings,
            news: false,
            epoch: 1,
            ended: VecDeque::new(),
            base: 1,
            packets: 0,
            trace: Vec::new(),
            between: VecDeque::new(),
            paused: false,
            stalled: false,
        };
        world.start();
        world.new_client();
        world
    }

    pub(crate) fn send(&mut self, count: u8) {
        for _ in 0..count {
            self.packets += 1;
            let packet = Packet::held(self.packets, 100);
            self.trace.push(Event::Arrived {
                packet,
                epoch: self.epoch,
            });
            if let Arrival::Dropped { .. } = self.gate.arrive(packet) {
                self.trace.push(Event::Lost { id: packet.id });
            }
        }
    }

    fn run(&mut self) {
        while !self.stalled
            && let Some(packet) = self.gate.leave()
        {
            self.trace.push(Event::Left { id: packet.id });
        }
    }

    fn lose(&mut self, lost: &[Packet]) {
        let lost = lost.iter().map(|packet| Event::Lost { id: packet.id });
        self.trace.extend(lost);
    }

    /// Something happens beside the daemon. `None` when it is dead.
    pub(crate) fn happen(&mut self, mishap: Mishap) -> Option<Result<(), bool>> {
        match mishap {
            Mishap::Nothing => {}
            Mishap::Packets(_) if self.paused => {}
            Mishap::Packets(count) => self.send(count),
            Mishap::Flap => {
                let lost = self.gate.reset();
                self.lose(&lost);
            }
            Mishap::Stall(stalled) => {
                self.stalled = stalled;
                self.run();
            }
            Mishap::Bark => {
                let lost = self.gate.bark();
                self.lose(&lost);
            }
            Mishap::ForeignBegin => {
                let next = self.gate.open() + 1;
                // It may be full: then nothing happened.
                self.news |= self.gate.begin(next).is_ok();
            }
            Mishap::ForeignGate => {
                let lost = self.gate.reset();
                self.lose(&lost);
                self.gate = Gate::new(self.settings);
                self.news = true;
            }
            Mishap::Kill => return None,
            Mishap::Fail { carried_out } => return Some(Err(carried_out)),
        }
        Some(Ok(()))
    }

    /// The kernel carries out a command.
    fn execute(&mut self, command: Command) -> Result<(), Refused> {
        match command {
            Command::Look => {}
            Command::Begin(epoch) => self.gate.begin(epoch)?,
            Command::Commit(epoch) => {
                self.gate.commit(epoch)?;
                self.run();
            }
            Command::Abort(epoch) => {
                let lost = self.gate.abort(epoch)?;
                self.lose(&lost);
            }
            // A world with little room keeps it.
            Command::Limit(_) => {}
        }
        Ok(())
    }

    fn sighting(&self) -> Sighting {
        let counters = self.gate.counters();
        Sighting {
            open: self.gate.open(),
            committed: self.gate.committed(),
            oldest: self.gate.in_flight().front().copied(),
            in_flight: self.gate.in_flight().len() as u64,
            aborted: counters.aborted.packets,
            purged: counters.purged.packets,
        }
    }

    /// Feeds the pipeline until it wants nothing more, as the daemon does. `None` when the daemon
    /// was killed before it could answer.
    fn settle(&mut self, mut step: Step) -> Option<Option<Answer>> {
        let mut answer = step.answer;
        while let Some(command) = step.command {
            let outcome = match self.between.pop_front() {
                Some(mishap) => self.happen(mishap)?,
                None => Ok(()),
            };
            let event = match outcome {
                Ok(()) => match self.execute(command) {
                    Ok(()) => Input::Done(self.sighting()),
                    Err(Refused::TooMany) => Input::Objected(Objection::TooMany),
                    Err(Refused::Full) => Input::Objected(Objection::Full),
                    Err(_) => Input::Objected(Objection::OutOfStep),
                },
                Err(carried_out) => {
                    if carried_out {
                        let _ = self.execute(command);
                    }
                    Input::Failed
                }
            };
            step = self.pipeline.step(event);
            answer = answer.or(step.answer);
        }
        Some(answer)
    }

    /// A new daemon, over whatever is there. It is tried again until it has the gate.
    pub(crate) fn start(&mut self) {
        loop {
            self.pipeline = Pipeline::new(LIMIT);
            // A new socket hears only of what comes after it.
            self.news = false;
            self.base = self.epoch;
            let mut up = true;
            while self.pipeline.is_lost() && up {
                let step = self.pipeline.step(Input::Start);
                up = self.settle(step).is_some();
            }
            if up {
                return;
            }
        }
    }

    /// The daemon has time to hear of what happened. Whether it lived through it: a client of one that
    /// died has to connect anew.
    pub(crate) fn listen(&mut self) -> bool {
        if std::mem::take(&mut self.news) {
            let step = self.pipeline.step(Input::Disturbed);
            if self.settle(step).is_none() {
                self.start();
                return false;
            }
        }
        while self.pipeline.is_lost() {
            let step = self.pipeline.step(Input::Start);
            if self.settle(step).is_none() {
                self.start();
                return false;
            }
        }
        true
    }

    fn ask(&mut self, request: Request) -> Option<Answer> {
        // It hears the kernel before the client.
        if !self.listen() {
            return None;
        }
        let step = self.pipeline.step(Input::Request(request));
        let answer = self.settle(step);
        if answer.is_none() {
            self.start();
        }
        answer.flatten()
    }

    fn number(&self, epoch: u64) -> Option<u64> {
        Some(epoch.checked_sub(self.base)? * STRIDE)
    }

    /// The guest pauses, its replicator asks for the end of the epoch until it is answered, and the
    /// guest goes on in the next one; in the same one if too many are in flight.
    pub(crate) fn checkpoint(&mut self) -> Answer {
        self.paused = true;
        let answer = loop {
            let number = self.number(self.epoch).unwrap();
            match self.ask(Request::End(number)) {
                Some(Answer::Refused(Refusal::Lost)) | None => {}
                Some(answer) => break answer,
            }
        };
        self.paused = false;
        if !matches!(answer, Answer::Refused(_)) {
            self.ended.push_back(self.epoch);
            self.epoch += 1;
        }
        answer
    }

    /// The backup has the oldest `count` epochs that ended. It happened, heard of or not.
    pub(crate) fn backup_has(&mut self, count: usize) -> Option<u64> {
        let mut newest = None;
        for epoch in self.ended.drain(..count.min(self.ended.len())) {
            self.trace.push(Event::Committed { epoch });
            newest = Some(epoch);
        }
        newest
    }

    /// The daemon is told of a commit, which may be of an earlier connection; by a number between
    /// that of the epoch and that of the next, if one has ended.
    pub(crate) fn commit(&mut self, epoch: u64, between: u64) -> Option<Answer> {
        let number = self.number(epoch)?;
        let last = epoch + 1 == self.epoch;
        self.ask(Request::Committed(if last {
            number
        } else {
            number + between % STRIDE
        }))
    }

    /// The guest is set back: its epochs in flight never happened.
    pub(crate) fn abort(&mut self) {
        self.paused = true;
        while !matches!(self.ask(Request::Abort), Some(Answer::Aborted(_))) {}
        self.ended.clear();
        self.epoch += 1;
        self.paused = false;
    }

    /// A line that no honest client sends: a commit of an epoch that has not ended.
    pub(crate) fn lie(&mut self, ahead: u64) -> Option<Answer> {
        let number = self.number(self.epoch)? + ahead;
        self.ask(Request::Committed(number))
    }

    /// The client is gone and another one comes, which counts epochs in its own way.
    pub(crate) fn new_client(&mut self) {
        self.pipeline.step(Input::Left);
        self.pipeline.step(Input::Joined);
        self.base = self.epoch;
    }

    /// Everything in the queue, oldest first.
    pub(crate) fn held(&self) -> Vec<u64> {
        self.gate.waiting().map(|(_, packet)| packet.id).collect()
    }

    /// What left, in order.
    pub(crate) fn left(&self) -> Vec<u64> {
        let left = self.trace.iter().filter_map(|event| match event {
            Event::Left { id } => Some(*id),
            _ => None,
        });
        left.collect()
    }
}
