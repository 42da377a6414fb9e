//! Policy to artefacts.

pub mod readback;
