//! Several threads on one qdisc, through the lock that the core holds: packets come, the device
//! takes, a controller ends epochs and commits them, the link flaps. Afterwards no packet is lost or
//! doubled but those that a flap took, none is out of order, and none left before its commit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use compiler::gate::netlink::push_attribute;
use kernel::sync::SpinLock;
use kernel_module::netlink::attribute;

use crate::bench::{Bench, packet};

const PACKETS: u64 = 20_000;

struct Shared {
    bench: Bench,
    /// The epoch of each packet that is queued or has left, by its number.
    epoch_of: Vec<u64>,
    left: Vec<u64>,
}

#[test]
fn nothing_leaves_early_whoever_comes_first() {
    let shared = SpinLock::new(Shared {
        bench: Bench::new(0, None),
        epoch_of: Vec::new(),
        left: Vec::new(),
    });
    let sent = AtomicU64::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            for id in 0..PACKETS {
                let mut shared = shared.lock();
                let epoch = shared.bench.tells(attribute::OPEN_EPOCH);
                shared.epoch_of.push(epoch);
                assert!(shared.bench.send(packet(id, 100)));
                drop(shared);
                sent.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            while sent.load(Ordering::Relaxed) < PACKETS {
                let mut shared = shared.lock();
                if let Some(id) = shared.bench.dequeue() {
                    let committed = shared.bench.tells(attribute::COMMITTED);
                    let epoch = shared.epoch_of[usize::try_from(id).expect("few")];
                    assert!(
                        epoch <= committed,
                        "{id} of epoch {epoch} left at {committed}"
                    );
                    shared.left.push(id);
                }
            }
        });
        scope.spawn(|| {
            let mut epoch = 1;
            while sent.load(Ordering::Relaxed) < PACKETS {
                epoch += 1;
                let begin = order(attribute::BEGIN, epoch);
                assert_eq!(shared.lock().bench.change(&begin), 0);
                thread::yield_now();
                let commit = order(attribute::COMMIT, epoch - 1);
                assert_eq!(shared.lock().bench.change(&commit), 0);
            }
        });
        scope.spawn(|| {
            while sent.load(Ordering::Relaxed) < PACKETS {
                thread::sleep(std::time::Duration::from_millis(3));
                shared.lock().bench.reset();
            }
        });
    });
    let mut shared = shared.lock();
    let open = shared.bench.tells(attribute::OPEN_EPOCH);
    assert_eq!(shared.bench.change(&order(attribute::BEGIN, open + 1)), 0);
    let oldest = shared.bench.tells(attribute::OLDEST);
    for epoch in oldest..=open {
        assert_eq!(shared.bench.change(&order(attribute::COMMIT, epoch)), 0);
    }
    let rest = shared.bench.run();
    shared.left.extend(rest);
    assert!(shared.left.is_sorted_by(|a, b| a < b), "order is kept");
    let purged = shared.bench.tells(attribute::PURGED);
    assert_eq!(shared.left.len() as u64 + purged, PACKETS);
}

fn order(kind: u16, epoch: u64) -> Vec<u8> {
    let mut options = Vec::new();
    push_attribute(&mut options, kind, &epoch.to_ne_bytes());
    options
}
