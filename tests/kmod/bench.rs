//! A qdisc of the module on the stub, with a device that is never busy.

use compiler::gate::netlink::attributes;
use kernel_module::bindings::{Qdisc as Counts, sk_buff, testing};
use kernel_module::netlink::Writer;
use kernel_module::qdisc::{Circumstances, Qdisc as _};
use kernel_module::sch_epochgate::EpochGate;

/// `BUFFER`, `RELEASE_ONE`, `RELEASE_INDEFINITE`, `LIMIT` of `struct tc_plug_qopt`.
pub(crate) const BUFFER: u32 = 0;
pub(crate) const RELEASE_ONE: u32 = 1;
pub(crate) const RELEASE_INDEFINITE: u32 = 2;
pub(crate) const LIMIT: u32 = 3;

/// One qdisc and what the core has of it.
pub(crate) struct Bench {
    root: testing::Root,
    gate: EpochGate,
    pub(crate) now: u64,
}

impl Bench {
    /// A stand-in for plug on an IFB as the kernel makes it.
    pub(crate) fn plug(options: Option<(u32, u32)>) -> Self {
        let options = options.map(|(action, limit)| bytes(action, limit));
        Self::new(1, options.as_deref())
    }

    pub(crate) fn new(is_plug: u32, options: Option<&[u8]>) -> Self {
        let circumstances = Circumstances {
            device_limit: 32 * 1514,
            is_plug,
        };
        Self {
            root: testing::Root::default(),
            gate: EpochGate::init(circumstances, options, 1).expect("good options"),
            now: 1,
        }
    }

    /// The errno, 0 for success.
    pub(crate) fn change(&mut self, options: &[u8]) -> i32 {
        let Self { root, gate, now } = self;
        let done = root.locked(|sch| gate.change(sch, options, *now));
        done.map_or_else(kernel::error::Error::to_errno, |()| 0)
    }

    pub(crate) fn order(&mut self, action: u32, limit: u32) {
        assert_eq!(self.change(&bytes(action, limit)), 0);
    }

    /// Whether it found room.
    pub(crate) fn send(&mut self, skb: sk_buff) -> bool {
        let Self { root, gate, now } = self;
        let skb = testing::packet(skb);
        root.locked(|sch| gate.enqueue(sch, skb, 0, *now)).is_ok()
    }

    pub(crate) fn peek(&self) -> Option<u64> {
        self.gate.peek().map(|skb| testing::look(skb).id)
    }

    pub(crate) fn dequeue(&mut self) -> Option<u64> {
        let Self { root, gate, now } = self;
        let skb = root.locked(|sch| gate.dequeue(sch, *now))?;
        Some(testing::look(&skb).id)
    }

    /// Everything that may leave.
    pub(crate) fn run(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.dequeue()).collect()
    }

    pub(crate) fn reset(&mut self) {
        self.gate.reset();
        self.root.reset();
    }

    pub(crate) fn counts(&self) -> Counts {
        self.root.counts()
    }

    /// The value of `TCA_OPTIONS` in a dump.
    pub(crate) fn dumped(&self) -> Vec<u8> {
        let mut room = [0; kernel_module::netlink::LONGEST];
        let mut writer = Writer::new(&mut room);
        let done = self.gate.dump(&mut writer, self.now);
        done.expect("room for a dump");
        let written = writer.len();
        room[..written].to_vec()
    }

    /// One number of the dump.
    pub(crate) fn tells(&self, kind: u16) -> u64 {
        let value = attributes(&self.dumped())
            .find_map(|(own, value)| (own == kind).then(|| value.to_vec()))
            .unwrap_or_else(|| panic!("no attribute {kind}"));
        match value.len() {
            4 => u32::from_ne_bytes(*value.first_chunk().expect("four")).into(),
            _ => u64::from_ne_bytes(*value.first_chunk().expect("eight")),
        }
    }
}

/// `struct tc_plug_qopt`.
fn bytes(action: u32, limit: u32) -> Vec<u8> {
    [action.to_ne_bytes(), limit.to_ne_bytes()].concat()
}

/// A packet that is one frame on the wire.
pub(crate) fn packet(id: u64, len: u32) -> sk_buff {
    sk_buff {
        id,
        len,
        pkt_len: len,
        ..sk_buff::default()
    }
}
