//! What is held when a replication ends is dropped, whatever happens to the teardown: its epoch was never
//! committed, and the backup may be running by then.

use compiler::backend::Kind;
use libtest_mimic::Failed;
use policy_lang::{Verdict, classify};
use tests::netlab::Observed;

use super::desk::{Desk, Fault, IFB, WORDS, frames};
use super::{example, same};

/// What libxl says to the plug at the end of an epoch (remus_netbuf_op), once it is set up.
const BLOCK: &str = "tc qdisc change dev ifb-vif0 root plug block";

pub(super) fn never_leaves(backend: Kind) -> Result<(), Failed> {
    let desk = Desk::closed()?;
    let voip = example("voip.gate");
    let hook = desk.hook(&voip, backend)?;
    let before = desk.state()?;
    desk.succeed(&format!("{hook} setup && {BLOCK}"))?;

    let frames = frames();
    let run = desk.lab.run(None, &frames)?;
    for ((words, frame), seen) in WORDS.iter().zip(&frames).zip(&run.observations) {
        let expected = match classify(&voip.policy, frame).verdict {
            Verdict::Buffer => Observed::Dropped,
            Verdict::Bypass => Observed::Bypassed,
        };
        assert_eq!(seen.observed, expected, "{words}");
    }

    let held: Vec<Vec<u8>> = frames.into_iter().take(1).collect();
    for fault in [Fault::Fails, Fault::Killed] {
        for call in 1.. {
            let let_out = come_out(&desk)?;
            let tools = desk.faulty(call, fault)?;
            desk.sh(&format!(
                "REMUS_IFB={IFB}; export REMUS_IFB; {tools} {hook} teardown"
            ))?;
            let disturbed = desk.calls()?.len() >= call;
            desk.succeed(&format!("{hook} teardown"))?;
            assert_eq!(let_out, come_out(&desk)?, "call {call}, {fault:?}");
            same(&before, &desk.state()?, "after teardown")?;
            desk.succeed(&format!("{hook} setup && {BLOCK}"))?;
            let run = desk.lab.run(None, &held)?;
            assert_eq!(run.observations[0].observed, Observed::Dropped);
            if !disturbed {
                break;
            }
        }
    }
    desk.succeed(&format!("{hook} teardown"))?;
    assert!(desk.passed(&voip)?.iter().all(|passed| *passed));
    Ok(())
}

/// Frames that have come out at the far side of the bridge.
fn come_out(desk: &Desk) -> Result<String, Failed> {
    desk.succeed("sleep 0.1; cat /sys/class/net/out1/statistics/rx_packets")
}
