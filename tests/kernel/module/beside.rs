//! Faults of the kernel's own `sch_plug` that no scenario shows, on the same interface as ours without
//! them: what a dump tells, what an overflow leaves behind, what a packet to be cut is counted as.

use kernel_module::netlink::{attribute, state};
use libtest_mimic::Failed;
use tests::kmod::drive::{Failure, longs, plug, words};
use tests::kmod::rig::Rig;

use super::{KIND, begin, commit, dump, with_module};

const PLUG: &str = "plug";
const BUFFER: u32 = 0;
const LIMIT: u32 = 3;

fn limited(bytes: u64, overflow: u32) -> Vec<u8> {
    let mut options = longs(&[(attribute::LIMIT, bytes)]);
    options.extend(words(&[(attribute::OVERFLOW, overflow)]));
    options
}

fn send(rig: &mut Rig, packets: u32) -> Result<(), String> {
    (0..packets).try_for_each(|number| rig.send(number, 100))
}

pub(super) fn a_dump_shows_limit_and_state() -> Result<(), Failed> {
    with_module(|rig| {
        rig.driver.add(PLUG, Some(&plug(LIMIT, 1000)))?;
        send(rig, 2)?;
        rig.driver.change(PLUG, &plug(BUFFER, 0))?;
        let seen = dump(rig)?;
        assert!(seen.own.is_empty(), "plug tells more: {seen:?}");
        rig.driver.delete()?;

        rig.driver.add(KIND, Some(&limited(1000, 0)))?;
        send(rig, 2)?;
        rig.driver.change(KIND, &begin(2))?;
        let seen = dump(rig)?;
        let told = [
            (attribute::LIMIT, 1000),
            (attribute::STATE, 0),
            (attribute::OPEN_EPOCH, 2),
            (attribute::OLDEST, 1),
            (attribute::COMMITTED, 0),
            (attribute::HELD_PACKETS, 2),
            (attribute::HELD_BYTES, 200),
        ];
        for (kind, number) in told {
            assert_eq!(seen.get(kind), number, "attribute {kind}");
        }
        Ok(())
    })
}

pub(super) fn an_overflow_is_seen_and_chosen() -> Result<(), Failed> {
    with_module(|rig| {
        // Plug counts drops, as any qdisc does for any reason, and ends the epoch that lost packets.
        rig.driver.add(PLUG, Some(&plug(LIMIT, 250)))?;
        send(rig, 4)?;
        let seen = dump(rig)?;
        assert_eq!((seen.packets, seen.drops, seen.overlimits), (2, 2, 0));
        rig.driver.change(PLUG, &plug(BUFFER, 0))?;
        rig.driver.change(PLUG, &plug(BUFFER, 0))?;
        rig.driver.delete()?;

        let full = u64::from(state::FULL);
        for overflow in 0..=1 {
            rig.driver.add(KIND, Some(&limited(250, overflow)))?;
            send(rig, 4)?;
            let seen = dump(rig)?;
            assert_eq!((seen.packets, seen.drops, seen.overlimits), (2, 2, 2));
            assert_eq!(seen.get(attribute::OVERFLOWED), 2);
            assert_eq!(seen.get(attribute::STATE), full);
            // The commit of the first epoch makes room, so that one may end.
            rig.driver.change(KIND, &begin(2))?;
            let second = rig.driver.change(KIND, &begin(3));
            match overflow {
                0 => assert_eq!(second, Ok(())),
                _ => assert_eq!(second, Err(Failure::Refused(-105))),
            }
            rig.driver.change(KIND, &commit(1))?;
            assert_eq!(rig.out(2)?, [0, 1]);
            assert_eq!(dump(rig)?.get(attribute::STATE), 0);
            rig.driver.delete()?;
        }
        // The third way: a checkpoint is asked for before it is too late.
        let mut options = limited(250, 2);
        options.extend(longs(&[(attribute::ASK_AT, 150)]));
        rig.driver.add(KIND, Some(&options))?;
        for (number, asks) in [(0, 0), (1, u64::from(state::ASKING))] {
            rig.send(number, 100)?;
            assert_eq!(dump(rig)?.get(attribute::STATE), asks);
        }
        Ok(())
    })
}

pub(super) fn what_is_to_be_cut_is_counted_once() -> Result<(), Failed> {
    with_module(|rig| {
        // Three segments, so 54 bytes of headers twice over. Plug adds what it holds on the wire to what
        // comes in memory, and has no room for the second.
        for (kind, options, held) in [(PLUG, plug(LIMIT, 6_108), 1), (KIND, limited(6_108, 0), 2)] {
            rig.driver.add(kind, Some(&options))?;
            for _ in 0..3 {
                rig.send_to_cut(3_054, 1_000)?;
            }
            let seen = dump(rig)?;
            assert_eq!((seen.packets, seen.drops), (held, 3 - held), "{kind}");
            assert_eq!(seen.backlog, held * (3_054 + 2 * 54), "{kind}");
            if kind == KIND {
                assert_eq!(seen.get(attribute::HELD_BYTES), 6_108);
                assert_eq!(seen.overlimits, 1);
            }
            rig.driver.delete()?;
        }
        Ok(())
    })
}
