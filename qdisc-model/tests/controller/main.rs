//! The controller drives the model of `sch_plug` through random interleavings of packets, flaps,
//! lost, late and repeated commits, clients that die and daemons that are killed between any two
//! commands; the law of `qdisc_model::invariant` judges what left. Then named cases.
//!
//! Each guard was taken out once and seen to fail: see the list at the end of `random.rs`.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod random;
#[cfg(test)]
mod world;
