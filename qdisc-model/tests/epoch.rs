//! The gate of `qdisc_model::epoch` keeps the law of `qdisc_model::invariant` whatever it is told,
//! in whatever order: random sequences of packets, commands, flaps and changes of the limit, with
//! several epochs in flight. And its rules as named cases.

#[cfg(test)]
mod gate {
    use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
    use proptest::test_runner::TestCaseError;
    use qdisc_model::epoch::{Arrival, Gate, OnLate, OnOverflow, Refusal, Settings};
    use qdisc_model::invariant::{Account, Event, Violation, commit_releases, law};
    use qdisc_model::packet::{Packet, Verdict};

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Arrive {
            bytes: u32,
            verdict: Verdict,
        },
        /// Epoch numbers are told relative to the open epoch, near enough to matter.
        Begin {
            offset: i64,
        },
        Commit {
            offset: i64,
        },
        Abort {
            offset: i64,
        },
        Leave,
        Open,
        Bark,
        Reset,
        SetLimit {
            limit: u64,
        },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let verdict = prop_oneof![4 => Just(Verdict::Buffer), 1 => Just(Verdict::Bypass)];
        let step = prop_oneof![
            8 => (60_u32..1600, verdict).prop_map(|(bytes, verdict)| Step::Arrive { bytes, verdict }),
            4 => (-1_i64..=2).prop_map(|offset| Step::Begin { offset }),
            4 => (-4_i64..=1).prop_map(|offset| Step::Commit { offset }),
            1 => (-4_i64..=1).prop_map(|offset| Step::Abort { offset }),
            4 => Just(Step::Leave),
            1 => Just(Step::Open),
            1 => Just(Step::Bark),
            1 => Just(Step::Reset),
            1 => (0_u64..8000).prop_map(|limit| Step::SetLimit { limit }),
        ];
        proptest::collection::vec(step, 0..60)
    }

    fn settings() -> impl Strategy<Value = Settings> {
        let policy = prop_oneof![
            Just(OnOverflow::DropNewest),
            Just(OnOverflow::RefuseEpoch),
            (0_u64..6000).prop_map(|at| OnOverflow::AskCheckpoint { at }),
        ];
        let late = prop_oneof![Just(OnLate::Hold), Just(OnLate::Abort), Just(OnLate::Open)];
        (0_u64..8000, 0_usize..5, policy, late).prop_map(
            |(limit, in_flight, on_overflow, on_late)| Settings {
                limit,
                in_flight,
                on_overflow,
                on_late,
            },
        )
    }

    struct World {
        gate: Gate,
        sent: u64,
        trace: Vec<Event>,
    }

    impl World {
        fn new(settings: Settings) -> Self {
            Self {
                gate: Gate::new(settings),
                sent: 0,
                trace: Vec::new(),
            }
        }

        fn lose(&mut self, lost: &[Packet]) {
            self.trace
                .extend(lost.iter().map(|packet| Event::Lost { id: packet.id }));
        }

        fn leave(&mut self) -> bool {
            let next = self.gate.peek().copied();
            let left = self.gate.leave();
            assert_eq!(next, left, "peek tells what leaves");
            self.trace
                .extend(left.map(|packet| Event::Left { id: packet.id }));
            left.is_some()
        }

        fn step(&mut self, step: Step) {
            let number = |offset: i64| self.gate.open().saturating_add_signed(offset);
            match step {
                Step::Arrive { bytes, verdict } => {
                    self.sent += 1;
                    let packet = Packet {
                        verdict,
                        ..Packet::held(self.sent, bytes)
                    };
                    self.trace.push(Event::Arrived {
                        packet,
                        epoch: self.gate.open(),
                    });
                    match self.gate.arrive(packet) {
                        Arrival::Passed => self.trace.push(Event::Left { id: packet.id }),
                        Arrival::Held { .. } => {}
                        Arrival::Dropped { .. } => self.lose(&[packet]),
                    }
                }
                Step::Begin { offset } => {
                    let open = self.gate.is_open();
                    if self.gate.begin(number(offset)).is_ok() && open {
                        self.trace.push(Event::Closed);
                    }
                }
                Step::Open => self.open(|gate| {
                    gate.open_up();
                }),
                Step::Bark => {
                    let mut lost = Vec::new();
                    self.open(|gate| lost = gate.bark());
                    self.lose(&lost);
                }
                Step::Commit { offset } => {
                    let epoch = number(offset);
                    let before = self.gate.committed();
                    if self.gate.commit(epoch).is_ok() && self.gate.committed() > before {
                        self.trace.push(Event::Committed { epoch });
                    }
                }
                Step::Abort { offset } => {
                    let lost = self.gate.abort(number(offset)).unwrap_or_default();
                    self.lose(&lost);
                }
                Step::Leave => drop(self.leave()),
                Step::Reset => {
                    let lost = self.gate.reset();
                    self.lose(&lost);
                }
                Step::SetLimit { limit } => self.gate.set_limit(limit),
            }
        }

        fn open(&mut self, command: impl FnOnce(&mut Gate)) {
            command(&mut self.gate);
            if self.gate.is_open() {
                self.trace.push(Event::Opened);
            }
        }

        fn judge(&self) -> Result<(), Violation> {
            let counters = self.gate.counters();
            let lost = counters
                .overflow
                .plus(counters.aborted)
                .plus(counters.purged)
                .packets;
            law(
                &self.trace,
                Account {
                    held: self.gate.held().packets,
                    lost,
                },
            )
        }

        fn conserved(&self) -> bool {
            let c = self.gate.counters();
            let out = c
                .passed
                .plus(c.left)
                .plus(c.unprotected)
                .plus(c.overflow)
                .plus(c.aborted)
                .plus(c.purged);
            c.arrived == out.plus(self.gate.held())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn no_sequence_breaks_the_law(settings in settings(), steps in steps()) {
            let mut world = World::new(settings);
            for step in steps {
                world.step(step);
                assert!(world.conserved(), "every packet is counted once");
            }
            while world.leave() {}
            world.judge().map_err(|violation| TestCaseError::fail(violation.to_string()))?;
            let behind = commit_releases(&world.trace);
            behind.map_err(|violation| TestCaseError::fail(violation.to_string()))?;
        }

        /// From any state a controller that commits what is in flight gets the gate moving again.
        #[test]
        fn no_sequence_locks_the_gate(settings in settings(), steps in steps()) {
            let mut world = World::new(settings);
            steps.into_iter().for_each(|step| world.step(step));
            let in_flight: Vec<u64> = world.gate.in_flight().iter().copied().collect();
            for epoch in in_flight {
                assert!(world.gate.commit(epoch).is_ok());
            }
            let open = world.gate.open();
            assert_eq!(world.gate.begin(open + 1), Ok(()));
            assert!(world.gate.commit(open).is_ok());
            while world.leave() {}
            assert_eq!(world.gate.held().packets, 0);
        }

        /// A command that is repeated at once changes no packet and no epoch.
        #[test]
        fn a_repeated_command_changes_nothing(
            settings in settings(), steps in steps(), epoch in any::<u8>(),
        ) {
            let mut world = World::new(settings);
            steps.into_iter().for_each(|step| world.step(step));
            let epoch = u64::from(epoch % 40);
            for command in [
                |gate: &mut Gate, epoch| gate.begin(epoch).map(drop),
                |gate: &mut Gate, epoch| gate.commit(epoch).map(drop),
                |gate: &mut Gate, epoch| gate.abort(epoch).map(drop),
            ] {
                let mut once = world.gate.clone();
                if command(&mut once, epoch).is_ok() {
                    let mut twice = once.clone();
                    assert_eq!(command(&mut twice, epoch), Ok(()));
                    assert_eq!(once, twice);
                }
            }
        }
    }

    fn gate(limit: u64, in_flight: usize, on_overflow: OnOverflow) -> Gate {
        Gate::new(Settings {
            limit,
            in_flight,
            on_overflow,
            on_late: OnLate::Hold,
        })
    }

    fn roomy() -> Gate {
        gate(1 << 20, 3, OnOverflow::DropNewest)
    }

    fn fill(gate: &mut Gate, ids: std::ops::Range<u64>) {
        for id in ids {
            assert!(matches!(
                gate.arrive(Packet::held(id, 100)),
                Arrival::Held { .. }
            ));
        }
    }

    fn run(gate: &mut Gate) -> Vec<u64> {
        std::iter::from_fn(|| gate.leave())
            .map(|packet| packet.id)
            .collect()
    }

    #[test]
    fn several_epochs_in_flight_leave_one_by_one() {
        let mut gate = roomy();
        for epoch in 1..=3 {
            fill(&mut gate, epoch * 10..epoch * 10 + 2);
            gate.begin(epoch + 1).unwrap();
        }
        assert_eq!(gate.begin(5), Err(Refusal::TooMany));
        assert_eq!(gate.commit(1).unwrap().packets, 2);
        assert_eq!(run(&mut gate), [10, 11]);
        assert_eq!(gate.commit(2).unwrap().bytes, 200);
        gate.commit(3).unwrap();
        assert_eq!(run(&mut gate), [20, 21, 30, 31]);
    }

    #[test]
    fn a_commit_out_of_order_is_refused_and_releases_nothing() {
        let mut gate = roomy();
        fill(&mut gate, 0..1);
        gate.begin(2).unwrap();
        gate.begin(3).unwrap();
        assert_eq!(gate.commit(2), Err(Refusal::OutOfOrder { oldest: 1 }));
        assert_eq!(gate.commit(3), Err(Refusal::StillOpen));
        assert_eq!(gate.commit(4), Err(Refusal::Unknown));
        assert_eq!(run(&mut gate), []);
        assert_eq!(gate.counters().refused, 3);
    }

    #[test]
    fn a_flap_releases_nothing_uncommitted() {
        let mut gate = roomy();
        fill(&mut gate, 0..3);
        gate.begin(2).unwrap();
        assert_eq!(gate.reset().len(), 3);
        fill(&mut gate, 3..8);
        assert_eq!(gate.commit(1).unwrap().packets, 0);
        assert_eq!(run(&mut gate), []);
        assert_eq!(gate.counters().purged.packets, 3);
    }

    #[test]
    fn an_abort_takes_the_later_epochs_with_it_and_its_number_is_never_used_again() {
        let mut gate = roomy();
        for epoch in 1..=3 {
            fill(&mut gate, epoch..epoch + 1);
            gate.begin(epoch + 1).unwrap();
        }
        assert_eq!(gate.abort(2).unwrap().len(), 2);
        assert_eq!(gate.open(), 5);
        assert_eq!(gate.abort(3), Ok(Vec::new()), "aborted already");
        assert_eq!(gate.commit(1).unwrap().packets, 1);
        assert_eq!(gate.commit(2), Err(Refusal::Aborted));
        assert_eq!(gate.abort(1), Err(Refusal::Settled));
        fill(&mut gate, 9..10);
        gate.begin(6).unwrap();
        gate.commit(5).unwrap();
        assert_eq!(run(&mut gate), [1, 9]);
        assert_eq!(gate.counters().aborted.packets, 2);
    }

    #[test]
    fn refuse_epoch_holds_the_controller_until_something_left() {
        let mut gate = gate(250, 3, OnOverflow::RefuseEpoch);
        fill(&mut gate, 0..1);
        gate.begin(2).unwrap();
        fill(&mut gate, 1..2);
        gate.begin(3).unwrap();
        let arrival = gate.arrive(Packet::held(2, 100));
        assert_eq!(arrival, Arrival::Dropped { ask: false });
        assert_eq!(gate.begin(4), Err(Refusal::Full));
        gate.commit(1).unwrap();
        assert_eq!(gate.begin(4), Err(Refusal::Full), "released, not yet gone");
        assert_eq!(run(&mut gate), [0]);
        assert_eq!(gate.begin(4), Ok(()));
    }

    #[test]
    fn a_full_gate_with_nothing_in_flight_may_end_its_epoch() {
        let mut gate = gate(100, 3, OnOverflow::RefuseEpoch);
        fill(&mut gate, 0..1);
        gate.arrive(Packet::held(1, 100));
        assert_eq!(gate.begin(2), Ok(()));
    }

    #[test]
    fn an_early_checkpoint_is_asked_for_once_in_an_epoch() {
        let mut gate = gate(1000, 3, OnOverflow::AskCheckpoint { at: 200 });
        let mut asks = || match gate.arrive(Packet::held(0, 100)) {
            Arrival::Held { ask, .. } | Arrival::Dropped { ask } => ask,
            Arrival::Passed => panic!("the packet is to be held"),
        };
        assert_eq!([asks(), asks(), asks()], [false, true, false]);
        gate.begin(2).unwrap();
        let again = gate.arrive(Packet::held(0, 100));
        assert_eq!(
            again,
            Arrival::Held {
                epoch: 2,
                ask: true
            }
        );
    }

    #[test]
    fn an_opened_gate_lets_all_leave_in_order_and_counts_it_apart() {
        let mut gate = roomy();
        fill(&mut gate, 0..1);
        gate.begin(2).unwrap();
        fill(&mut gate, 1..2);
        gate.commit(1).unwrap();
        assert_eq!(gate.open_up().packets, 1, "packet 0 is committed");
        let arrival = gate.arrive(Packet::held(2, 100));
        assert_eq!(
            arrival,
            Arrival::Held {
                epoch: 0,
                ask: false
            },
            "behind the others, not past them"
        );
        assert_eq!(run(&mut gate), [0, 1, 2]);
        let counters = gate.counters();
        assert_eq!(
            (counters.left.packets, counters.unprotected.packets),
            (1, 2)
        );
    }

    #[test]
    fn an_opened_gate_closes_with_the_next_begin_even_a_repeated_one() {
        for epoch in [1, 2] {
            let mut gate = roomy();
            gate.open_up();
            assert_eq!(gate.begin(7), Err(Refusal::NotNext { open: 1 }));
            assert!(gate.is_open(), "a refused command changes nothing");
            gate.begin(epoch).unwrap();
            fill(&mut gate, 0..1);
            assert_eq!(run(&mut gate), []);
        }
    }

    #[test]
    fn a_flap_leaves_an_opened_gate_open_and_its_epochs_in_flight() {
        let mut gate = roomy();
        gate.begin(2).unwrap();
        gate.open_up();
        gate.reset();
        assert!(gate.is_open());
        assert_eq!(gate.commit(1).unwrap().packets, 0);
    }

    #[test]
    fn what_was_given_up_survives_an_abort() {
        let mut gate = roomy();
        fill(&mut gate, 0..1);
        gate.open_up();
        gate.begin(2).unwrap();
        fill(&mut gate, 1..2);
        assert_eq!(gate.abort(1).unwrap().len(), 1);
        assert_eq!(run(&mut gate), [0]);
    }

    fn late(on_late: OnLate) -> Gate {
        let mut gate = Gate::new(Settings {
            limit: 1 << 20,
            in_flight: 3,
            on_overflow: OnOverflow::DropNewest,
            on_late,
        });
        fill(&mut gate, 0..1);
        gate.begin(2).unwrap();
        fill(&mut gate, 1..2);
        gate
    }

    #[test]
    fn the_watchdog_holds_and_says_so_until_a_commit() {
        let mut gate = late(OnLate::Hold);
        assert_eq!(gate.bark(), []);
        assert!(gate.is_late());
        assert_eq!(run(&mut gate), []);
        gate.commit(1).unwrap();
        assert!(!gate.is_late());
        assert_eq!(run(&mut gate), [0]);
    }

    #[test]
    fn the_watchdog_aborts_what_waits_and_still_says_so() {
        let mut gate = late(OnLate::Abort);
        assert_eq!(gate.bark().len(), 2);
        assert!(gate.is_late());
        assert_eq!(gate.commit(1), Err(Refusal::Aborted));
        fill(&mut gate, 2..3);
        assert_eq!(run(&mut gate), [], "it goes on holding");
        assert_eq!(gate.counters().aborted.packets, 2);
    }

    #[test]
    fn the_watchdog_opens_and_counts_what_it_gave_up() {
        let mut gate = late(OnLate::Open);
        assert_eq!(gate.bark(), []);
        assert!(gate.is_late() && gate.is_open());
        assert_eq!(run(&mut gate), [0, 1]);
        assert_eq!(gate.counters().unprotected.packets, 2);
    }

    #[test]
    fn the_watchdog_is_silent_where_nothing_waits() {
        let mut gate = late(OnLate::Open);
        gate.commit(1).unwrap();
        gate.abort(2).unwrap();
        assert_eq!(gate.bark(), []);
        assert_eq!((gate.is_late(), gate.is_open()), (false, false));
        assert_eq!(gate.counters().late, 0);
    }

    #[test]
    fn a_bypassed_packet_passes_a_full_gate() {
        let mut gate = gate(0, 1, OnOverflow::DropNewest);
        assert_eq!(
            gate.arrive(Packet::held(0, 1)),
            Arrival::Dropped { ask: false }
        );
        assert_eq!(gate.arrive(Packet::passing(1, 200)), Arrival::Passed);
    }
}
