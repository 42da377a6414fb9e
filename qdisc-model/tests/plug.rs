//! Each known fact about `sch_plug` as a named case: the state table and the faults that follow
//! from it (`net/sched/sch_plug.c`), and what was measured on a 6.1 kernel with `tc`.

#[cfg(test)]
mod rows {
    use qdisc_model::limit::LARGEST_PACKET;
    use qdisc_model::packet::Packet;
    use qdisc_model::plug::{
        BUFFER, Device, Enqueued, LIMIT, Plug, Qopt, RELEASE_INDEFINITE, RELEASE_ONE, UnknownAction,
    };

    const IFB: Device = Device {
        tx_queue_len: 32,
        psched_mtu: 1514,
    };

    fn limited(limit: u32) -> Plug {
        Plug::init(
            Some(Qopt {
                action: LIMIT,
                limit,
            }),
            IFB,
        )
    }

    fn roomy() -> Plug {
        limited(10_000_000)
    }

    fn send(plug: &mut Plug, action: i32) {
        plug.change(Qopt { action, limit: 0 }).unwrap();
    }

    fn fill(plug: &mut Plug, ids: std::ops::Range<u64>) {
        for id in ids {
            assert_eq!(plug.enqueue(Packet::held(id, 100)), Enqueued::Queued);
        }
    }

    fn run(plug: &mut Plug) -> Vec<u64> {
        plug.run().iter().map(|packet| packet.id).collect()
    }

    #[test]
    fn init_without_options_takes_the_limit_from_the_device() {
        assert_eq!(Plug::init(None, IFB).limit(), 48_448);
    }

    #[test]
    fn init_with_options_takes_their_limit_and_ignores_their_action() {
        for action in [BUFFER, RELEASE_ONE, RELEASE_INDEFINITE, LIMIT, 99] {
            let mut plug = Plug::init(
                Some(Qopt {
                    action,
                    limit: 1000,
                }),
                IFB,
            );
            assert_eq!(plug.limit(), 1000);
            fill(&mut plug, 0..3);
            assert_eq!(run(&mut plug), [], "starts closed after action {action}");
        }
    }

    #[test]
    fn it_starts_closed_and_holds_from_the_first_packet() {
        let mut plug = roomy();
        fill(&mut plug, 0..3);
        assert_eq!(run(&mut plug), []);
        assert_eq!(plug.backlog(), 300);
    }

    #[test]
    fn release_without_a_buffer_before_releases_nothing() {
        let mut plug = roomy();
        fill(&mut plug, 0..3);
        send(&mut plug, RELEASE_ONE);
        assert_eq!(run(&mut plug), []);
    }

    #[test]
    fn release_one_releases_the_epoch_before_the_last_buffer() {
        let mut plug = roomy();
        fill(&mut plug, 0..4);
        send(&mut plug, BUFFER);
        fill(&mut plug, 4..7);
        send(&mut plug, RELEASE_ONE);
        assert_eq!(run(&mut plug), [0, 1, 2, 3]);
        send(&mut plug, BUFFER);
        send(&mut plug, RELEASE_ONE);
        assert_eq!(run(&mut plug), [4, 5, 6]);
    }

    #[test]
    fn a_second_release_in_a_row_releases_nothing() {
        let mut plug = roomy();
        fill(&mut plug, 0..2);
        send(&mut plug, BUFFER);
        fill(&mut plug, 2..4);
        send(&mut plug, RELEASE_ONE);
        send(&mut plug, RELEASE_ONE);
        assert_eq!(run(&mut plug), [0, 1]);
    }

    #[test]
    fn release_indefinite_flushes_and_passes_until_the_next_buffer() {
        let mut plug = roomy();
        fill(&mut plug, 0..2);
        send(&mut plug, BUFFER);
        fill(&mut plug, 2..4);
        send(&mut plug, RELEASE_INDEFINITE);
        assert_eq!(run(&mut plug), [0, 1, 2, 3]);
        fill(&mut plug, 4..6);
        assert_eq!(run(&mut plug), [4, 5]);
        send(&mut plug, RELEASE_ONE);
        fill(&mut plug, 6..7);
        assert_eq!(run(&mut plug), [6], "a release while open changes nothing");
        send(&mut plug, BUFFER);
        fill(&mut plug, 7..9);
        assert_eq!(run(&mut plug), []);
    }

    #[test]
    fn what_came_before_or_while_open_is_in_no_epoch_after() {
        let mut plug = roomy();
        fill(&mut plug, 0..2);
        send(&mut plug, RELEASE_INDEFINITE);
        fill(&mut plug, 2..3);
        assert_eq!(run(&mut plug), [0, 1, 2]);
        send(&mut plug, BUFFER);
        fill(&mut plug, 3..8);
        send(&mut plug, RELEASE_ONE);
        assert_eq!(run(&mut plug), []);
    }

