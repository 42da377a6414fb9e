//! Primary, backup, the link between them, a failure detector and somebody outside who sees what
//! leaves: the protocol around a gate, one step at a time.
//!
//! The steps are those of Remus (pause, transfer, resume, commit) with the freedom that a network
//! and hosts have: everything may be late, anything on the link may get lost, either side may crash
//! between any two steps, and the failure detector may be wrong. What opens the gate is a
//! parameter: Xen's libxl releases when the checkpoint is written to the stream
//! (`libxl_stream_write.c`, `libxl_remus.c`), a careful replicator when the backup has
//! acknowledged it.
//!
//! A state holds nothing but what decides about the future, so equal situations are equal states.

use crate::invariant::Event;
use crate::invariant::onlooker::Onlooker;
use crate::packet::{Packet, Verdict};
use crate::protocol::driver::{Driver, Fate};

pub mod driver;

/// Which event lets the packets of an epoch go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpensOn {
    /// The checkpoint was written to the stream.
    Written,
    /// The backup said that it has it.
    Acknowledged,
}

/// What somebody who decides about the other side's death may rest on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is never made.
    Never,
    /// The other side is dead: seen by a perfect detector, or made true by fencing.
    WhenDead,
    /// The other side has not been heard of, which can happen at any time.
    WhenSuspected,
}

/// What may go wrong besides delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The primary's host stops, with everything in its queues.
    CrashPrimary,
    /// The backup's host stops.
    CrashBackup,
    /// The oldest checkpoint on the link is lost.
    LoseCheckpoint,
    /// The oldest acknowledgement on the link is lost.
    LoseAcknowledgement,
    /// The gate's device goes down and up.
    Flap,
    /// The command that began the open epoch is given again.
    RepeatBegin,
    /// The command of the newest commit is given again.
    RepeatCommit,
    /// The command of the next commit gets lost on the way to the gate.
    LoseCommit,
    /// Whoever drives the gate starts again and is told everything again.
    Restart,
    /// The watchdog's time is over.
    Bark,
}

/// One world to explore: what is in it and how much may happen.
#[derive(Clone, Debug)]
pub struct Setting {
    /// What opens the gate.
    pub opens_on: OpensOn,
    /// When the backup takes over.
    pub takeover: Decision,
    /// When the primary goes on without a backup and opens its gate.
    pub give_up: Decision,
    /// Whether the vif on the backup is gated too, with nobody there to open it.
    pub gated_backup: bool,
    /// Most epochs ended and not committed.
    pub in_flight: u64,
    /// Most packets of the verdict `buffer`, and of the verdict `bypass`.
    pub packets: (u8, u8),
    /// Most checkpoints.
    pub checkpoints: u64,
    /// The faults there are.
    pub faults: Vec<Fault>,
    /// Most faults in one behaviour.
    pub most_faults: u8,
}

/// The number of the packet with which the guest on the backup says where it is.
pub const GRATUITOUS_ARP: u64 = u64::MAX;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The guest on the primary sends a packet.
    Send(Verdict),
    /// The guest is paused, its epoch ends, the checkpoint is written to the stream, and the guest
    /// goes on in the next epoch.
    Checkpoint,
    /// The oldest checkpoint on the link arrives at the backup.
    Deliver,
    /// The oldest acknowledgement on the link arrives at the primary.
    Acknowledge,
    /// The link has been quiet and a checkpoint is missing at the backup: it is sent again.
    Resend,
    /// The gate is told of the next epoch that may go.
    Commit,
    /// The backup runs the guest.
    TakeOver,
    /// The guest on the backup says where it is: a gratuitous ARP.
    Announce,
    /// The primary opens its gate and goes on unprotected.
    GiveUp,
    /// Something goes wrong.
    Fault(Fault),
}

/// The primary's side: the guest and its replicator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Primary {
    up: bool,
    /// The guest's epoch.
    epoch: u64,
    /// Newest epoch that the backup has acknowledged.
    acknowledged: u64,
    /// Newest epoch whose commit was told to the gate, or got lost on the way there.
    told: u64,
    /// Newest epoch whose commit the gate has heard of.
    heard: u64,
    gave_up: bool,
}

/// The backup's side.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Backup {
    up: bool,
    /// Newest epoch whose checkpoint it has, with all before.
    has: u64,
    runs: bool,
    announced: bool,
}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World<D> {
    primary: Primary,
    backup: Backup,
    /// Checkpoints on the way, oldest first.
    to_backup: Vec<u64>,
    /// Acknowledgements on the way, oldest first.
    to_primary: Vec<u64>,
    driver: D,
    onlooker: Onlooker,
    sent: (u8, u8),
    faults: u8,
}

