//! What the buffer between a virtual machine and the world does, as pure step functions.
//!
//! [`plug`] is Linux's `sch_plug` exactly as it is, faults included; [`command`] is the way `tc`
//! talks to it; [`controller`] drives it, or the kernel module, so that it keeps the law; [`epoch`] is
//! the gate as it should be; [`invariant`] states the law they are held to, over a trace of what happened.
//! [`protocol`] puts a gate between a primary, its backup and the world, where everything may be
//! late, lost or dead. [`limit`] says how small a byte limit may be. [`metrics`] is what a receiver
//! makes of the packets that come through; [`schedule`] is when checkpoints come, and
//! [`simulate`] puts calls, gate and receivers together.
//!
//! Nothing here reads a clock, a file or a device: the same steps give the same state, so a state
//! can be hashed, compared, explored and shrunk.

pub mod command;
pub mod controller;
pub mod epoch;
pub mod invariant;
pub mod limit;
pub mod metrics;
pub mod packet;
pub mod plug;
pub mod protocol;
pub mod schedule;
pub mod simulate;
