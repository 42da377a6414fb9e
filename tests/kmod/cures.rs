//! The faults of `sch_plug`, one by one: each test shows that the model of plug has it, and that the
//! module has not.

use compiler::gate::netlink::push_attribute;
use kernel_module::bindings::sk_buff;
use kernel_module::netlink::{attribute, state};
use qdisc_model::packet::{Packet, Verdict};
use qdisc_model::plug::{Device, Plug, Qopt};

use crate::bench::{BUFFER, Bench, LIMIT, RELEASE_ONE, packet};

fn plug(limit: u32) -> Plug {
    let device = Device {
        tx_queue_len: 32,
        psched_mtu: 1514,
    };
    Plug::init(Some(Qopt { action: 3, limit }), device)
}

/// What comes out of either when all of it is done: `Ok` is a packet of 100 bytes, `Err` a message or,
/// for none, a flap.
fn play(steps: &[Result<u64, Option<u32>>]) -> (Vec<u64>, Vec<u64>) {
    let (mut plug, mut module) = (plug(1 << 20), Bench::plug(Some((LIMIT, 1 << 20))));
    let (mut from_plug, mut from_module) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Ok(id) => {
                plug.enqueue(Packet::held(*id, 100));
                module.send(packet(*id, 100));
            }
            Err(Some(action)) => {
                let number = i32::try_from(*action).expect("small");
                plug.change(Qopt {
                    action: number,
                    limit: 0,
                })
                .expect("known");
                module.order(*action, 0);
            }
            Err(None) => {
                plug.reset();
                module.reset();
            }
        }
        from_plug.extend(plug.run().iter().map(|packet| packet.id));
        from_module.extend(module.run());
    }
    (from_plug, from_module)
}

const BLOCK: Result<u64, Option<u32>> = Err(Some(BUFFER));
const RELEASE: Result<u64, Option<u32>> = Err(Some(RELEASE_ONE));
const FLAP: Result<u64, Option<u32>> = Err(None);

#[test]
fn a_double_block_loses_no_epoch() {
    let steps = [Ok(1), Ok(2), BLOCK, Ok(3), BLOCK, RELEASE, RELEASE];
    let (plug, module) = play(&steps);
    assert_eq!(plug, [1], "one of the first epoch is left behind for good");
    assert_eq!(module, [1, 2, 3]);
}

#[test]
fn a_flap_releases_nothing_uncommitted() {
    let steps = [Ok(1), Ok(2), BLOCK, FLAP, Ok(3), Ok(4), Ok(5), RELEASE];
    let (plug, module) = play(&steps);
    assert_eq!(plug, [3, 4]);
    assert!(module.is_empty());
}

#[test]
fn epochs_can_be_pipelined() {
    let steps = [BLOCK, Ok(1), BLOCK, RELEASE];
    let (plug, module) = play(&steps);
    assert_eq!(
        plug,
        [1],
        "the commit of the first epoch let out the second one's"
    );
    assert!(module.is_empty());
}

#[test]
fn a_dump_shows_limit_and_state() {
    // That plug has no dump is shown in the kernel: tests/kernel/module.rs.
    let mut module = Bench::plug(Some((LIMIT, 1000)));
    assert_eq!(module.tells(attribute::LIMIT), 1000);
    module.send(packet(1, 100));
    module.order(BUFFER, 0);
    module.now += 5_000_000;
    let told = |kind| module.tells(kind);
    assert_eq!(
        (told(attribute::OPEN_EPOCH), told(attribute::OLDEST)),
        (2, 1)
    );
    assert_eq!(
        (told(attribute::HELD_PACKETS), told(attribute::HELD_BYTES)),
        (1, 100)
    );
    assert_eq!((told(attribute::AGE), told(attribute::STATE)), (5, 0));
}

#[test]
fn the_gate_command_reads_the_dump() {
    use compiler::gate::module::State;
    let mut module = Bench::new(0, Some(&options(&[(attribute::LIMIT, 250)], &[])));
    for id in 0..4 {
        module.send(packet(id, 100));
    }
    assert_eq!(module.change(&options(&[(attribute::BEGIN, 2)], &[])), 0);
    module.now += 7_000_000;
    let state = State::read(&module.dumped()).expect("a whole state");
    assert_eq!((state.limit, state.epoch, state.committed), (250, 2, 0));
    assert_eq!((state.in_flight, state.age), (1, 7));
    assert_eq!(
        (state.is_open, state.is_late, state.is_full),
        (false, false, true)
    );
    let told = [
        state.barks,
        state.passed,
        state.unprotected,
        state.aborted,
        state.purged,
    ];
    let kinds = [
        attribute::BARKS,
        attribute::PASSED,
        attribute::UNPROTECTED,
        attribute::ABORTED,
        attribute::PURGED,
    ];
    assert_eq!(told, kinds.map(|kind| module.tells(kind)));
    assert_eq!(State::read(&[]), None);
}

