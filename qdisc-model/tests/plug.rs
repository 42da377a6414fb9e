//! Each known fact about `sch_plug` as a named case: the state table and the faults that follow
//! from it (`net/sched/sch_plug.c`), and what was measured on a 6.1 kernel with `tc`.

#[cfg(test)]
mod rows {
    use qdisc_model::command::{CommandError, Root, Verb, parse};
    use qdisc_model::limit::LARGEST_PACKET;
    use qdisc_model::packet::Packet;
    use qdisc_model::plug::{
        BUFFER, Device, Enqueued, LIMIT, Plug, Qopt, RELEASE_INDEFINITE, RELEASE_ONE, UnknownAction,
    };

    const IFB: Device = Device {
        tx_queue_len: 32,
        psched_mtu: 1514,
    };
    const ROOMY: Qopt = Qopt {
        action: LIMIT,
        limit: 10_000_000,
    };

    fn roomy() -> Plug {
        Plug::init(Some(ROOMY), IFB)
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

    fn tc(root: &mut Root, verb: Verb, words: &str) -> Result<Vec<Packet>, CommandError> {
        root.tc(verb, &words.split_whitespace().collect::<Vec<_>>(), IFB)
    }

    /// A root after `tc qdisc add ... plug WORDS` on a fresh IFB.
    fn added(words: &str) -> Plug {
        let mut root = Root::Default;
        tc(&mut root, Verb::Add, words).unwrap();
        plug_of(&mut root).clone()
    }

    fn plug_of(root: &mut Root) -> &mut Plug {
        match root {
            Root::Plug(plug) => plug,
            other => panic!("no plug but {other:?}"),
        }
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
        let mut plug = added("");
        let queued = (0..40)
            .filter(|id| plug.enqueue(Packet::held(*id, 1400)) == Enqueued::Queued)
            .count();
        assert_eq!((queued, plug.drops()), (34, 6));
        // A packet that fills the last byte is taken.
        let mut plug = added("limit 300");
        fill(&mut plug, 0..3);
        assert_eq!(plug.enqueue(Packet::held(3, 1)), Enqueued::Dropped);
    }

    #[test]
    fn a_dropped_packet_is_counted_in_no_epoch() {
        let mut plug = added("limit 250");
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
        let mut plug = added("limit 200");
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
        let mut plug = added("limit 8054");
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
        let mut plug = added("");
        assert_eq!(
            plug.enqueue(Packet::held(0, LARGEST_PACKET)),
            Enqueued::Dropped
        );
        let mut plug = added(&format!("limit {LARGEST_PACKET}"));
        assert_eq!(
            plug.enqueue(Packet::held(0, LARGEST_PACKET)),
            Enqueued::Queued
        );
    }

    #[test]
    fn the_door_wraps_at_32_bits() {
        let mut plug = added("limit 4294967295");
        let huge = Packet {
            wire_bytes: u32::MAX - 10,
            ..Packet::held(0, 100)
        };
        assert_eq!(plug.enqueue(huge), Enqueued::Queued);
        assert_eq!(plug.enqueue(Packet::held(1, 100)), Enqueued::Queued);
        assert_eq!(plug.backlog(), 89);
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
    fn add_with_an_action_is_a_black_hole() {
        for words in ["block", "release", "release_indefinite"] {
            let mut plug = added(words);
            assert_eq!(plug.limit(), 0, "{words}");
            assert_eq!(
                plug.enqueue(Packet::held(0, 60)),
                Enqueued::Dropped,
                "{words}"
            );
        }
    }

    #[test]
    fn a_zeroed_message_on_creation_is_a_black_hole() {
        // What libnl's `nl-qdisc-add ... plug` sends without `--limit`.
        assert_eq!(Plug::init(Some(Qopt::default()), IFB).limit(), 0);
    }

    #[test]
    fn the_last_keyword_wins() {
        let limit = Qopt {
            action: LIMIT,
            limit: 100,
        };
        assert_eq!(parse(&["block", "limit", "100"]), Ok(Some(limit)));
        let block = Qopt {
            action: BUFFER,
            limit: 100,
        };
        assert_eq!(parse(&["limit", "100", "block"]), Ok(Some(block)));
        assert_eq!(
            parse(&["block", "release"]).unwrap().unwrap().action,
            RELEASE_ONE
        );
        // On creation only the number counts, wherever it stands.
        assert_eq!(added("limit 100 block").limit(), 100);
        // On a change `block limit N` blocks nothing, silently.
        let mut root = Root::Default;
        tc(&mut root, Verb::Add, "limit 1m").unwrap();
        tc(&mut root, Verb::Change, "release_indefinite").unwrap();
        tc(&mut root, Verb::Change, "block limit 1m").unwrap();
        let plug = plug_of(&mut root);
        fill(plug, 0..1);
        assert_eq!(run(plug), [0]);
    }

    #[test]
    fn change_without_keywords_has_no_effect() {
        assert_eq!(parse(&[]), Ok(None));
        let mut root = Root::Default;
        tc(&mut root, Verb::Add, "limit 1m").unwrap();
        fill(plug_of(&mut root), 0..2);
        let before = root.clone();
        assert_eq!(tc(&mut root, Verb::Change, ""), Ok(Vec::new()));
        assert_eq!(root, before);
    }

    #[test]
    fn replace_over_a_plug_is_a_change_of_its_limit() {
        let mut root = Root::Default;
        tc(&mut root, Verb::Replace, "limit 1m").unwrap();
        fill(plug_of(&mut root), 0..2);
        tc(&mut root, Verb::Replace, "limit 2m").unwrap();
        let plug = plug_of(&mut root);
        assert_eq!((plug.held().len(), plug.limit()), (2, 2 << 20));
    }

    #[test]
    fn change_over_another_kind_makes_a_black_hole() {
        let mut root = Root::Foreign;
        tc(&mut root, Verb::Change, "block").unwrap();
        assert_eq!(plug_of(&mut root).limit(), 0);
    }

    #[test]
    fn change_over_the_default_qdisc_and_add_over_a_plug_are_refused() {
        let mut root = Root::Default;
        assert_eq!(
            tc(&mut root, Verb::Change, "block"),
            Err(CommandError::NotFound)
        );
        tc(&mut root, Verb::Add, "limit 1m").unwrap();
        assert_eq!(
            tc(&mut root, Verb::Add, "limit 1m"),
            Err(CommandError::Exists)
        );
        let foreign = &mut Root::Foreign;
        assert_eq!(
            tc(foreign, Verb::Add, "limit 1m"),
            Err(CommandError::Exists)
        );
    }

    #[test]
    fn delete_loses_what_is_held() {
        let mut root = Root::Default;
        tc(&mut root, Verb::Add, "limit 1m").unwrap();
        fill(plug_of(&mut root), 0..2);
        assert_eq!(root.delete().unwrap().len(), 2);
        assert_eq!(root, Root::Default);
        assert_eq!(root.delete(), Err(CommandError::NotFound));
    }

    #[test]
    fn sizes_are_read_as_tc_reads_them() {
        let limit = |word| parse(&["limit", word]).map(|options| options.unwrap().limit);
        for (word, bytes) in [
            ("48448", 48_448),
            ("7b", 7),
            ("3k", 3072),
            ("3Kb", 3072),
            ("10M", 10 << 20),
            ("1gb", 1 << 30),
            ("8kbit", 1024),
            ("8mbit", 1 << 20),
            ("1Gbit", (1 << 30) / 8),
        ] {
            assert_eq!(limit(word), Ok(bytes), "{word}");
        }
        for word in ["", "k", "11gb", "-1", "1x", "4294967296"] {
            assert_eq!(
                limit(word),
                Err(CommandError::BadLimit(word.to_owned())),
                "{word}"
            );
        }
        assert_eq!(parse(&["limit"]), Err(CommandError::MissingLimit));
        assert_eq!(
            parse(&["blok"]),
            Err(CommandError::UnknownWord("blok".to_owned()))
        );
    }
}
