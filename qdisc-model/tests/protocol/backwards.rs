//! A gate that lets the newest packets go first. Nobody builds such a gate: it shows that the search
//! would see it.

use qdisc_model::invariant::Account;
use qdisc_model::packet::Packet;
use qdisc_model::protocol::driver::{Driver, Fate, Numbered};

/// The gate as it should be, but for the order in which packets leave it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Backwards(pub(crate) Numbered);

impl Driver for Backwards {
    fn arrive(&mut self, packet: Packet) -> Fate {
        self.0.arrive(packet)
    }

    fn begin(&mut self, epoch: u64) -> bool {
        self.0.begin(epoch)
    }

    fn commit(&mut self, epoch: u64) {
        self.0.commit(epoch);
    }

    fn open_up(&mut self) {
        self.0.open_up();
    }

    fn bark(&mut self) -> Vec<Packet> {
        self.0.bark()
    }

    fn flap(&mut self) -> Vec<Packet> {
        self.0.flap()
    }

    fn restart(&mut self) {
        self.0.restart();
    }

    fn run(&mut self) -> Vec<Packet> {
        let mut left = self.0.run();
        left.reverse();
        left
    }

    fn account(&self) -> Account {
        self.0.account()
    }

    fn is_open(&self) -> bool {
        self.0.is_open()
    }
}
