//! The gate at run time: `sch_plug` driven over netlink, and the daemon that keeps it in order.
//!
//! The decisions are those of `qdisc_model::controller`; here is what it can't do itself. All of it
//! is synchronous: one request to the kernel takes microseconds, and an answer to a client must
//! not come before it anyway.

pub mod driver;
pub mod link;
pub mod lock;
pub mod metrics;
pub mod module;
pub mod netlink;
mod notify;
pub mod plug;
pub mod protocol;
pub mod serve;
