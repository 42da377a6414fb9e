//! The onlooker, who judges while things happen, comes to the same verdicts as the functions that
//! judge a whole trace: on random traces, lawful or not.

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
    use qdisc_model::invariant::onlooker::{Law, Onlooker};
    use qdisc_model::invariant::{
        Account, Event, Violation, bypass_never_waits, commit_releases,
        failover_contradicts_nothing, losses_are_counted, nothing_leaves_early, order_is_kept,
    };
    use qdisc_model::packet::{Packet, Verdict};

    /// Packets get their numbers later; the others name one that may have arrived.
    fn events() -> impl Strategy<Value = Vec<Event>> {
        let epoch = || 1_u64..4;
        let event = prop_oneof![
            6 => (epoch(), any::<bool>()).prop_map(|(epoch, buffer)| {
                let verdict = if buffer { Verdict::Buffer } else { Verdict::Bypass };
                let packet = Packet { verdict, ..Packet::held(0, 1) };
                Event::Arrived { packet, epoch }
            }),
            8 => (0_u64..12).prop_map(|id| Event::Left { id }),
            1 => (0_u64..12).prop_map(|id| Event::Lost { id }),
            4 => epoch().prop_map(|epoch| Event::Committed { epoch }),
            1 => Just(Event::Opened),
            1 => Just(Event::Closed),
            1 => epoch().prop_map(|from| Event::TookOver { from }),
        ];
        proptest::collection::vec(event, 0..24)
    }

    /// Numbers the packets in order; every bypassed one leaves at once, or none does.
    fn numbered(events: Vec<Event>, bypass_leaves: bool) -> Vec<Event> {
        let mut trace = Vec::new();
        for (id, event) in (0..).zip(events) {
            let Event::Arrived { mut packet, epoch } = event else {
                trace.push(event);
                continue;
            };
            packet.id = id;
            trace.push(Event::Arrived { packet, epoch });
            if packet.verdict == Verdict::Bypass && bypass_leaves {
                trace.push(Event::Left { id });
            }
        }
        trace
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn the_onlooker_judges_as_the_trace_is_judged(events in events(), leaves in any::<bool>()) {
            let trace = numbered(events, leaves);
            let mut onlooker = Onlooker::default();
            trace.iter().for_each(|event| onlooker.see(*event));
            assert_eq!(
                onlooker.keeps(Law::NothingLeavesEarly),
                nothing_leaves_early(&trace).is_ok(),
            );
            assert_eq!(
                onlooker.keeps(Law::BypassNeverWaits),
                bypass_never_waits(&trace).is_ok(),
            );
            assert_eq!(onlooker.keeps(Law::OrderIsKept), order_is_kept(&trace).is_ok());
            assert_eq!(
                onlooker.keeps(Law::FailoverContradictsNothing),
                failover_contradicts_nothing(&trace).is_ok(),
            );
        }

        #[test]
        fn the_onlooker_counts_as_the_trace_is_counted(
            events in events(), held in 0_u64..4, lost in 0_u64..3,
        ) {
            let mut onlooker = Onlooker::default();
            let mut here = Vec::new();
            let mut trace = Vec::new();
            for event in numbered(events, true) {
                match event {
                    Event::Arrived { packet, .. } => here.push(packet.id),
                    // What isn't there can't go: the first test has those.
                    Event::Left { id } | Event::Lost { id } if !here.contains(&id) => continue,
                    Event::Left { id } | Event::Lost { id } => here.retain(|other| *other != id),
                    _ => {}
                }
                trace.push(event);
                onlooker.see(event);
            }
            let account = Account { held, lost };
            onlooker.audit(account);
            assert_eq!(
                onlooker.keeps(Law::LossesAreCounted),
                losses_are_counted(&trace, account).is_ok(),
            );
            // All epochs up to 3 count as committed on both sides.
            trace.extend((1..4).map(|epoch| Event::Committed { epoch }));
            onlooker.expect_released(3);
            let behind = matches!(commit_releases(&trace), Err(Violation::LeftBehind { .. }));
            assert_eq!(onlooker.keeps(Law::CommitReleases), !behind);
        }
    }
}
