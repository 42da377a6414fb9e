//! A hook whose steps fail or which is killed at one of them, as libxl kills it after 40 seconds
//! (libxl_aoutils.c, `async_exec_timeout`).

use compiler::backend::Kind;
use libtest_mimic::Failed;

use super::desk::{Desk, Fault, IFB};
use super::{example, same};

pub(super) fn any_failing_step(backend: Kind) -> Result<(), Failed> {
    let desk = Desk::new()?;
    let voip = example("voip.gate");
    let hook = desk.hook(&voip, backend)?;
    let before = desk.state()?;
    for (tried, call) in crate::numbers().enumerate() {
        let tools = desk.faulty(call, Fault::Fails)?;
        let output = desk.sh(&format!("{tools} {hook} setup"))?;
        if desk.calls()?.len() < call {
            eprintln!("{backend}: {tried} steps of setup failed, one after the other");
            return Ok(());
        }
        if output.status.success() {
            // A question may have gone unanswered; what counts is that all is there.
            desk.as_libxl_wants()?;
            assert!(!desk.passed(&voip)?.contains(&true), "call {call}");
        } else {
            same(&before, &desk.state()?, &format!("call {call} failed"))?;
            assert_eq!(desk.stored("ifb"), None, "call {call} failed");
        }
        // libxl tears down what it has no IFB of.
        desk.succeed(&format!("{hook} teardown && {hook} setup"))?;
        desk.as_libxl_wants()?;
        desk.succeed(&format!("{hook} teardown"))?;
    }
    Ok(())
}

/// Killed anywhere, the rules are all there or none is, and what is redirected meets a plug. Then libxl
/// tears down; and if it was xl itself that died, the next setup finds what is left.
pub(super) fn killed_at_any_step(backend: Kind) -> Result<(), Failed> {
    let desk = Desk::new()?;
    let voip = example("voip.gate");
    let hook = desk.hook(&voip, backend)?;
    let before = desk.state()?;
    for (tried, call) in crate::numbers().enumerate() {
        for recovery in ["teardown", "setup"] {
            let tools = desk.faulty(call, Fault::Killed)?;
            desk.sh(&format!("{tools} {hook} setup"))?;
            if desk.calls()?.len() < call {
                eprintln!("{backend}: killed at {tried} steps of setup");
                return Ok(());
            }
            let passed = desk.passed(&voip)?;
            let held = !passed.contains(&true);
            assert!(
                held || !passed.contains(&false),
                "half a redirect at call {call}"
            );
            if held {
                desk.succeed(&format!(
                    "tc qdisc show dev {IFB} root | grep '^qdisc plug '"
                ))?;
            }
            desk.succeed(&format!("{hook} {recovery}"))
                .map_err(|e| format!("call {call}: {}", e.message().unwrap_or_default()))?;
            if recovery == "setup" {
                desk.as_libxl_wants()?;
                assert!(!desk.passed(&voip)?.contains(&true), "call {call}");
                desk.succeed(&format!("{hook} teardown"))?;
            }
            same(
                &before,
                &desk.state()?,
                &format!("call {call}, then {recovery}"),
            )?;
            assert!(desk.store_is_empty(), "call {call}, then {recovery}");
        }
    }
    Ok(())
}

pub(super) fn disturbed_teardowns(backend: Kind) -> Result<(), Failed> {
    let desk = Desk::new()?;
    let voip = example("voip.gate");
    let hook = desk.hook(&voip, backend)?;
    let before = desk.state()?;
    for fault in [Fault::Fails, Fault::Killed] {
        for (tried, call) in crate::numbers().enumerate() {
            desk.succeed(&format!("{hook} setup"))?;
            let tools = desk.faulty(call, fault)?;
            let output = desk.sh(&format!("{tools} {hook} teardown"))?;
            if desk.calls()?.len() < call {
                eprintln!("{backend}: {tried} steps of teardown disturbed, {fault:?}");
                break;
            }
            // The kernel's side counts; a store that does not answer is no reason to fail.
            if output.status.success() {
                same(&before, &desk.state()?, &format!("call {call}, {fault:?}"))?;
            }
            let passed = desk.passed(&voip)?;
            let held = !passed.contains(&true);
            assert!(
                held || !passed.contains(&false),
                "half a redirect at call {call}"
            );
            desk.succeed(&format!("{hook} teardown"))?;
            same(&before, &desk.state()?, &format!("call {call}, {fault:?}"))?;
            assert!(desk.store_is_empty(), "call {call}, {fault:?}");
        }
    }
    Ok(())
}
