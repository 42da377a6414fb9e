//! From a checked policy to rules for the kernel, with proof; and the parts of the command line.

pub mod audit;
pub mod backend;
pub mod capture;
pub mod cli;
mod command;
pub mod compile;
pub mod device;
pub mod edges;
mod exit;
pub mod explain;
pub mod flow;
pub mod frame_text;
pub mod gate;
pub mod hook;
pub mod ir;
pub mod lower;
mod probe;
pub mod readback;
mod render;
pub mod replay;
pub mod report;
pub mod rtp;
pub mod script;
pub mod simulate;
pub mod trial;
pub mod tune;
pub mod verify;
