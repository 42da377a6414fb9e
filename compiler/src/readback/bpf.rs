//! Reads classic BPF programs back, as tc's `bpf bytecode` takes them and as it lists them.
//!
//! A program is run for all frames at once ([`meaning`]); what becomes of the frames that it matches is
//! said by the filter around it ([`super::u32`]). The rules come from the kernel's `net/core/filter.c`
//! (`bpf_check_classic` and `bpf_convert_filter`) and `net/sched/cls_bpf.c` (`cls_bpf_classify`: 0 is no
//! match, all ones or a class a match, and so is a load behind the end of the frame no match).

mod bits;
mod meaning;
mod program;
mod smt;

pub(super) use meaning::Unknown;
pub(super) use program::Program;

#[cfg(test)]
mod tests;
