// SPDX-License-Identifier: GPL-2.0

//! Errors as the kernel counts them. Stands for `rust/kernel/error.rs`.
//!
//! C headers: [`include/uapi/asm-generic/errno-base.h`](srctree/include/uapi/asm-generic/errno-base.h),
//! [`include/uapi/asm-generic/errno.h`](srctree/include/uapi/asm-generic/errno.h)

use core::ffi::c_int;

use crate::alloc::AllocError;

/// A negative errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(c_int);

/// What a function of the kernel returns.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// The errors by name.
pub mod code {
    use super::Error;

    /// No such file or directory; here: no such epoch.
    pub const ENOENT: Error = Error(-2);
    /// Try again.
    pub const EAGAIN: Error = Error(-11);
    /// Out of memory.
    pub const ENOMEM: Error = Error(-12);
    /// Device or resource busy.
    pub const EBUSY: Error = Error(-16);
    /// Invalid argument.
    pub const EINVAL: Error = Error(-22);
    /// No space left.
    pub const ENOSPC: Error = Error(-28);
    /// Math result not representable; here: a number out of its range.
    pub const ERANGE: Error = Error(-34);
    /// Message too long.
    pub const EMSGSIZE: Error = Error(-90);
    /// No buffer space available.
    pub const ENOBUFS: Error = Error(-105);
    /// Operation already in progress; here: already settled.
    pub const EALREADY: Error = Error(-114);
    /// Operation canceled.
    pub const ECANCELED: Error = Error(-125);
}

impl Error {
    /// The number, which is negative.
    #[must_use]
    pub fn to_errno(self) -> c_int {
        self.0
    }
}

impl From<AllocError> for Error {
    fn from(AllocError: AllocError) -> Self {
        code::ENOMEM
    }
}

/// What a C function said: a negative errno, or anything else.
///
/// # Errors
///
/// The errno.
pub fn to_result(err: c_int) -> Result {
    if err < 0 { Err(Error(err)) } else { Ok(()) }
}

/// What a C caller gets: a number, or a negative errno.
#[inline]
pub fn from_result<T, F>(f: F) -> T
where
    T: From<i16>,
    F: FnOnce() -> Result<T>,
{
    match f() {
        Ok(value) => value,
        // None is below -4095 (MAX_ERRNO).
        Err(error) => T::from(i16::try_from(error.to_errno()).unwrap_or(i16::MIN)),
    }
}
