//! The kernel module without a kernel: the same sources on the stub of the `kernel` crate, and the
//! object that would go into a kernel, looked at from outside.

mod bench;
mod cures;
mod object;
mod plug;
mod threads;
mod upstream;
