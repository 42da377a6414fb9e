//! The faults of `sch_plug` found by search, not told: breadth-first over short command sequences
//! of a controller that itself makes no mistake, judged by the law in `qdisc_model::invariant`.
//! The first trace found is a shortest one; `cargo test -- --nocapture` prints them.

#[cfg(test)]
mod search {
    use qdisc_model::invariant::{
        Account, Event, Violation, commit_releases, losses_are_counted, nothing_leaves_early,
        order_is_kept,
    };
    use qdisc_model::packet::Packet;
    use qdisc_model::plug::{BUFFER, Device, Enqueued, Plug, Qopt, RELEASE_ONE};

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Step {
        /// The guest sends a packet.
        Send,
        /// The guest is paused at the end of its epoch: BUFFER.
        Checkpoint,
        /// The backup has the oldest epoch that is in flight: RELEASE_ONE.
        Acknowledge,
        /// The IFB goes down and up.
        Flap,
    }

    /// The plug, its controller, and an onlooker who writes the trace.
    #[derive(Clone)]
    struct World {
        plug: Plug,
        epoch: u64,
        committed: u64,
        sent: u64,
        trace: Vec<Event>,
    }

    impl World {
        fn new(limit: u32) -> Self {
            let device = Device {
                tx_queue_len: 32,
                psched_mtu: 1514,
            };
            let plug = Plug::init(Some(Qopt { action: 0, limit }), device);
            Self {
                plug,
                epoch: 1,
                committed: 0,
                sent: 0,
                trace: Vec::new(),
            }
        }

        fn in_flight(&self) -> u64 {
            self.epoch - self.committed - 1
        }

        fn step(&mut self, step: Step) {
            match step {
                Step::Send => {
                    self.sent += 1;
                    let packet = Packet::held(self.sent, 100);
                    self.trace.push(Event::Arrived {
                        packet,
                        epoch: self.epoch,
                    });
                    if self.plug.enqueue(packet) == Enqueued::Dropped {
                        self.trace.push(Event::Lost { id: packet.id });
                    }
                }
                Step::Checkpoint => {
                    self.plug
                        .change(Qopt {
                            action: BUFFER,
                            limit: 0,
                        })
                        .unwrap();
                    self.epoch += 1;
                }
                Step::Acknowledge => {
                    self.committed += 1;
                    self.trace.push(Event::Committed {
                        epoch: self.committed,
                    });
                    self.plug
                        .change(Qopt {
                            action: RELEASE_ONE,
                            limit: 0,
                        })
                        .unwrap();
                }
                Step::Flap => {
                    let lost = self.plug.reset();
                    self.trace
                        .extend(lost.iter().map(|packet| Event::Lost { id: packet.id }));
                }
            }
            let left = self.plug.run();
            self.trace
                .extend(left.iter().map(|packet| Event::Left { id: packet.id }));
        }

        fn account(&self) -> Account {
            Account {
                held: self.plug.held().len() as u64,
                lost: u64::from(self.plug.drops()),
            }
        }
    }

    struct Bounds {
        steps: usize,
        in_flight: u64,
        flaps: bool,
        limit: u32,
    }

    type Property = fn(&World) -> Result<(), Violation>;

    fn early(world: &World) -> Result<(), Violation> {
        nothing_leaves_early(&world.trace)
    }

    fn behind(world: &World) -> Result<(), Violation> {
        commit_releases(&world.trace)
    }

    fn counted(world: &World) -> Result<(), Violation> {
        losses_are_counted(&world.trace, world.account())
    }

    fn order(world: &World) -> Result<(), Violation> {
        order_is_kept(&world.trace)
    }

    /// A shortest sequence that breaks the property, or the number of sequences that were tried.
    fn search(bounds: &Bounds, holds: Property) -> Result<usize, (Vec<Step>, Violation)> {
        let mut tried = 0;
        let mut level = vec![(Vec::new(), World::new(bounds.limit))];
        for _ in 0..bounds.steps {
            let mut next = Vec::new();
            for (steps, world) in &level {
                let steps_here = [
                    Some(Step::Send),
                    (world.in_flight() < bounds.in_flight).then_some(Step::Checkpoint),
                    (world.in_flight() > 0).then_some(Step::Acknowledge),
                    bounds.flaps.then_some(Step::Flap),
                ];
                for step in steps_here.into_iter().flatten() {
                    let mut world = world.clone();
                    world.step(step);
                    tried += 1;
                    let mut steps: Vec<Step> = steps.clone();
                    steps.push(step);
                    if let Err(violation) = holds(&world) {
                        return Err((steps, violation));
                    }
                    next.push((steps, world));
                }
            }
            level = next;
        }
        Ok(tried)
    }

    fn found(name: &str, bounds: &Bounds, holds: Property) -> (Vec<Step>, Violation) {
        let (steps, violation) = search(bounds, holds).expect_err(name);
        println!("{name}: {violation}, after {steps:?}");
        (steps, violation)
    }

    const ROOMY: u32 = 1 << 20;

    #[test]
    fn double_block_lags() {
        let bounds = Bounds {
            steps: 7,
            in_flight: 2,
            flaps: false,
            limit: ROOMY,
        };
        let (steps, violation) = found("double block lags", &bounds, behind);
        assert_eq!(
            steps,
            [
                Step::Send,
                Step::Checkpoint,
                Step::Checkpoint,
                Step::Acknowledge
            ]
        );
        assert_eq!(violation, Violation::LeftBehind { id: 1, epoch: 1 });
    }

    #[test]
    fn double_block_leaks() {
        // Not only late: the newer epoch's count opens the gate for its own packets.
        let bounds = Bounds {
            steps: 7,
            in_flight: 2,
            flaps: false,
            limit: ROOMY,
        };
        let (steps, violation) = found("double block leaks", &bounds, early);
        assert_eq!(
            steps,
            [
                Step::Checkpoint,
                Step::Send,
                Step::Checkpoint,
                Step::Acknowledge
            ]
        );
        assert_eq!(violation, Violation::LeftEarly { id: 1, epoch: 2 });
    }

    #[test]
    fn a_flap_leaks() {
        let bounds = Bounds {
            steps: 7,
            in_flight: 1,
            flaps: true,
            limit: ROOMY,
        };
        let (steps, violation) = found("flap leaks", &bounds, early);
        assert_eq!(steps.len(), 5);
        assert!(steps.contains(&Step::Flap));
        assert_eq!(violation, Violation::LeftEarly { id: 2, epoch: 2 });
    }

    #[test]
    fn a_flap_loses_without_counting() {
        let bounds = Bounds {
            steps: 4,
            in_flight: 1,
            flaps: true,
            limit: ROOMY,
        };
        let (steps, _) = found("flap loses uncounted", &bounds, counted);
        assert_eq!(steps, [Step::Send, Step::Flap]);
    }

    /// The preconditions under which the plug is a gate: one epoch in flight, no flap. Nothing is
    /// found then, with room or with room for two packets only.
    #[test]
    fn one_epoch_in_flight_and_no_flap_keeps_the_law() {
        for limit in [ROOMY, 250] {
            let bounds = Bounds {
                steps: 10,
                in_flight: 1,
                flaps: false,
                limit,
            };
            let all: Property = |world| {
                early(world)?;
                behind(world)?;
                counted(world)?;
                order(world)
            };
            let tried = search(&bounds, all).expect("no violation");
            println!(
                "one epoch in flight, no flap, limit {limit}: {tried} sequences, no violation"
            );
        }
    }
}
