//! From a checked policy to rules for the kernel, with proof; and the parts of the command line.

pub mod backend;
pub mod capture;
pub mod compile;
pub mod device;
pub mod flow;
pub mod frame_text;
pub mod edges;
pub mod explain;
pub mod hook;
pub mod ir;
pub mod lower;
pub mod readback;
pub mod script;
pub mod verify;