impl<D: Driver> World<D> {
    /// The first full copy is done, the guest is in epoch 1 and the gate holds.
    #[must_use]
    pub fn new(driver: D) -> Self {
        Self {
            primary: Primary {
                up: true,
                epoch: 1,
                acknowledged: 0,
                told: 0,
                heard: 0,
                gave_up: false,
            },
            backup: Backup {
                up: true,
                has: 0,
                runs: false,
                announced: false,
            },
            to_backup: Vec::new(),
            to_primary: Vec::new(),
            driver,
            onlooker: Onlooker::default(),
            sent: (0, 0),
            faults: 0,
        }
    }

    /// What the onlooker makes of it so far.
    #[must_use]
    pub fn onlooker(&self) -> &Onlooker {
        &self.onlooker
    }

    /// The gate and what drives it.
    #[must_use]
    pub fn driver(&self) -> &D {
        &self.driver
    }

    /// The epoch that the guest on the primary is in.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.primary.epoch
    }

    /// The newest epoch whose commit was told to the gate.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.primary.told
    }

    /// Epochs that the guest has ended and whose commit the gate was not told of.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.primary.epoch - 1 - self.primary.told
    }

    /// The newest epoch that may go.
    fn releasable(&self, setting: &Setting) -> u64 {
        match setting.opens_on {
            OpensOn::Written => self.primary.epoch - 1,
            OpensOn::Acknowledged => self.primary.acknowledged,
        }
    }

    /// Every step that can happen now.
    #[must_use]
    pub fn steps(&self, setting: &Setting) -> Vec<Step> {
        let Primary { up, gave_up, .. } = self.primary;
        let missing = self.primary.acknowledged < self.primary.epoch - 1;
        let quiet = self.to_backup.is_empty() && self.to_primary.is_empty();
        let decides = |decision, other_is_up: bool| match decision {
            Decision::Never => false,
            Decision::WhenDead => !other_is_up,
            Decision::WhenSuspected => true,
        };
        let mut steps = Vec::new();
        let mut may = |step, can: bool| steps.extend(can.then_some(step));
        may(
            Step::Send(Verdict::Buffer),
            up && self.sent.0 < setting.packets.0,
        );
        may(
            Step::Send(Verdict::Bypass),
            up && self.sent.1 < setting.packets.1,
        );
        let room = self.in_flight() < setting.in_flight;
        let ended = self.primary.epoch - 1;
        may(
            Step::Checkpoint,
            up && !gave_up && room && ended < setting.checkpoints,
        );
        may(Step::Deliver, !self.to_backup.is_empty());
        may(Step::Acknowledge, up && !self.to_primary.is_empty());
        may(
            Step::Resend,
            up && !gave_up && missing && quiet && !self.backup.runs,
        );
        may(
            Step::Commit,
            up && !gave_up && self.primary.told < self.releasable(setting),
        );
        let standby = self.backup.up && !self.backup.runs;
        may(Step::TakeOver, standby && decides(setting.takeover, up));
        may(
            Step::Announce,
            self.backup.up && self.backup.runs && !self.backup.announced,
        );
        may(
            Step::GiveUp,
            up && !gave_up && decides(setting.give_up, self.backup.up),
        );
        if self.faults < setting.most_faults {
            let faults = setting.faults.iter().copied();
            steps.extend(
                faults
                    .filter(|fault| self.can(*fault, setting))
                    .map(Step::Fault),
            );
        }
        steps
    }

    fn can(&self, fault: Fault, setting: &Setting) -> bool {
        let up = self.primary.up;
        match fault {
            Fault::CrashPrimary | Fault::Flap | Fault::Restart | Fault::Bark => up,
            Fault::CrashBackup => self.backup.up,
            Fault::LoseCheckpoint => !self.to_backup.is_empty(),
            Fault::LoseAcknowledgement => !self.to_primary.is_empty(),
            Fault::RepeatBegin => up && !self.primary.gave_up && self.primary.epoch > 1,
            Fault::RepeatCommit => up && !self.primary.gave_up && self.primary.heard > 0,
            Fault::LoseCommit => {
                up && !self.primary.gave_up && self.primary.told < self.releasable(setting)
            }
        }
    }

    /// Takes one step of those that [`World::steps`] offers. Returns what there was to see.
    pub fn take(&mut self, setting: &Setting, step: Step) -> Vec<Event> {
        let was_open = self.driver.is_open();
        let mut seen = match step {
            Step::Send(verdict) => self.send(verdict),
            Step::Checkpoint => self.checkpoint(),
            Step::Deliver => self.deliver(),
            Step::Acknowledge => {
                let oldest = take_first(&mut self.to_primary).unwrap_or(0);
                self.primary.acknowledged = self.primary.acknowledged.max(oldest);
                Vec::new()
            }
            Step::Resend => {
                self.to_backup.push(self.primary.acknowledged + 1);
                Vec::new()
            }
            Step::Commit => {
                self.primary.told += 1;
                self.primary.heard = self.primary.heard.max(self.primary.told);
                self.driver.commit(self.primary.told);
                Vec::new()
            }
            Step::TakeOver => {
                self.backup.runs = true;
                vec![Event::TookOver {
                    from: self.backup.has,
                }]
            }
            Step::Announce => self.announce(setting),
            Step::GiveUp => {
                self.primary.gave_up = true;
                self.driver.open_up();
                Vec::new()
            }
            Step::Fault(fault) => {
                self.faults += 1;
                self.fail(fault)
            }
        };
        match (was_open, self.driver.is_open()) {
            (false, true) => seen.push(Event::Opened),
            (true, false) => seen.push(Event::Closed),
            _ => {}
        }
        if self.primary.up {
            let left = self.driver.run();
            seen.extend(left.iter().map(|packet| Event::Left { id: packet.id }));
        }
        for event in &seen {
            self.onlooker.see(*event);
        }
        if self.primary.up {
            self.onlooker.audit(self.driver.account());
            self.onlooker.expect_released(self.primary.heard);
        }
        seen
    }

    fn send(&mut self, verdict: Verdict) -> Vec<Event> {
        let sent = match verdict {
            Verdict::Buffer => &mut self.sent.0,
            Verdict::Bypass => &mut self.sent.1,
        };
        *sent += 1;
        let id = u64::from(self.sent.0) + u64::from(self.sent.1);
        let packet = Packet {
            verdict,
            ..Packet::held(id, 1)
        };
        let mut seen = vec![Event::Arrived {
            packet,
            epoch: self.primary.epoch,
        }];
        match self.driver.arrive(packet) {
            Fate::Passed => seen.push(Event::Left { id }),
            Fate::Held => {}
            Fate::Dropped => seen.push(Event::Lost { id }),
        }
        seen
    }

    fn checkpoint(&mut self) -> Vec<Event> {
        if self.driver.begin(self.primary.epoch + 1) {
            self.to_backup.push(self.primary.epoch);
            self.primary.epoch += 1;
        }
        Vec::new()
    }

    /// A checkpoint holds what changed since the one before, so one that comes out of turn is of
    /// no use. One that is there already is acknowledged again.
    fn deliver(&mut self) -> Vec<Event> {
        let oldest = take_first(&mut self.to_backup).unwrap_or(0);
        if !self.backup.up || self.backup.runs {
            return Vec::new();
        }
        let next = oldest == self.backup.has + 1;
        if next {
            self.backup.has = oldest;
        }
        if oldest <= self.backup.has {
            self.to_primary.push(self.backup.has);
        }
        let committed = Event::Committed { epoch: oldest };
        next.then_some(committed).into_iter().collect()
    }

    /// The policy of the primary's vif is not in force here: whatever it says of ARP, the network
    /// has to learn at once where the guest is.
    fn announce(&mut self, setting: &Setting) -> Vec<Event> {
        self.backup.announced = true;
        let epoch = self.backup.has + 1;
        let packet = Packet::passing(GRATUITOUS_ARP, 1);
        let left = Event::Left { id: packet.id };
        let left = (!setting.gated_backup).then_some(left);
        let arrived = Event::Arrived { packet, epoch };
        std::iter::once(arrived).chain(left).collect()
    }

    fn fail(&mut self, fault: Fault) -> Vec<Event> {
        let mut lost = Vec::new();
        match fault {
            Fault::CrashPrimary => self.primary.up = false,
            Fault::CrashBackup => self.backup.up = false,
            Fault::LoseCheckpoint => drop(take_first(&mut self.to_backup)),
            Fault::LoseAcknowledgement => drop(take_first(&mut self.to_primary)),
            Fault::Flap => lost = self.driver.flap(),
            Fault::RepeatBegin => drop(self.driver.begin(self.primary.epoch)),
            Fault::RepeatCommit => self.driver.commit(self.primary.heard),
            Fault::LoseCommit => self.primary.told += 1,
            Fault::Restart => {
                self.primary.told = 0;
                self.driver.restart();
            }
            Fault::Bark => lost = self.driver.bark(),
        }
        lost.iter()
            .map(|packet| Event::Lost { id: packet.id })
            .collect()
    }
}

fn take_first(messages: &mut Vec<u64>) -> Option<u64> {
    (!messages.is_empty()).then(|| messages.remove(0))
}
