//! The law recognises what breaks it: for each function of `qdisc_model::invariant` a trace that is
//! lawful and the least change that makes it unlawful.

#[cfg(test)]
mod law {
    use qdisc_model::invariant::{
        Account, Event, Violation, bypass_never_waits, commit_releases,
        failover_contradicts_nothing, law, losses_are_counted, nothing_leaves_early, order_is_kept,
    };
    use qdisc_model::packet::Packet;

    const NOTHING: Account = Account { held: 0, lost: 0 };

    fn held(id: u64, epoch: u64) -> Event {
        Event::Arrived {
            packet: Packet::held(id, 100),
            epoch,
        }
    }

    fn passing(id: u64) -> Event {
        Event::Arrived {
            packet: Packet::passing(id, 100),
            epoch: 1,
        }
    }

    fn left(id: u64) -> Event {
        Event::Left { id }
    }

    fn lost(id: u64) -> Event {
        Event::Lost { id }
    }

    fn committed(epoch: u64) -> Event {
        Event::Committed { epoch }
    }

    #[test]
    fn a_packet_leaves_after_the_commit_of_its_own_epoch() {
        let lawful = [
            held(1, 1),
            held(2, 2),
            committed(1),
            left(1),
            committed(2),
            left(2),
        ];
        assert_eq!(law(&lawful, NOTHING), Ok(()));
        let early = [
            held(1, 1),
            held(2, 2),
            committed(1),
            left(1),
            left(2),
            committed(2),
        ];
        let violation = Violation::LeftEarly { id: 2, epoch: 2 };
        assert_eq!(nothing_leaves_early(&early), Err(violation));
    }

    #[test]
    fn the_commit_of_a_later_epoch_is_no_commit_of_an_aborted_one() {
        let trace = [held(1, 1), committed(2), left(1)];
        let violation = Violation::LeftEarly { id: 1, epoch: 1 };
        assert_eq!(nothing_leaves_early(&trace), Err(violation));
    }

    #[test]
    fn an_opened_gate_frees_what_is_inside_and_what_arrives_until_it_is_closed() {
        let opened = [held(1, 1), Event::Opened, held(2, 1), left(1), left(2)];
        assert_eq!(law(&opened, NOTHING), Ok(()));
        let later = [held(1, 1), Event::Opened, Event::Closed, left(1)];
        assert_eq!(law(&later, NOTHING), Ok(()));
        let closed = [Event::Opened, Event::Closed, held(1, 1), left(1)];
        let violation = Violation::LeftEarly { id: 1, epoch: 1 };
        assert_eq!(nothing_leaves_early(&closed), Err(violation));
    }

    #[test]
    fn whoever_takes_over_knows_all_that_is_outside() {
        let took_over = |from| Event::TookOver { from };
        let known = [held(1, 1), committed(1), left(1), took_over(1)];
        assert_eq!(failover_contradicts_nothing(&known), Ok(()));
        let violation = Violation::Contradicted {
            id: 1,
            epoch: 1,
            from: 0,
        };
        let before = [held(1, 1), left(1), took_over(0)];
        assert_eq!(failover_contradicts_nothing(&before), Err(violation));
        let after = [held(1, 1), took_over(0), Event::Opened, left(1)];
        assert_eq!(failover_contradicts_nothing(&after), Err(violation));
        assert_eq!(
            failover_contradicts_nothing(&[passing(1), left(1), took_over(0)]),
            Ok(()),
            "a bypassed packet may be ahead of the backup"
        );
        // Found by the comparison with the onlooker: what is lost can't be outside.
        let lost = [held(1, 1), took_over(0), lost(1), left(1)];
        assert_eq!(failover_contradicts_nothing(&lost), Ok(()));
    }

    #[test]
    fn what_is_not_there_can_not_leave() {
        let forged = Err(Violation::Forged { id: 1 });
        assert_eq!(nothing_leaves_early(&[left(1)]), forged);
        let twice = [held(1, 1), committed(1), left(1), left(1)];
        assert_eq!(nothing_leaves_early(&twice), forged);
        let back = [held(1, 1), committed(1), lost(1), left(1)];
        assert_eq!(nothing_leaves_early(&back), forged);
    }

    #[test]
    fn a_passing_packet_leaves_before_anything_else_happens() {
        assert_eq!(bypass_never_waits(&[passing(1), left(1)]), Ok(()));
        let waited = Err(Violation::Waited { id: 1 });
        assert_eq!(
            bypass_never_waits(&[passing(1), committed(1), left(1)]),
            waited
        );
        assert_eq!(bypass_never_waits(&[passing(1)]), waited);
    }

    #[test]
    fn order_holds_within_a_verdict_and_not_across() {
        let across = [held(1, 1), passing(2), left(2), committed(1), left(1)];
        assert_eq!(order_is_kept(&across), Ok(()));
        let around_a_loss = [held(1, 1), held(2, 1), lost(1), left(2)];
        assert_eq!(order_is_kept(&around_a_loss), Ok(()));
        let overtook = [held(1, 1), held(2, 1), left(2), left(1)];
        assert_eq!(
            order_is_kept(&overtook),
            Err(Violation::Overtook { id: 2, older: 1 })
        );
    }

    #[test]
    fn an_uncounted_loss_is_found() {
        let trace = [held(1, 1), held(2, 1), lost(2)];
        assert_eq!(
            losses_are_counted(&trace, Account { held: 1, lost: 1 }),
            Ok(())
        );
        let violation = Violation::Miscounted { held: 1, lost: 1 };
        assert_eq!(
            losses_are_counted(&trace, Account { held: 1, lost: 0 }),
            Err(violation)
        );
        assert_eq!(
            losses_are_counted(&trace, Account { held: 2, lost: 1 }),
            Err(violation)
        );
    }

    #[test]
    fn a_committed_packet_does_not_stay_behind() {
        assert_eq!(
            commit_releases(&[held(1, 1), committed(1), left(1)]),
            Ok(())
        );
        assert_eq!(
            commit_releases(&[held(1, 1), committed(1), lost(1)]),
            Ok(())
        );
        assert_eq!(commit_releases(&[held(1, 2), committed(1)]), Ok(()));
        let violation = Violation::LeftBehind { id: 1, epoch: 1 };
        assert_eq!(commit_releases(&[held(1, 1), committed(1)]), Err(violation));
    }
}