    #[test]
    fn double_block_takes_the_oldest_packets_by_the_newest_count() {
        // block A4 block B3 block release, as measured: 3 packets, of A.
        let mut plug = roomy();
        send(&mut plug, BUFFER);
        fill(&mut plug, 0..4);
        send(&mut plug, BUFFER);
        fill(&mut plug, 4..7);
        send(&mut plug, BUFFER);
        send(&mut plug, RELEASE_ONE);
        assert_eq!(run(&mut plug), [0, 1, 2]);
        assert_eq!(plug.held().len(), 4);
        send(&mut plug, BUFFER);
        send(&mut plug, RELEASE_ONE);
        assert_eq!(run(&mut plug), [], "the next pair doesn't catch up");
        send(&mut plug, RELEASE_INDEFINITE);
        assert_eq!(run(&mut plug), [3, 4, 5, 6]);
    }

    #[test]
    fn double_block_orphans_the_earlier_epoch() {
        let mut plug = roomy();
        fill(&mut plug, 0..3);
        send(&mut plug, BUFFER);
        fill(&mut plug, 3..5);
        send(&mut plug, BUFFER);
        send(&mut plug, RELEASE_ONE);
        assert_eq!(run(&mut plug), [0, 1]);
        assert_eq!(plug.held().len(), 3);
    }

    #[test]
    fn two_epochs_in_flight_leak_when_the_newer_one_is_larger() {
        // Commit of the first epoch (1 packet) is spent by the second one's count (3).
        let mut plug = roomy();
        fill(&mut plug, 0..1);
        send(&mut plug, BUFFER);
        fill(&mut plug, 1..4);
        send(&mut plug, BUFFER);
        send(&mut plug, RELEASE_ONE);
        assert_eq!(
            run(&mut plug),
            [0, 1, 2],
            "1 and 2 belong to the second epoch"
        );
    }

    #[test]
    fn reset_keeps_the_counts_and_the_next_release_leaks() {
        let mut plug = roomy();
        fill(&mut plug, 0..3);
        send(&mut plug, BUFFER);
        assert_eq!(plug.reset().len(), 3);
        fill(&mut plug, 3..8);
        send(&mut plug, RELEASE_ONE);
        assert_eq!(run(&mut plug), [3, 4, 5]);
    }

    #[test]
    fn reset_after_release_lets_later_packets_through_at_once() {
        // Each run over the empty queue spends one of the count, the rest stays open.
        let mut plug = roomy();
        fill(&mut plug, 0..3);
        send(&mut plug, BUFFER);
        plug.reset();
        send(&mut plug, RELEASE_ONE);
        assert_eq!(run(&mut plug), []);
        fill(&mut plug, 3..4);
        assert_eq!(run(&mut plug), [3]);
    }

    #[test]
    fn reset_counts_no_drop_and_leaves_the_plug_as_open_as_it_was() {
        let mut plug = roomy();
        fill(&mut plug, 0..3);
        assert_eq!(plug.reset().len(), 3);
        assert_eq!((plug.drops(), plug.backlog()), (0, 0));
        fill(&mut plug, 3..5);
        assert_eq!(run(&mut plug), [], "closed before, closed after");
        send(&mut plug, RELEASE_INDEFINITE);
        run(&mut plug);
        plug.reset();
        fill(&mut plug, 5..6);
        assert_eq!(run(&mut plug), [5], "open before, open after");
    }

    #[test]
    fn packets_left_over_from_an_open_plug_belong_to_no_epoch() {
        // The device was busy: 0 and 1 are still queued when the plug closes again.
        let mut plug = roomy();
        send(&mut plug, RELEASE_INDEFINITE);
        fill(&mut plug, 0..2);
        send(&mut plug, BUFFER);
        fill(&mut plug, 2..4);
        send(&mut plug, BUFFER);
        send(&mut plug, RELEASE_ONE);
        assert_eq!(
            run(&mut plug),
            [0, 1],
            "the count of the epoch went to the leftovers"
        );
    }

    #[test]
    fn the_limit_is_bytes_and_excess_is_dropped_at_the_tail() {
        // Default limit, packets of 1,400 bytes: 34 fit.
        let mut plug = Plug::init(None, IFB);
        let queued = (0..40)
            .filter(|id| plug.enqueue(Packet::held(*id, 1400)) == Enqueued::Queued)
            .count();
        assert_eq!((queued, plug.drops()), (34, 6));
        // A packet that fills the last byte is taken.
        let mut plug = limited(300);
        fill(&mut plug, 0..3);
        assert_eq!(plug.enqueue(Packet::held(3, 1)), Enqueued::Dropped);
    }

