//! A guest, its replicator, the daemon around the controller, and a kernel with one plug: all that
//! happens is written down as a trace. Epochs of the trace are the guest's own and never repeat;
//! the numbers on the line begin anew with each client.

use std::collections::VecDeque;

use qdisc_model::controller::{
    Answer, Command, Controller, Event as Input, Request, Sighting, Step,
};
use qdisc_model::invariant::Event;
use qdisc_model::packet::Packet;
use qdisc_model::plug::{
    BUFFER, Device, Enqueued, LIMIT, Plug, Qopt, RELEASE_INDEFINITE, RELEASE_ONE,
};

pub(crate) const ROOMY: u32 = 1 << 20;

/// What may come between two steps of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Between {
    Nothing,
    /// So many packets of the guest arrive.
    Packets(u8),
    /// The link goes down and up, and the daemon is told when it next looks.
    Flap,
    /// The same, and so many packets of the guest arrive right after it.
    FlapThen(u8),
    /// The device takes no packets, or takes them again: a release doesn't run out at once.
    Stall(bool),
    /// The daemon is killed and started again.
    Kill,
    /// The next command fails; it was carried out all the same if the flag is set.
    Fail {
        carried_out: bool,
    },
}

pub(crate) struct World {
    pub(crate) plug: Plug,
    pub(crate) controller: Controller,
    limit: u32,
    /// Bytes that left.
    sent: u64,
    /// The link changed and the daemon has not heard of it.
    news: bool,
    /// The epoch that the guest is in; epochs that ended at a checkpoint; the newest at the backup.
    pub(crate) epoch: u64,
    pub(crate) ended: VecDeque<u64>,
    /// What the numbers on the line differ by from the guest's epochs.
    pub(crate) base: u64,
    packets: u64,
    pub(crate) trace: Vec<Event>,
    /// What comes between the next commands, in order; nothing once it is empty.
    pub(crate) between: VecDeque<Between>,
    /// The guest is paused: it sends nothing.
    paused: bool,
    stalled: bool,
    /// Whether a flap may fall between the look and the release that follows it.
    pub(crate) flap_in_the_gap: bool,
}

fn fresh_plug(limit: u32) -> Plug {
    let device = Device {
        tx_queue_len: 32,
        psched_mtu: 1514,
    };
    Plug::init(Some(Qopt { action: 0, limit }), device)
}

impl World {
    /// A world in which the daemon is up and a client is in command.
    pub(crate) fn new(limit: u32) -> Self {
        let mut world = Self::asleep(limit);
        world.start();
        world.controller.step(Input::Joined);
        world
    }

    /// A world whose daemon is not running yet.
    pub(crate) fn asleep(limit: u32) -> Self {
        Self {
            plug: fresh_plug(limit),
            controller: Controller::new(limit),
            limit,
            sent: 0,
            news: false,
            epoch: 1,
            ended: VecDeque::new(),
            base: 0,
            packets: 0,
            trace: Vec::new(),
            between: VecDeque::new(),
            paused: false,
            stalled: false,
            flap_in_the_gap: false,
        }
    }

    pub(crate) fn send(&mut self, count: u8) {
        for _ in 0..count {
            self.packets += 1;
            let packet = Packet::held(self.packets, 100);
            self.trace.push(Event::Arrived {
                packet,
                epoch: self.epoch,
            });
            if self.plug.enqueue(packet) == Enqueued::Dropped {
                self.trace.push(Event::Lost { id: packet.id });
            }
            self.run();
        }
    }

    fn run(&mut self) {
        if self.stalled {
            return;
        }
        for packet in self.plug.run() {
            self.sent += u64::from(packet.wire_bytes);
            self.trace.push(Event::Left { id: packet.id });
        }
    }

    pub(crate) fn stall(&mut self, stalled: bool) {
        self.stalled = stalled;
        self.run();
    }

    /// Not while packets that were let go wait for the device: that is the other race that no
    /// daemon can close, see `cases::only_a_new_plug_forgets_...`.
    pub(crate) fn flap(&mut self) {
        self.stall(false);
        self.lose_all();
        self.news = true;
    }

    /// The plug loses its packets and nobody is told.
    pub(crate) fn lose_all(&mut self) {
        let lost = self.plug.reset();
        self.lose(&lost);
    }

    fn lose(&mut self, lost: &[Packet]) {
        let lost = lost.iter().map(|packet| Event::Lost { id: packet.id });
        self.trace.extend(lost);
    }

    fn change(&mut self, action: i32, limit: u32) {
        self.plug.change(Qopt { action, limit }).unwrap();
        if matches!(action, RELEASE_ONE | RELEASE_INDEFINITE) {
            self.run();
        }
    }

    /// The kernel carries out a command.
    pub(crate) fn execute(&mut self, command: Command) {
        match command {
            Command::Look | Command::Fence | Command::Drain => {}
            Command::Block => self.change(BUFFER, 0),
            Command::ReleaseOne => self.change(RELEASE_ONE, 0),
            Command::Flush => self.change(RELEASE_INDEFINITE, 0),
            Command::Limit(limit) => self.change(LIMIT, limit),
            Command::Renew => {
                self.lose_all();
                self.plug = fresh_plug(self.limit);
                self.sent = 0;
            }
        }
    }

