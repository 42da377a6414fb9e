//! Shared support for the tests: generators of policies and frames, captured frames, proofs for random
//! policies, an interpreter of BPF, a solver, a laboratory of network namespaces on the running kernel,
//! the lab of guests with Debian's kernels, scenarios for all of them, what rules cost a packet, a peer's
//! rules beside ours, the model of plug in lockstep with the kernel's, the kernel module built and driven, what tshark says of RTP
//! streams, and how a test skips.

use std::io::Write;

pub mod bpf;
pub mod captures;
pub mod cost;
pub mod differential;
pub mod examples;
pub mod fuzz;
pub mod generate;
pub mod kmod;
pub mod lab;
pub mod lockstep;
pub mod measure;
pub mod mutate;
pub mod netlab;
pub mod peer;
pub mod proof;
pub mod scenario;
pub mod smt;
pub mod tshark;
pub mod xen;

/// Says aloud that the test `name` did not do its work, and why.
///
/// The line goes straight to standard error, past the capturing of the test harness, so that it is
/// seen also when the test "passes". `cargo xtask test` takes such a test out of the passed ones
/// and counts it as skipped.
pub fn skip(name: &str, why: &str) {
    // One write, so that lines of tests that run side by side do not mix. If standard error is
    // closed, there is nobody to tell.
    let _ = std::io::stderr().write_all(format!("skipped: {name}: {why}\n").as_bytes());
}