    #[test]
    fn a_dropped_packet_is_counted_in_no_epoch() {
        let mut plug = limited(250);
        fill(&mut plug, 0..2);
        assert_eq!(plug.enqueue(Packet::held(2, 100)), Enqueued::Dropped);
        send(&mut plug, BUFFER);
        send(&mut plug, RELEASE_ONE);
        assert_eq!(run(&mut plug), [0, 1]);
        fill(&mut plug, 3..4);
        assert_eq!(run(&mut plug), []);
    }

    #[test]
    fn released_packets_take_room_until_they_have_left() {
        let mut plug = limited(200);
        fill(&mut plug, 0..2);
        send(&mut plug, BUFFER);
        send(&mut plug, RELEASE_ONE);
        assert_eq!(plug.enqueue(Packet::held(2, 100)), Enqueued::Dropped);
        assert_eq!(run(&mut plug), [0, 1]);
        fill(&mut plug, 3..4);
    }

    #[test]
    fn a_lowered_limit_keeps_what_is_held_and_drops_what_comes() {
        let mut plug = roomy();
        fill(&mut plug, 0..3);
        plug.change(Qopt {
            action: LIMIT,
            limit: 100,
        })
        .unwrap();
        assert_eq!(plug.held().len(), 3);
        assert_eq!(plug.enqueue(Packet::held(3, 1)), Enqueued::Dropped);
    }

    #[test]
    fn an_offload_packet_is_one_packet_and_its_repeated_headers_are_backlog() {
        // 8,054 bytes in segments of 1,448: measured as a backlog of 8,324.
        let mut plug = limited(8054);
        let packet = Packet {
            wire_bytes: 8324,
            ..Packet::held(0, 8054)
        };
        assert_eq!(
            plug.enqueue(packet),
            Enqueued::Queued,
            "the door looks at 8,054"
        );
        assert_eq!((plug.held().len(), plug.backlog()), (1, 8324));
    }

    #[test]
    fn the_default_limit_never_takes_a_full_offload_packet() {
        let mut plug = Plug::init(None, IFB);
        assert_eq!(
            plug.enqueue(Packet::held(0, LARGEST_PACKET)),
            Enqueued::Dropped
        );
        let mut plug = limited(LARGEST_PACKET);
        assert_eq!(
            plug.enqueue(Packet::held(0, LARGEST_PACKET)),
            Enqueued::Queued
        );
    }

    #[test]
    fn the_door_wraps_at_32_bits() {
        let mut plug = limited(4294967295);
        let huge = Packet {
            wire_bytes: u32::MAX - 10,
            ..Packet::held(0, 100)
        };
        assert_eq!(plug.enqueue(huge), Enqueued::Queued);
        assert_eq!(plug.enqueue(Packet::held(1, 100)), Enqueued::Queued);
        assert_eq!(plug.backlog(), 89);
    }

    #[test]
    fn peek_shows_nothing_that_may_not_leave() {
        let mut plug = roomy();
        fill(&mut plug, 0..2);
        assert_eq!(plug.peek(), None);
        send(&mut plug, BUFFER);
        assert_eq!(plug.peek(), None);
    }

    #[test]
    fn peek_takes_the_packet_out_and_puts_it_aside() {
        let mut plug = roomy();
        fill(&mut plug, 0..2);
        send(&mut plug, BUFFER);
        fill(&mut plug, 2..3);
        send(&mut plug, RELEASE_ONE);
        for _ in 0..3 {
            assert_eq!(plug.peek().map(|packet| packet.id), Some(0));
        }
        assert_eq!((plug.held().len(), plug.backlog()), (2, 300));
        let before = plug.clone();
        assert_eq!(run(&mut plug), [0, 1]);
        assert_eq!(plug.backlog(), 100);
        // A parent that peeks and then takes without looking aside gets the second one first.
        let mut plug = before;
        assert_eq!(plug.dequeue().map(|packet| packet.id), Some(1));
        assert_eq!(plug.dequeue_peeked().map(|packet| packet.id), Some(0));
    }

    #[test]
    fn reset_purges_what_was_put_aside() {
        let mut plug = roomy();
        fill(&mut plug, 0..2);
        send(&mut plug, RELEASE_INDEFINITE);
        plug.peek();
        let lost: Vec<u64> = plug.reset().iter().map(|packet| packet.id).collect();
        assert_eq!((lost, plug.backlog()), (vec![0, 1], 0));
        assert_eq!(plug.peek(), None);
    }

    #[test]
    fn an_unknown_action_is_refused_and_changes_nothing() {
        let mut plug = roomy();
        fill(&mut plug, 0..2);
        let before = plug.clone();
        assert_eq!(
            plug.change(Qopt {
                action: 4,
                limit: 7
            }),
            Err(UnknownAction { action: 4 })
        );
        assert_eq!(plug, before);
    }

    #[test]
    fn a_zeroed_message_on_creation_is_a_black_hole() {
        // What libnl's `nl-qdisc-add ... plug` sends without `--limit`.
        assert_eq!(Plug::init(Some(Qopt::default()), IFB).limit(), 0);
    }
}