/// What `epochgate gate set` says arrives, and is told back.
#[test]
fn the_gate_command_sets_what_it_says() {
    use compiler::gate::module::{Late, Mark, Overflow, Setting, Settings, State};
    let mut module = Bench::new(0, None);
    let now = |module: &Bench| {
        State::read(&module.dumped())
            .expect("a whole state")
            .settings
    };
    let mut wanted = Settings {
        overflow: Overflow::Drop,
        most_in_flight: 4_096,
        watchdog: 0,
        late: Late::Hold,
        mark: Mark { value: 0, mask: 0 },
    };
    assert_eq!(now(&module), wanted);
    let mark = Mark { value: 4, mask: 6 };
    let mut set = |setting: Setting, change: &dyn Fn(&mut Settings)| {
        let code = module.change(&setting.options());
        change(&mut wanted);
        assert_eq!((code, now(&module)), (0, wanted), "{setting:?}");
    };
    for overflow in [
        Overflow::RefuseEpoch,
        Overflow::AskAt(1 << 40),
        Overflow::Drop,
    ] {
        set(Setting::Overflow(overflow), &|all| all.overflow = overflow);
    }
    for late in [Late::Abort, Late::Open, Late::Hold] {
        set(Setting::Late(late), &|all| all.late = late);
    }
    set(Setting::InFlight(3), &|all| all.most_in_flight = 3);
    set(Setting::Watchdog(2_500), &|all| all.watchdog = 2_500);
    set(Setting::Mark(mark), &|all| all.mark = mark);
    let none_in_flight = module.change(&Setting::InFlight(0).options());
    assert_eq!((none_in_flight, now(&module)), (-34, wanted));
}

#[test]
fn the_gate_command_tells_epochs_by_their_numbers() {
    use compiler::gate::module::Order;
    let mut module = Bench::new(0, Some(&options(&[(attribute::LIMIT, 250)], &[])));
    // What is refused, with the word for it that its reason must have.
    let steps = [
        (Order::Begin(3), "next"),
        (Order::Commit(1), "still open"),
        (Order::Commit(2), "not begun"),
        (Order::Abort(2), "not begun"),
        (Order::Begin(2), ""),
        (Order::Begin(2), ""),
        (Order::Begin(3), ""),
        (Order::Commit(2), "older"),
        (Order::Commit(1), ""),
        (Order::Abort(1), "committed"),
        (Order::Abort(2), ""),
        (Order::Commit(2), "aborted"),
    ];
    for (order, word) in steps {
        let code = module.change(&order.options());
        if code == 0 {
            assert_eq!(word, "", "{order}");
            continue;
        }
        let errno = rustix::io::Errno::from_raw_os_error(-code);
        let reason = order.refusal(errno).expect("a reason for every refusal");
        assert!(
            !word.is_empty() && reason.contains(word),
            "{order}: {reason}"
        );
    }
    assert_eq!(
        (
            module.tells(attribute::COMMITTED),
            module.tells(attribute::OPEN_EPOCH)
        ),
        (1, 4)
    );
}

#[test]
fn an_overflow_is_seen_and_chosen() {
    let mut module = Bench::new(
        0,
        Some(&options(
            &[(attribute::LIMIT, 100)],
            &[(attribute::OVERFLOW, 1)],
        )),
    );
    assert!(module.send(packet(1, 100)));
    assert!(!module.send(packet(2, 100)));
    assert_eq!(module.counts().overlimits, 1);
    assert_eq!(module.tells(attribute::STATE), u64::from(state::FULL));
    assert_eq!(module.tells(attribute::OVERFLOWED), 1);
    // A first epoch may end, since its commit makes room; a second one is refused until it does.
    assert_eq!(module.change(&options(&[(attribute::BEGIN, 2)], &[])), 0);
    assert_eq!(module.change(&options(&[(attribute::BEGIN, 3)], &[])), -105);
    assert_eq!(module.change(&options(&[(attribute::COMMIT, 1)], &[])), 0);
    assert_eq!(module.run(), [1]);
    assert_eq!(module.change(&options(&[(attribute::BEGIN, 3)], &[])), 0);
}

