//! Every behaviour of the controller that drives the kernel's plug is one of the gate as it should
//! be: searched to the end with stateright, in a world of flaps, foreign hands, failures, deaths and
//! full queues. The relation between the two stands in `relation.rs`, what the controller may rely
//! on in `world.rs`, and ways to drive a plug that are caught in `hand.rs`. What was searched and
//! found stands in docs/model.md; `UPDATE_MODEL=1` writes it there.

#[cfg(test)]
mod act;
#[cfg(test)]
mod document;
#[cfg(test)]
mod hand;
#[cfg(test)]
#[path = "../protocol/marks.rs"]
mod marks;
#[cfg(test)]
mod relation;
#[cfg(test)]
mod search;
#[cfg(test)]
mod world;
