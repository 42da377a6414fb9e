//! Reads tc's filters back: u32, bpf, flower and matchall, as tc batch files and as `tc filter show`
//! prints them.
//!
//! Both texts become one set of tables ([`ast`]), and one interpreter ([`meaning`]) says what these
//! tables do to every possible frame; what a program does says [`super::bpf`]. The rules come from the kernel's `net/sched/cls_u32.c`
//! (`u32_classify` for the walk, `u32_change` for tables and node ids), `net/sched/cls_api.c`
//! (`tcf_classify`) and iproute2's `tc/f_u32.c`, `tc/tc_filter.c` and `lib/ll_proto.c` (the text).
//!
//! Understood are u32 and matchall filters, classic BPF programs and chains of flower filters on the
//! ingress of one device, with explicit preferences, raw `u32`, `u16` and `u8` matches, tables with
//! hash keys, and at most one `pass`, `drop`, `continue`, redirecting or chain-changing action. The
//! rest is refused with its line: variable offsets, marks, `police`, other devices' blocks, replaced
//! or deleted filters.

mod ast;
mod batch;
mod flower;
mod listing;
mod load;
mod meaning;
mod smt;
mod trace;
mod view;
mod words;

use policy_lang::Space;

use super::{Outcome, ReadbackError, Step};

/// What a tc batch file, loaded onto a device without filters, does to the frames `device` receives.
///
/// Filters of other devices are left aside.
///
/// # Errors
///
/// A line that is not understood, or that the kernel would refuse; or sets that outgrow `space`.
pub fn read_batch(space: &Space, text: &str, device: &str) -> Result<Outcome, ReadbackError> {
    meaning::outcome(space, &batch::filters(text, device)?)
}

/// What the filters that `tc [-s] [-d] filter show dev DEVICE ingress` prints do to every frame.
///
/// # Errors
///
/// A line that is not understood; or sets that outgrow `space`.
pub fn read_listing(space: &Space, text: &str) -> Result<Outcome, ReadbackError> {
    meaning::outcome(space, &listing::filters(text)?)
}

/// The filters of a batch file that lead to what becomes of `frame`; the last of them decides. Empty if
/// none does.
///
/// # Errors
///
/// As [`read_batch`].
pub fn trace_batch(
    space: &Space,
    text: &str,
    device: &str,
    frame: &[u8],
) -> Result<Vec<Step>, ReadbackError> {
    trace::steps(space, &batch::filters(text, device)?, frame)
}

/// As [`trace_batch`], of a listing.
///
/// # Errors
///
/// As [`read_listing`].
pub fn trace_listing(space: &Space, text: &str, frame: &[u8]) -> Result<Vec<Step>, ReadbackError> {
    trace::steps(space, &listing::filters(text)?, frame)
}

/// What a batch file does, as functions of SMT-LIB; `ifb` is where held frames go.
///
/// # Errors
///
/// As [`read_batch`].
pub fn smt_batch(text: &str, device: &str, ifb: &str) -> Result<String, ReadbackError> {
    smt::rules(&batch::filters(text, device)?, ifb)
}

/// As [`smt_batch`], of a listing.
///
/// # Errors
///
/// As [`read_listing`].
pub fn smt_listing(text: &str, ifb: &str) -> Result<String, ReadbackError> {
    smt::rules(&listing::filters(text)?, ifb)
}

#[cfg(test)]
mod tests;
