//! Several threads on one qdisc, through the lock that the core holds: packets come, the device
//! takes, a controller ends epochs and commits or aborts them, the link flaps, somebody asks for a
//! dump. shuttle runs them in thousands of orders. In each, a packet leaves only after the commit of
//! its epoch, none is out of order, none is doubled, and none is lost but those that are counted.

use compiler::gate::netlink::push_attribute;
use kernel::sync::SpinLock;
use kernel_module::netlink::attribute;
use shuttle::sync::Arc;
use shuttle::thread;

use crate::bench::{Bench, packet};

const ORDERS: usize = 3_000;
const PACKETS: u64 = 8;

struct Shared {
    bench: Bench,
    /// The epoch of each packet, by its number.
    epoch_of: Vec<u64>,
    left: Vec<u64>,
}

impl Shared {
    fn take(&mut self) {
        // As a parent does: what was shown is what is given.
        let shown = self.bench.peek();
        let given = self.bench.dequeue();
        assert_eq!(shown, given);
        if let Some(id) = given {
            let committed = self.bench.tells(attribute::COMMITTED);
            let epoch = self.epoch_of[usize::try_from(id).expect("few")];
            assert!(
                epoch <= committed,
                "{id} of epoch {epoch} left at {committed}"
            );
            self.left.push(id);
        }
    }
}

#[test]
fn nothing_leaves_early_whoever_comes_first() {
    shuttle::check_random(any_order, ORDERS);
}

fn any_order() {
    let shared = Arc::new(SpinLock::new(Shared {
        bench: Bench::new(0, None),
        epoch_of: Vec::new(),
        left: Vec::new(),
    }));
    let run = |work: fn(&SpinLock<Shared>)| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || work(&shared))
    };
    let threads = [
        run(|shared| {
            for id in 0..PACKETS {
                let mut shared = shared.lock();
                let epoch = shared.bench.tells(attribute::OPEN_EPOCH);
                shared.epoch_of.push(epoch);
                assert!(shared.bench.send(packet(id, 100)));
            }
        }),
        run(|shared| (0..PACKETS).for_each(|_| shared.lock().take())),
        run(|shared| {
            for _ in 0..3 {
                let epoch = shared.lock().bench.tells(attribute::OPEN_EPOCH);
                assert_eq!(
                    shared
                        .lock()
                        .bench
                        .change(&order(attribute::BEGIN, epoch + 1)),
                    0
                );
                assert_eq!(
                    shared.lock().bench.change(&order(attribute::COMMIT, epoch)),
                    0
                );
            }
            let open = shared.lock().bench.tells(attribute::OPEN_EPOCH);
            assert_eq!(
                shared.lock().bench.change(&order(attribute::ABORT, open)),
                0
            );
        }),
        run(|shared| shared.lock().bench.reset()),
        run(|shared| {
            let shared = shared.lock();
            let held = shared.bench.tells(attribute::HELD_PACKETS);
            assert_eq!(held, u64::from(shared.bench.counts().qlen));
        }),
    ];
    for thread in threads {
        thread.join().expect("no thread fails");
    }
    let mut shared = shared.lock();
    let open = shared.bench.tells(attribute::OPEN_EPOCH);
    assert_eq!(shared.bench.change(&order(attribute::BEGIN, open + 1)), 0);
    assert_eq!(shared.bench.change(&order(attribute::COMMIT, open)), 0);
    (0..PACKETS).for_each(|_| shared.take());
    assert!(shared.left.is_sorted_by(|a, b| a < b), "order is kept");
    let lost = [attribute::PURGED, attribute::ABORTED].map(|kind| shared.bench.tells(kind));
    assert_eq!(shared.left.len() as u64 + lost.iter().sum::<u64>(), PACKETS);
}

fn order(kind: u16, epoch: u64) -> Vec<u8> {
    let mut options = Vec::new();
    push_attribute(&mut options, kind, &epoch.to_ne_bytes());
    options
}
