//! The gates and the worlds that are searched.

use qdisc_model::epoch::{Gate, OnLate, OnOverflow, Settings};
use qdisc_model::plug::{BUFFER, Device, Plug, Qopt};
use qdisc_model::protocol::driver::{Libxl, Numbered};
use qdisc_model::protocol::{Decision, Fault, OpensOn, Setting};

/// Packets are one byte long: the limit is a number of packets.
pub(crate) const ROOMY: u32 = 100;

/// Everything that can go wrong.
const FAULTS: [Fault; 10] = [
    Fault::CrashPrimary,
    Fault::CrashBackup,
    Fault::LoseCheckpoint,
    Fault::LoseAcknowledgement,
    Fault::Flap,
    Fault::RepeatBegin,
    Fault::RepeatCommit,
    Fault::LoseCommit,
    Fault::Restart,
    Fault::Bark,
];

pub(crate) fn epoch(limit: u32, on_overflow: OnOverflow, on_late: OnLate) -> Numbered {
    Numbered(Gate::new(Settings {
        limit: u64::from(limit),
        in_flight: 3,
        on_overflow,
        on_late,
    }))
}

pub(crate) fn roomy_epoch() -> Numbered {
    epoch(ROOMY, OnOverflow::DropNewest, OnLate::Hold)
}

pub(crate) fn plug(limit: u32) -> Libxl {
    let options = Qopt {
        action: BUFFER,
        limit,
    };
    let device = Device {
        tx_queue_len: 32,
        psched_mtu: 1514,
    };
    Libxl(Plug::init(Some(options), device))
}

/// Three epochs in flight, the detector may be wrong, and nothing else goes amiss.
pub(crate) fn calm() -> Setting {
    Setting {
        opens_on: OpensOn::Acknowledged,
        takeover: Decision::WhenSuspected,
        give_up: Decision::Never,
        gated_backup: false,
        in_flight: 3,
        packets: (4, 1),
        checkpoints: 4,
        faults: Vec::new(),
        most_faults: 0,
    }
}

/// One fault of any kind.
pub(crate) fn rough() -> Setting {
    Setting {
        packets: (3, 1),
        faults: FAULTS.to_vec(),
        most_faults: 1,
        ..calm()
    }
}

/// Two faults of any kinds, in behaviours that are a little shorter.
pub(crate) fn rougher() -> Setting {
    Setting {
        packets: (3, 0),
        checkpoints: 3,
        most_faults: 2,
        ..rough()
    }
}

/// One epoch in flight, as libxl has it, and at most one fault of this kind.
pub(crate) fn serial(fault: Option<Fault>) -> Setting {
    Setting {
        in_flight: 1,
        packets: (4, 0),
        faults: fault.into_iter().collect(),
        most_faults: u8::from(fault.is_some()),
        ..calm()
    }
}
