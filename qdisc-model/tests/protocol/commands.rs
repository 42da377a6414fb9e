//! Every short sequence of commands and packets at the gate as it should be, sensible or not, with
//! queues that run out one packet at a time.

use qdisc_model::epoch::{Arrival, Gate, OnLate, OnOverflow, Settings};
use qdisc_model::invariant::onlooker::{Law, Onlooker};
use qdisc_model::invariant::{Account, Event};
use qdisc_model::packet::{Packet, Tally, Verdict};
use stateright::{Checker, Model, Property};

/// One thing said or done to the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Arrive(Verdict),
    Begin(u64),
    Commit(u64),
    Abort(u64),
    Leave,
    Open,
    Bark,
    Reset,
    Limit(u64),
}

/// The gate, who looks on, and how much may still happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    gate: Gate,
    onlooker: Onlooker,
    sent: u64,
    rare: u8,
}

/// The bounds of a search.
#[derive(Clone)]
struct Commands {
    settings: Settings,
    packets: u64,
    epochs: u64,
    rare: u8,
}

impl State {
    fn see(&mut self, events: impl IntoIterator<Item = Event>) {
        events
            .into_iter()
            .for_each(|event| self.onlooker.see(event));
    }

    fn lose(&mut self, lost: &[Packet]) {
        self.see(lost.iter().map(|packet| Event::Lost { id: packet.id }));
    }

    /// True if the command was taken. A refused one has to leave the gate as it was.
    fn act(&mut self, act: Act) -> bool {
        match act {
            Act::Arrive(verdict) => {
                self.sent += 1;
                let id = self.sent;
                let packet = Packet {
                    verdict,
                    ..Packet::held(id, 1)
                };
                let epoch = self.gate.open();
                self.see([Event::Arrived { packet, epoch }]);
                match self.gate.arrive(packet) {
                    Arrival::Passed => self.see([Event::Left { id }]),
                    Arrival::Held { .. } => {}
                    Arrival::Dropped { .. } => self.lose(&[packet]),
                }
                true
            }
            Act::Begin(epoch) => {
                let was_open = self.gate.is_open();
                let taken = self.gate.begin(epoch).is_ok();
                if taken && was_open {
                    self.see([Event::Closed]);
                }
                taken
            }
            Act::Commit(epoch) => {
                let before = self.gate.committed();
                let taken = self.gate.commit(epoch).is_ok();
                if taken && self.gate.committed() > before {
                    self.see([Event::Committed { epoch }]);
                }
                taken
            }
            Act::Abort(epoch) => match self.gate.abort(epoch) {
                Ok(lost) => {
                    self.lose(&lost);
                    true
                }
                Err(_) => false,
            },
            Act::Leave => {
                let left = self.gate.leave();
                self.see(left.map(|packet| Event::Left { id: packet.id }));
                left.is_some()
            }
            Act::Open => {
                self.gate.open_up();
                self.see([Event::Opened]);
                true
            }
            Act::Bark => {
                let lost = self.gate.bark();
                self.lose(&lost);
                if self.gate.is_open() {
                    self.see([Event::Opened]);
                }
                true
            }
            Act::Reset => {
                let lost = self.gate.reset();
                self.lose(&lost);
                true
            }
            Act::Limit(bytes) => {
                self.gate.set_limit(bytes);
                true
            }
        }
    }

    fn account(&self) -> Account {
        let counters = self.gate.counters();
        let lost = counters
            .overflow
            .plus(counters.aborted)
            .plus(counters.purged);
        Account {
            held: self.gate.held().packets,
            lost: lost.packets,
        }
    }
}

impl Model for Commands {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            gate: Gate::new(self.settings),
            onlooker: Onlooker::default(),
            sent: 0,
            rare: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Act>) {
        if state.sent < self.packets {
            actions.extend([Act::Arrive(Verdict::Buffer), Act::Arrive(Verdict::Bypass)]);
        }
        let open = state.gate.open();
        actions.extend([Act::Begin(open), Act::Leave]);
        if open < self.epochs {
            actions.push(Act::Begin(open + 1));
        }
        actions.extend((1..=open + 1).map(Act::Commit));
        if state.rare < self.rare {
            actions.extend([Act::Open, Act::Bark, Act::Reset, Act::Limit(1)]);
            actions.extend((1..=open + 1).map(Act::Abort));
        }
    }

    fn next_state(&self, state: &State, act: Act) -> Option<State> {
        let mut next = state.clone();
        if !next.act(act) {
            return None;
        }
        if next == *state {
            return None;
        }
        let rare = matches!(
            act,
            Act::Open | Act::Bark | Act::Reset | Act::Limit(_) | Act::Abort(_)
        );
        next.rare += u8::from(rare);
        let account = next.account();
        next.onlooker.audit(account);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("the law", |_, state: &State| {
                Law::ALL.iter().all(|law| state.onlooker.keeps(*law))
            }),
            Property::always("peek tells what leaves", |_, state: &State| {
                let mut gate = state.gate.clone();
                state.gate.peek().copied() == gate.leave()
            }),
            Property::always("no refused command changes anything", |_, state: &State| {
                (1..=state.gate.open() + 2).all(|epoch| refusals_change_nothing(state, epoch))
            }),
            Property::always("a command given twice is one", |_, state: &State| {
                let mut gate = state.gate.clone();
                let again =
                    (1..=gate.committed()).all(|epoch| gate.commit(epoch) == Ok(Tally::default()));
                let reopened = state.gate.is_open() || gate.begin(gate.open()) == Ok(());
                again && reopened && gate == state.gate
            }),
            Property::sometimes("three epochs in flight", |_, state: &State| {
                state.gate.in_flight().len() >= 3
            }),
        ]
    }
}

fn refusals_change_nothing(state: &State, epoch: u64) -> bool {
    let refused = [Act::Begin(epoch), Act::Commit(epoch), Act::Abort(epoch)];
    refused.into_iter().all(|act| {
        let mut next = state.clone();
        let mut counted = *state.gate.counters();
        counted.refused += 1;
        next.act(act)
            || (*next.gate.counters() == counted
                && next.gate.held() == state.gate.held()
                && next.gate.in_flight() == state.gate.in_flight()
                && (next.gate.open(), next.gate.committed(), next.gate.is_open())
                    == (
                        state.gate.open(),
                        state.gate.committed(),
                        state.gate.is_open(),
                    ))
    })
}

#[test]
fn no_sequence_of_commands_breaks_the_law() {
    let policies = [
        (100, OnOverflow::DropNewest, OnLate::Hold),
        (2, OnOverflow::RefuseEpoch, OnLate::Abort),
        (2, OnOverflow::AskCheckpoint { at: 1 }, OnLate::Open),
    ];
    for (limit, on_overflow, on_late) in policies {
        let commands = Commands {
            settings: Settings {
                limit,
                in_flight: 3,
                on_overflow,
                on_late,
            },
            packets: 3,
            epochs: 5,
            rare: 2,
        };
        let checker = commands.checker().spawn_bfs().join();
        println!(
            "commands, limit {limit}, {on_overflow:?}, watchdog {on_late:?}: {} states, {} steps",
            checker.unique_state_count(),
            checker.state_count()
        );
        checker.assert_properties();
    }
}
