// SPDX-License-Identifier: GPL-2.0

//! What a module says of itself. Stands for `rust/kernel/module.rs` and `rust/macros/module.rs`.
//!
//! C headers: [`include/linux/module.h`](srctree/include/linux/module.h)
//!
//! Upstream `module!` is a procedural macro that writes `init_module`, `cleanup_module` and the
//! `.modinfo` section. Where the kernel has no Rust, `glue.c` has the two functions and the
//! section, so here the macro only checks that all is said, and makes it data, which a test compares
//! with what `glue.c` says.

use crate::error::Result;

/// `THIS_MODULE`. Upstream: a pointer to `struct module`, which nothing here asks for.
#[derive(Debug)]
pub struct ThisModule(());

/// What is there from the loading of a module to its unloading, when it is dropped.
pub trait Module: Sized + Sync + Send {
    /// `module_init`.
    ///
    /// # Errors
    ///
    /// Any; the module is not loaded then.
    fn init(module: &'static ThisModule) -> Result<Self>;
}

/// Declares the module: `module! { type: T, name: "n", authors: ["a"], description: "d", license: "GPL" }`.
#[macro_export]
macro_rules! module {
    (
        type: $type:ty,
        name: $name:literal,
        authors: [$($author:literal),+ $(,)?],
        description: $description:literal,
        license: $license:literal $(,)?
    ) => {
        /// What the module says of itself: name, description, licence.
        pub const MODULE_INFO: [&str; 3] = [$name, $description, $license];

        const _: fn() = || {
            // Upstream calls it.
            let _ = <$type as $crate::Module>::init;
        };
    };
}
