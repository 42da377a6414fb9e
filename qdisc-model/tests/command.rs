//! What `tc qdisc ... plug` really does to the root of a device, as named cases: iproute2's
//! `tc/q_plug.c`, `net/sched/sch_api.c`, and what was measured on a 6.1 kernel.

#[cfg(test)]
mod keywords {
    use qdisc_model::command::{CommandError, Root, Verb, parse};
    use qdisc_model::packet::Packet;
    use qdisc_model::plug::{BUFFER, Device, Enqueued, LIMIT, Plug, Qopt, RELEASE_ONE};

    const IFB: Device = Device {
        tx_queue_len: 32,
        psched_mtu: 1514,
    };

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
    }

    #[test]
    fn add_over_another_kind_takes_its_place() {
        let mut root = Root::Foreign;
        tc(&mut root, Verb::Add, "limit 1m").unwrap();
        assert_eq!(plug_of(&mut root).limit(), 1 << 20);
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
