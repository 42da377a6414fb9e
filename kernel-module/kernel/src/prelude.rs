// SPDX-License-Identifier: GPL-2.0

//! What a module imports with one line. Stands for `rust/kernel/prelude.rs`.

pub use crate::alloc::KVec;
pub use crate::alloc::flags::{GFP_ATOMIC, GFP_KERNEL};
pub use crate::error::{Error, Result};
pub use crate::{ThisModule, module, pr_info, pr_warn};