#[test]
fn what_is_to_be_cut_is_counted_once() {
    // 1,000 bytes that will be 1,900 on the wire.
    let (mut plug, mut module) = (plug(2000), Bench::plug(Some((LIMIT, 2000))));
    for id in 1..=2 {
        plug.enqueue(Packet {
            id,
            bytes: 1000,
            wire_bytes: 1900,
            verdict: Verdict::Buffer,
        });
        module.send(sk_buff {
            id,
            len: 1000,
            pkt_len: 1900,
            ..sk_buff::default()
        });
    }
    assert_eq!(
        plug.held().len(),
        1,
        "2,000 bytes of room are not enough for twice 1,000"
    );
    assert_eq!(module.counts().qlen, 2);
    assert_eq!(module.tells(attribute::HELD_BYTES), 2000);
    // The core's own count is in bytes on the wire, as its helpers are.
    assert_eq!(module.counts().backlog, 3800);
}

#[test]
fn a_peek_shows_what_a_dequeue_gives() {
    let mut plug = plug(1 << 20);
    let mut module = Bench::plug(Some((LIMIT, 1 << 20)));
    for id in 1..=2 {
        plug.enqueue(Packet::held(id, 100));
        module.send(packet(id, 100));
    }
    for action in [BUFFER, RELEASE_ONE] {
        let number = i32::try_from(action).expect("small");
        plug.change(Qopt {
            action: number,
            limit: 0,
        })
        .expect("known");
        module.order(action, 0);
    }
    let shown = plug.peek().map(|packet| packet.id);
    assert_ne!(
        plug.dequeue().map(|packet| packet.id),
        shown,
        "plug gives another one"
    );
    assert_eq!(module.peek(), Some(1));
    assert_eq!(module.peek(), Some(1));
    assert_eq!(module.dequeue(), Some(1));
}

#[test]
fn a_peek_stays_true_when_the_watchdog_aborts() {
    let own = options(&[], &[(attribute::WATCHDOG, 10), (attribute::LATE, 1)]);
    let mut module = Bench::new(0, Some(&own));
    module.send(packet(1, 100));
    assert_eq!(module.change(&options(&[(attribute::BEGIN, 2)], &[])), 0);
    module.send(packet(2, 100));
    assert_eq!(module.change(&options(&[(attribute::COMMIT, 1)], &[])), 0);
    assert_eq!(module.peek(), Some(1));
    let warned = kernel::bindings::testing::warnings();
    module.now += 50_000_000;
    assert_eq!(module.dequeue(), Some(1));
    assert_eq!(
        kernel::bindings::testing::warnings(),
        warned + 1,
        "it says so"
    );
    assert_eq!((module.counts().drops, module.counts().qlen), (1, 0));
    assert_eq!(module.tells(attribute::BARKS), 1);
}

#[test]
fn the_watchdog_holds_unless_told_otherwise() {
    let mut module = Bench::new(0, Some(&options(&[], &[(attribute::WATCHDOG, 10)])));
    module.send(packet(1, 100));
    for _ in 0..3 {
        let due = module.counts().watchdog.expect("it is awake");
        module.now = due;
        assert!(module.run().is_empty());
    }
    assert_eq!(module.tells(attribute::STATE), u64::from(state::LATE));
    assert_eq!(module.tells(attribute::BARKS), 3);
    assert_eq!(module.change(&options(&[(attribute::BEGIN, 2)], &[])), 0);
    assert_eq!(module.change(&options(&[(attribute::COMMIT, 1)], &[])), 0);
    assert_eq!(module.run(), [1]);
    assert_eq!(module.tells(attribute::STATE), 0);
}

fn options(longs: &[(u16, u64)], words: &[(u16, u32)]) -> Vec<u8> {
    let mut options = Vec::new();
    for (kind, value) in longs {
        push_attribute(&mut options, *kind, &value.to_ne_bytes());
    }
    for (kind, value) in words {
        push_attribute(&mut options, *kind, &value.to_ne_bytes());
    }
    options
}
