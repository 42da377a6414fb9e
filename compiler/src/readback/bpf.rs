//! Reads classic BPF filters back: tc batch files with `bpf bytecode`.
//!
//! The program is run for all frames at once ([`meaning`]). The rules come from the kernel's
//! `net/core/filter.c` (`bpf_check_classic` and `bpf_convert_filter`), `net/sched/cls_bpf.c`
//! (`cls_bpf_classify`: 0 is no match, all ones or a class a match, and so is a load behind the end
//! of the frame no match), `net/sched/cls_api.c` (preferences) and iproute2's `tc/f_bpf.c` and
//! `lib/bpf_legacy.c` (the text). Direct-action programs are refused, as is what is not understood.

mod batch;
mod bits;
mod meaning;

use policy_lang::Space;

use super::{Outcome, ReadbackError};

/// What a tc batch file, loaded onto a device without filters, does to the frames `device` receives.
///
/// # Errors
///
/// A line that is not understood, or that the kernel would refuse; or sets that outgrow `space`.
pub fn read_batch(space: &Space, text: &str, device: &str) -> Result<Outcome, ReadbackError> {
    meaning::outcome(space, &batch::filters(text, device)?)
}

#[cfg(test)]
mod tests;
