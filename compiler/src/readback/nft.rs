//! What nftables rules at a device's ingress hook do to every possible frame.
//!
//! Read are the text that `nft -f` loads, what `nft list ruleset` prints (with or without handles,
//! counters and `-n`), and what `nft -j list ruleset` prints. Every text is read for what it would
//! mean if it were loaded as it stands. A listing does not always: nft 1.0.6 hides protocol tests
//! that it takes for implied (`ether type ip ip ttl 1` lists as `ip ttl 1`, which means more).
//! Rules in raw payload (`@ll`, `@nh`) next to `meta protocol` list faithfully.
//!
//! From the kernel come the evaluation of chains (nf_tables_core.c), what payload expressions load
//! (nft_payload.c), and the shapes in which frames arrive ([`frame`]); from nft what it adds to
//! typed expressions ([`implied`]). Expressions addressed from the transport header are refused.

mod ast;
mod cursor;
mod fields;
mod frame;
mod implied;
mod joined;
mod json;
mod lex;
mod lookup;
mod meaning;
mod rule_text;
mod smt;
mod text;
mod trace;
mod values;

use policy_lang::Space;

use super::{Outcome, ReadbackError, Step, beginning};
use ast::Ruleset;
use cursor::{Cursor, Fault};
use lookup::Stop;

/// What the rules in nft's own notation do to frames that come in from `device`.
///
/// # Errors
///
/// [`ReadbackError`]: the sets do not fit in `space`, or some rule is not understood.
pub fn read_text(space: &Space, text: &str, device: &str) -> Result<Outcome, ReadbackError> {
    let line_of = |line: usize| text.lines().nth(line.saturating_sub(1)).map(str::to_owned);
    let read = || {
        let rules = of_text(text)?;
        meaning::outcome(space, &rules, device)
    };
    read().map_err(|stop| not_understood(stop, line_of))
}

/// What the rules in a JSON listing do to frames that come in from `device`.
///
/// nft 1.0.6 leaves the device out of its listing: a chain without one is taken to be `device`'s.
///
/// # Errors
///
/// As [`read_text`]; the line is the place of the object in the listing, from 1 on.
pub fn read_json(space: &Space, text: &str, device: &str) -> Result<Outcome, ReadbackError> {
    let objects = json::objects(text).map_err(|fault| not_understood(fault.into(), |_| None))?;
    let read = || {
        let rules = json::ruleset(&objects)?;
        meaning::outcome(space, &rules, device)
    };
    let object = |line: usize| objects.get(line.checked_sub(1)?).map(ToString::to_string);
    read().map_err(|stop: Stop| not_understood(stop, object))
}

/// The rules that lead to what becomes of `frame`, in a text as [`read_text`] takes it; the last of them
/// decides. Empty if no rule does.
///
/// # Errors
///
/// As [`read_text`].
pub fn trace_text(
    space: &Space,
    text: &str,
    device: &str,
    frame: &[u8],
) -> Result<Vec<Step>, ReadbackError> {
    let line_of = |line: usize| text.lines().nth(line.saturating_sub(1)).map(str::to_owned);
    let read = || {
        let rules = of_text(text)?;
        trace::lines(space, &rules, device, frame)
    };
    let lines = read().map_err(|stop: Stop| not_understood(stop, line_of))?;
    Ok(steps(&lines, line_of))
}

/// As [`trace_text`], of a JSON listing.
///
/// # Errors
///
/// As [`read_json`].
pub fn trace_json(
    space: &Space,
    text: &str,
    device: &str,
    frame: &[u8],
) -> Result<Vec<Step>, ReadbackError> {
    let objects = json::objects(text).map_err(|fault| not_understood(fault.into(), |_| None))?;
    let object = |line: usize| objects.get(line.checked_sub(1)?).map(ToString::to_string);
    let read = || {
        let rules = json::ruleset(&objects)?;
        trace::lines(space, &rules, device, frame)
    };
    let lines = read().map_err(|stop: Stop| not_understood(stop, object))?;
    Ok(steps(&lines, object))
}

/// What the rules do, as functions of SMT-LIB; `ifb` is where held frames go.
///
/// # Errors
///
/// As [`read_text`]; but some rules only that refuses.
pub fn smt_text(text: &str, device: &str, ifb: &str) -> Result<String, ReadbackError> {
    let line_of = |line: usize| text.lines().nth(line.saturating_sub(1)).map(str::to_owned);
    let read = || {
        let rules = of_text(text)?;
        smt::rules(&rules, device, ifb)
    };
    read().map_err(|fault| not_understood(fault.into(), line_of))
}

/// As [`smt_text`], of a JSON listing.
///
/// # Errors
///
/// As [`read_json`]; but some rules only that refuses.
pub fn smt_json(text: &str, device: &str, ifb: &str) -> Result<String, ReadbackError> {
    let objects = json::objects(text).map_err(|fault| not_understood(fault.into(), |_| None))?;
    let object = |line: usize| objects.get(line.checked_sub(1)?).map(ToString::to_string);
    let read = || smt::rules(&json::ruleset(&objects)?, device, ifb);
    read().map_err(|fault: Fault| not_understood(fault.into(), object))
}

fn steps(lines: &[usize], line_of: impl Fn(usize) -> Option<String>) -> Vec<Step> {
    let step = |line: &usize| Step {
        line: Some(*line),
        text: beginning(&line_of(*line).unwrap_or_default()),
    };
    lines.iter().map(step).collect()
}

fn of_text(text: &str) -> Result<Ruleset, Fault> {
    let tokens =
        lex::tokens(text).map_err(|line| Fault::new(line, "this is not nft's notation"))?;
    text::ruleset(&mut Cursor::new(&tokens))
}

fn not_understood(stop: Stop, line_of: impl Fn(usize) -> Option<String>) -> ReadbackError {
    match stop {
        Stop::Full(full) => ReadbackError::Full(full),
        Stop::Fault(Fault { line, reason }) => {
            let text = beginning(&line_of(line).unwrap_or_default());
            ReadbackError::NotUnderstood { line, text, reason }
        }
    }
}

#[cfg(test)]
mod tests;
