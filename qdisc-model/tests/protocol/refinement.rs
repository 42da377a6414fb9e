//! Every behaviour of the controller that drives the kernel's plug is one of the gate as it should
//! be: searched to the end, in a world of flaps, foreign hands, failures, deaths and full queues. The
//! relation between the two stands in `relation.rs`, what the controller may rely on in `world.rs`,
//! and ways to drive a plug that are caught in `hand.rs`.

mod act;
mod document;
mod hand;
mod relation;
mod search;
mod world;
