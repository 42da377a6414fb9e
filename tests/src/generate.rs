//! Random policies and frames for the property tests, biased to where mistakes live.

pub mod frame;
pub mod policy;
pub mod realistic;