    fn sighting(&self) -> Sighting {
        Sighting {
            packets: u32::try_from(self.plug.held().len()).unwrap(),
            backlog: self.plug.backlog(),
            sent: self.sent,
        }
    }

    /// What the script wants between two commands. `None` when the daemon is dead.
    fn interlude(&mut self, next: Command) -> Option<Result<(), bool>> {
        match self.between.pop_front().unwrap_or(Between::Nothing) {
            Between::Nothing => {}
            Between::Packets(count) => {
                if !self.paused {
                    self.send(count);
                }
            }
            // The one race that is bounded and not closed, see `cases::a_flap_in_the_gap_...`.
            Between::Flap | Between::FlapThen(_)
                if next == Command::ReleaseOne && !self.flap_in_the_gap => {}
            Between::Flap => self.flap(),
            Between::FlapThen(count) => {
                self.flap();
                if !self.paused {
                    self.send(count);
                }
            }
            Between::Stall(stalled) => self.stall(stalled),
            Between::Kill => return None,
            Between::Fail { carried_out } => return Some(Err(carried_out)),
        }
        Some(Ok(()))
    }

    /// Feeds the controller until it wants nothing more, as the daemon does. `None` when the
    /// daemon was killed before it could answer.
    fn settle(&mut self, mut step: Step) -> Option<Option<Answer>> {
        let mut answer = step.answer;
        while let Some(command) = step.command {
            let outcome = self.interlude(command)?;
            let looks = matches!(command, Command::Look | Command::Drain | Command::Fence);
            if looks && std::mem::take(&mut self.news) {
                self.controller.step(Input::Disturbed);
            }
            step = match outcome {
                Ok(()) => {
                    self.execute(command);
                    self.controller.step(Input::Done(self.sighting()))
                }
                Err(carried_out) => {
                    if carried_out {
                        self.execute(command);
                    }
                    self.controller.step(Input::Failed)
                }
            };
            answer = answer.or(step.answer);
        }
        Some(answer)
    }

    /// A new daemon, over whatever is there. It is tried again until it has the gate.
    pub(crate) fn start(&mut self) {
        loop {
            self.controller = Controller::new(self.limit);
            // A new socket hears only of what comes after it.
            self.news = false;
            self.base = self.epoch;
            let mut up = true;
            while self.controller.is_lost() && up {
                let step = self.controller.step(Input::Start);
                up = self.settle(step).is_some();
            }
            if up {
                return;
            }
        }
    }

    /// The daemon has time to hear of what happened.
    pub(crate) fn notice(&mut self) {
        if std::mem::take(&mut self.news) {
            let step = self.controller.step(Input::Disturbed);
            if self.settle(step).is_none() {
                self.start();
            }
        }
        while self.controller.is_lost() {
            let step = self.controller.step(Input::Start);
            if self.settle(step).is_none() {
                self.start();
            }
        }
    }

    fn ask(&mut self, request: Request) -> Option<Answer> {
        let step = self.controller.step(Input::Request(request));
        let answer = self.settle(step);
        if answer.is_none() {
            self.start();
        }
        answer.flatten()
    }

    /// The guest pauses, its replicator asks for the end of the epoch until that is answered, and
    /// the guest goes on in the next one.
    pub(crate) fn checkpoint(&mut self) -> Answer {
        self.paused = true;
        let answer = loop {
            // Numbers may begin at 0 and are the same again when the question is.
            match self.ask(Request::End(self.epoch - self.base)) {
                Some(Answer::Refused(_)) | None => self.notice(),
                Some(answer) => break answer,
            }
        };
        self.ended.push_back(self.epoch);
        self.epoch += 1;
        self.paused = false;
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

    /// The daemon is told of a commit, which may be of an earlier connection.
    pub(crate) fn commit(&mut self, epoch: u64) -> Option<Answer> {
        let number = epoch.checked_sub(self.base)?;
        self.ask(Request::Committed(number))
    }

    /// The guest is set back: its epochs in flight never happened.
    pub(crate) fn abort(&mut self) {
        self.paused = true;
        while !matches!(self.ask(Request::Abort), Some(Answer::Aborted(_))) {
            self.notice();
        }
        self.ended.clear();
        self.epoch += 1;
        self.paused = false;
    }

    /// A line that no honest client sends: a commit of an epoch that has not ended.
    pub(crate) fn lie(&mut self, ahead: u64) -> Option<Answer> {
        self.ask(Request::Committed(self.epoch - self.base + ahead))
    }

    /// The client is gone and another one comes, which counts epochs in its own way.
    pub(crate) fn new_client(&mut self) {
        self.controller.step(Input::Left);
        self.controller.step(Input::Joined);
        self.base = self.epoch;
    }

    /// Everything in the queue, oldest first.
    pub(crate) fn held(&self) -> Vec<u64> {
        self.plug.held().iter().map(|packet| packet.id).collect()
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
