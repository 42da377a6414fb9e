//! In the place of `sch_plug`: against the model of plug where plug has no fault, and against plug
//! with the cures where it has. The cures are said here once more, over the model's gate, in the
//! words of plug's own messages.

use proptest::prelude::{Just, ProptestConfig, Strategy, prop_oneof, proptest};
use qdisc_model::epoch::{Gate, OnLate, OnOverflow, Settings};
use qdisc_model::packet::Packet;
use qdisc_model::plug::{Device, Plug, Qopt};

use crate::bench::{BUFFER, Bench, LIMIT, RELEASE_INDEFINITE, RELEASE_ONE, packet};

const IFB: Device = Device {
    tx_queue_len: 32,
    psched_mtu: 1514,
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Packet(u32),
    Order(u32, u32),
    Reset,
}

/// Plug as it should be.
struct Cured(Gate);

impl Cured {
    fn new(limit: u32) -> Self {
        Self(Gate::new(Settings {
            limit: limit.into(),
            in_flight: usize::MAX,
            on_overflow: OnOverflow::DropNewest,
            on_late: OnLate::Hold,
        }))
    }

    fn order(&mut self, action: u32, limit: u32) {
        let gate = &mut self.0;
        match action {
            // Cure: a second one loses nothing, for each ends an epoch of its own.
            BUFFER if gate.is_open() => gate.begin(gate.open()).expect("only closes"),
            BUFFER => gate.begin(gate.open() + 1).expect("the next"),
            RELEASE_ONE => {
                if let Some(oldest) = gate.in_flight().front().copied() {
                    gate.commit(oldest).expect("the oldest");
                }
            }
            RELEASE_INDEFINITE => {
                gate.open_up();
                while let Some(oldest) = gate.in_flight().front().copied() {
                    gate.commit(oldest).expect("the oldest");
                }
            }
            _ => gate.set_limit(limit.into()),
        }
    }

    fn run(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.0.leave().map(|packet| packet.id)).collect()
    }
}

fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (60_u32..1600).prop_map(Step::Packet),
        4 => Just(Step::Order(BUFFER, 0)),
        4 => Just(Step::Order(RELEASE_ONE, 0)),
        1 => Just(Step::Order(RELEASE_INDEFINITE, 0)),
        1 => (0_u32..20_000).prop_map(|limit| Step::Order(LIMIT, limit)),
        1 => Just(Step::Reset),
    ];
    proptest::collection::vec(step, 0..60)
}

/// Rounds in which plug has no fault: each epoch is released before the next one ends, nothing is
/// left over when it is closed, and it is flapped only when it counts nothing.
fn rounds_without_faults() -> impl Strategy<Value = Vec<Step>> {
    let packets = || proptest::collection::vec((60_u32..1600).prop_map(Step::Packet), 0..5);
    let limit =
        || proptest::option::of((0_u32..20_000).prop_map(|limit| Step::Order(LIMIT, limit)));
    let epoch = (packets(), packets(), limit()).prop_map(|(before, after, limit)| {
        let mut steps = before;
        steps.push(Step::Order(BUFFER, 0));
        steps.extend(after);
        steps.extend(limit);
        steps.push(Step::Order(RELEASE_ONE, 0));
        // A second one lets nothing out.
        steps.push(Step::Order(RELEASE_ONE, 0));
        steps
    });
    let opened = (packets(), proptest::bool::ANY, packets()).prop_map(|(before, flap, after)| {
        let mut steps = vec![Step::Order(RELEASE_INDEFINITE, 0)];
        steps.extend(before);
        if flap {
            steps.push(Step::Reset);
        }
        steps.extend(after);
        steps.push(Step::Order(BUFFER, 0));
        steps
    });
    let round = prop_oneof![4 => epoch, 1 => opened];
    proptest::collection::vec(round, 0..12).prop_map(|rounds| rounds.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn it_is_plug_with_the_cures(limit in 0_u32..20_000, steps in any_steps()) {
        let mut module = Bench::plug(Some((LIMIT, limit)));
        let mut cured = Cured::new(limit);
        for (id, step) in (0..).zip(steps) {
            match step {
                Step::Packet(bytes) => {
                    module.send(packet(id, bytes));
                    cured.0.arrive(Packet::held(id, bytes));
                }
                Step::Order(action, limit) => {
                    module.order(action, limit);
                    cured.order(action, limit);
                }
                Step::Reset => {
                    module.reset();
                    cured.0.reset();
                }
            }
            assert_eq!(module.run(), cured.run(), "after {step:?}");
            let counts = module.counts();
            let held = cured.0.held();
            assert_eq!((u64::from(counts.qlen), u64::from(counts.backlog)), (held.packets, held.bytes));
        }
    }

    #[test]
    fn where_plug_has_no_fault_it_is_plug(limit in 0_u32..20_000, steps in rounds_without_faults()) {
        let mut module = Bench::plug(Some((LIMIT, limit)));
        let mut plug = Plug::init(Some(Qopt { action: 3, limit }), IFB);
        for (id, step) in (0..).zip(steps) {
            match step {
                Step::Packet(bytes) => {
                    module.send(packet(id, bytes));
                    plug.enqueue(Packet::held(id, bytes));
                }
                Step::Order(action, limit) => {
                    module.order(action, limit);
                    let action = i32::try_from(action).expect("small");
                    plug.change(Qopt { action, limit }).expect("known");
                }
                Step::Reset => {
                    module.reset();
                    plug.reset();
                }
            }
            let left: Vec<u64> = plug.run().iter().map(|packet| packet.id).collect();
            assert_eq!(module.run(), left, "after {step:?}");
            let counts = module.counts();
            assert_eq!(
                (counts.qlen as usize, counts.backlog),
                (plug.held().len(), plug.backlog())
            );
        }
    }
}

#[test]
fn made_without_a_limit_it_takes_that_of_the_device() {
    use kernel_module::netlink::attribute;
    for options in [None, Some((BUFFER, 0)), Some((RELEASE_INDEFINITE, 0))] {
        let module = Bench::plug(options);
        assert_eq!(module.tells(attribute::LIMIT), 32 * 1514);
    }
    assert_eq!(Bench::plug(Some((LIMIT, 0))).tells(attribute::LIMIT), 0);
    assert_eq!(Bench::plug(Some((BUFFER, 77))).tells(attribute::LIMIT), 77);
}
