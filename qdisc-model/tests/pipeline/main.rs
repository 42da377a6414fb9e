//! The pipeline drives the gate as it should be (`qdisc_model::epoch`) through random interleavings of
//! packets, flaps, barks of the watchdog, orders of others, lost, late and repeated commits, clients
//! that die and daemons that are killed between any two commands; the law of `qdisc_model::invariant`
//! judges what left. Then named cases.
//!
//! Each guard was taken out once and seen to fail: see the head of `random.rs`.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod random;
#[cfg(test)]
mod world;
