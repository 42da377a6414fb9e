// SPDX-License-Identifier: GPL-2.0

//! What a module imports with one line. Stands for `rust/kernel/prelude.rs`.

pub use crate::alloc::flags::{GFP_ATOMIC, GFP_KERNEL};
pub use crate::alloc::{AllocError, KVec};
pub use crate::error::code;
pub use crate::error::{Error, Result};
pub use crate::{module, pr_info, pr_warn};
