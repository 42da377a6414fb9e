//! Two answers to the same question, in lockstep: the gate of `kernel-module` (markers at positions
//! of a list) and the gate of `qdisc-model` (a number at each packet) are given the same random
//! packets and commands, and each of their outputs and all that can be asked of them must be equal.
//! They share no code; what they share is the law, which `qdisc-model` tests for itself.

#[cfg(test)]
mod lockstep {
    use kernel_module::bindings::{sk_buff, testing};
    use kernel_module::gate as module;
    use kernel_module::skbuff::SkBuff;
    use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};
    use qdisc_model::epoch as model;
    use qdisc_model::packet::{Packet, Tally, Verdict};

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Packet {
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
        /// A well-behaved controller: commit whatever is oldest.
        CommitOldest,
        Dequeue,
        Run,
        Reset,
        Limit {
            bytes: u64,
        },
        Open,
        Bark,
    }

    /// What either gate says in answer to a step.
    #[derive(Debug, PartialEq, Eq)]
    enum Answer {
        Passed,
        Queued { ask: bool },
        Dropped { id: u64, ask: bool },
        Left(Option<u64>),
        Lost(Vec<u64>),
        Released(u64),
        Done,
        Refused(Why),
    }

    #[derive(Debug, PartialEq, Eq)]
    enum Why {
        NotNext,
        TooMany,
        Full,
        Open,
        Unknown,
        Order,
        Aborted,
        Settled,
    }

    /// All that can be asked of a gate.
    #[derive(Debug, PartialEq, Eq)]
    struct State {
        next: Option<u64>,
        open: u64,
        committed: u64,
        in_flight: usize,
        held: Tally,
        passed: Tally,
        left: Tally,
        overflow: Tally,
        aborted: Tally,
        purged: Tally,
        refused: u64,
        is_open: bool,
        is_late: bool,
        late: u64,
        unprotected: Tally,
    }

    trait Gate {
        fn step(&mut self, id: u64, step: Step) -> Answer;
        fn state(&self) -> State;
    }

    impl Gate for model::Gate {
        fn step(&mut self, id: u64, step: Step) -> Answer {
            let number = |offset: i64| self.open().saturating_add_signed(offset);
            let why = |refusal| {
                Answer::Refused(match refusal {
                    model::Refusal::NotNext { .. } => Why::NotNext,
                    model::Refusal::TooMany => Why::TooMany,
                    model::Refusal::Full => Why::Full,
                    model::Refusal::StillOpen => Why::Open,
                    model::Refusal::Unknown => Why::Unknown,
                    model::Refusal::OutOfOrder { .. } => Why::Order,
                    model::Refusal::Aborted => Why::Aborted,
                    model::Refusal::Settled => Why::Settled,
                })
            };
            match step {
                Step::Packet { bytes, verdict } => {
                    match self.arrive(Packet {
                        verdict,
                        ..Packet::held(id, bytes)
                    }) {
                        model::Arrival::Passed => Answer::Passed,
                        model::Arrival::Held { ask, .. } => Answer::Queued { ask },
                        model::Arrival::Dropped { ask } => Answer::Dropped { id, ask },
                    }
                }
                Step::Begin { offset } => self
                    .begin(number(offset))
                    .map_or_else(why, |()| Answer::Done),
                Step::Commit { offset } => self
                    .commit(number(offset))
                    .map_or_else(why, |released| Answer::Released(released.packets)),
                Step::CommitOldest => {
                    let oldest = self.in_flight().front().copied().unwrap_or(0);
                    self.commit(oldest)
                        .map_or_else(why, |released| Answer::Released(released.packets))
                }
                Step::Abort { offset } => self
                    .abort(number(offset))
                    .map_or_else(why, |lost| Answer::Lost(ids(&lost))),
                Step::Dequeue => Answer::Left(self.leave().map(|packet| packet.id)),
                Step::Run => {
                    while self.leave().is_some() {}
                    Answer::Done
                }
                Step::Reset => Answer::Lost(ids(&self.reset())),
                Step::Limit { bytes } => {
                    self.set_limit(bytes);
                    Answer::Done
                }
                Step::Open => {
                    self.open_up();
                    Answer::Done
                }
                Step::Bark => Answer::Lost(ids(&self.bark())),
            }
        }

        fn state(&self) -> State {
            let counters = self.counters();
            State {
                next: self.peek().map(|packet| packet.id),
                open: self.open(),
                committed: self.committed(),
                in_flight: self.in_flight().len(),
                held: self.held(),
                passed: counters.passed,
                left: counters.left,
                overflow: counters.overflow,
                aborted: counters.aborted,
                purged: counters.purged,
                refused: counters.refused,
                is_open: self.is_open(),
                is_late: self.is_late(),
                late: counters.late,
                unprotected: counters.unprotected,
            }
        }
    }

    fn ids(packets: &[Packet]) -> Vec<u64> {
        let mut ids: Vec<u64> = packets.iter().map(|packet| packet.id).collect();
        ids.sort_unstable();
        ids
    }

    fn why(error: module::Error) -> Answer {
        Answer::Refused(match error {
            module::Error::NotNext => Why::NotNext,
            module::Error::InFlight => Why::TooMany,
            module::Error::Overflowed => Why::Full,
            module::Error::Open => Why::Open,
            module::Error::NoEpoch => Why::Unknown,
            module::Error::NotOldest => Why::Order,
            module::Error::Aborted => Why::Aborted,
            module::Error::Committed => Why::Settled,
        })
    }

    fn packet(id: u64, len: u32) -> SkBuff {
        testing::packet(sk_buff {
            id,
            len,
            ..sk_buff::default()
        })
    }

    fn id_of(skb: &SkBuff) -> u64 {
        testing::look(skb).id
    }

    impl Gate for module::Gate {
        fn step(&mut self, id: u64, step: Step) -> Answer {
            let open = self.open_epoch();
            let number = |offset: i64| open.saturating_add_signed(offset);
            match step {
                // Where bypassed packets go is the caller's affair; the gate counts them.
                Step::Packet {
                    bytes,
                    verdict: Verdict::Bypass,
                } => {
                    self.passed(bytes);
                    Answer::Passed
                }
                Step::Packet {
                    bytes,
                    verdict: Verdict::Buffer,
                } => match self.enqueue(packet(id, bytes), id + 1) {
                    module::Xmit::Queued { ask } => Answer::Queued { ask },
                    module::Xmit::Drop { skb, ask } => Answer::Dropped {
                        id: id_of(&skb),
                        ask,
                    },
                },
                Step::Begin { offset } => self
                    .begin(number(offset))
                    .map_or_else(why, |()| Answer::Done),
                Step::Commit { offset } => self
                    .commit(number(offset))
                    .map_or_else(why, Answer::Released),
                Step::CommitOldest => self
                    .commit(self.oldest().unwrap_or(0))
                    .map_or_else(why, Answer::Released),
                Step::Abort { offset } => {
                    let mut lost = Vec::new();
                    match self.abort(number(offset), |skb| lost.push(id_of(&skb))) {
                        Ok(packets) => {
                            assert_eq!(packets, lost.len() as u64);
                            lost.sort_unstable();
                            Answer::Lost(lost)
                        }
                        Err(error) => why(error),
                    }
                }
                Step::Dequeue => Answer::Left(self.dequeue().map(|skb| id_of(&skb))),
                Step::Run => {
                    while self.dequeue().is_some() {}
                    Answer::Done
                }
                Step::Reset => {
                    let mut lost = Vec::new();
                    self.reset(|skb| lost.push(id_of(&skb)));
                    Answer::Lost(lost)
                }
                Step::Limit { bytes } => {
                    self.set_limit(bytes);
                    Answer::Done
                }
                Step::Open => {
                    self.open_up();
                    Answer::Done
                }
                Step::Bark => {
                    let mut lost = Vec::new();
                    self.bark(|skb| lost.push(id_of(&skb)));
                    lost.sort_unstable();
                    Answer::Lost(lost)
                }
            }
        }

        fn state(&self) -> State {
            let tally = |b: module::Bstats| Tally {
                packets: b.packets,
                bytes: b.bytes,
            };
            let stats = self.stats();
            State {
                next: self.peek().map(id_of),
                open: self.open_epoch(),
                committed: self.committed(),
                in_flight: self.in_flight(),
                held: Tally {
                    packets: self.qlen() as u64,
                    bytes: self.backlog(),
                },
                passed: tally(stats.passed),
                left: tally(stats.sent),
                overflow: tally(stats.overflow),
                aborted: tally(stats.aborted),
                purged: tally(stats.purged),
                refused: stats.refused,
                is_open: self.is_open(),
                is_late: self.is_late(),
                late: stats.late,
                unprotected: tally(stats.unprotected),
            }
        }
    }

    /// One pair of gates, set up alike.
    fn pair(
        limit: u64,
        in_flight: usize,
        on_overflow: model::OnOverflow,
        on_late: model::OnLate,
    ) -> (model::Gate, module::Gate) {
        let overflow = match on_overflow {
            model::OnOverflow::DropNewest => module::Overflow::DropNewest,
            model::OnOverflow::RefuseEpoch => module::Overflow::RefuseEpoch,
            model::OnOverflow::AskCheckpoint { at } => module::Overflow::AskCheckpoint(at),
        };
        let config = module::Config {
            limit,
            max_in_flight: in_flight,
            overflow,
            late: match on_late {
                model::OnLate::Hold => module::Late::Hold,
                model::OnLate::Abort => module::Late::Abort,
                model::OnLate::Open => module::Late::Open,
            },
        };
        (
            model::Gate::new(model::Settings {
                limit,
                in_flight,
                on_overflow,
                on_late,
            }),
            module::Gate::new(config),
        )
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let verdict = prop_oneof![6 => Just(Verdict::Buffer), 1 => Just(Verdict::Bypass)];
        let step = prop_oneof![
            12 => (60_u32..1600, verdict).prop_map(|(bytes, verdict)| Step::Packet { bytes, verdict }),
            3 => Just(Step::Begin { offset: 1 }),
            1 => (-1_i64..=2).prop_map(|offset| Step::Begin { offset }),
            3 => Just(Step::CommitOldest),
            2 => (-4_i64..=1).prop_map(|offset| Step::Commit { offset }),
            1 => (-4_i64..=1).prop_map(|offset| Step::Abort { offset }),
            4 => Just(Step::Dequeue),
            2 => Just(Step::Run),
            1 => Just(Step::Reset),
            1 => (0_u64..40_000).prop_map(|bytes| Step::Limit { bytes }),
            1 => Just(Step::Open),
            1 => Just(Step::Bark),
        ];
        proptest::collection::vec(step, 0..80)
    }

    fn on_overflow() -> impl Strategy<Value = model::OnOverflow> {
        prop_oneof![
            Just(model::OnOverflow::DropNewest),
            Just(model::OnOverflow::RefuseEpoch),
            (0_u64..20_000).prop_map(|at| model::OnOverflow::AskCheckpoint { at }),
        ]
    }

    fn on_late() -> impl Strategy<Value = model::OnLate> {
        prop_oneof![
            Just(model::OnLate::Hold),
            Just(model::OnLate::Abort),
            Just(model::OnLate::Open),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn the_module_answers_as_the_model_does(
            limit in 0_u64..40_000,
            in_flight in 0_usize..5,
            on_overflow in on_overflow(),
            on_late in on_late(),
            steps in steps(),
        ) {
            let packets = testing::packets();
            let (mut model, mut module) = pair(limit, in_flight, on_overflow, on_late);
            for (id, step) in (0..).zip(steps) {
                assert_eq!(module.step(id, step), model.step(id, step), "answer to {step:?}");
                assert_eq!(module.state(), model.state(), "state after {step:?}");
            }
            let held = i64::try_from(module.qlen()).expect("few");
            assert_eq!(testing::packets(), packets + held, "each packet is held or gone");
            drop(module);
            assert_eq!(testing::packets(), packets, "what was held is freed with it");
        }
    }
}
