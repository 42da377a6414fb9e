// SPDX-License-Identifier: GPL-2.0

//! The kind of qdisc, registered for as long as the module is loaded.
//!
//! C headers: [`include/net/pkt_sched.h`](srctree/include/net/pkt_sched.h) (`register_qdisc`)
//!
//! This is the type of `module!`. Where the kernel knows no Rust, nobody makes one: `glue.c` registers by
//! itself.

#![expect(unsafe_code, reason = "C registers what C defines")]

use kernel::error::to_result;
use kernel::prelude::{Result, ThisModule};

use crate::bindings;

/// The registration, undone when dropped.
#[derive(Debug)]
pub struct Registration(());

impl kernel::Module for Registration {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // SAFETY: a module is initialised once, and what was registered is there until it is unloaded.
        to_result(unsafe { bindings::register() }).map(|()| Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: `init` has registered it, and a module is unloaded only when unused.
        unsafe { bindings::unregister() };
    }
}
