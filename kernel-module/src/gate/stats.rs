// SPDX-License-Identifier: GPL-2.0

//! What a gate counts.
//!
//! C headers: [`include/net/gen_stats.h`](srctree/include/net/gen_stats.h)

/// Packets and bytes, as `struct gnet_stats_basic` counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bstats {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Bstats {
    /// Counts a packet. The counters wrap, as the kernel's do.
    pub(super) const fn update(&mut self, len: u32) {
        self.packets = self.packets.wrapping_add(1);
        // CAST: `u32` to `u64` loses nothing.
        self.bytes = self.bytes.wrapping_add(len as u64);
    }
}

/// What ever happened to packets here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Passed by, as told with [`Gate::passed`].
    pub passed: Bstats,
    /// Dequeued after a commit.
    pub sent: Bstats,
    /// Dequeued without one, because the gate was opened.
    pub unprotected: Bstats,
    /// Dropped for the limit.
    pub overflow: Bstats,
    /// Dropped with their epoch.
    pub aborted: Bstats,
    /// Dropped by a reset.
    pub purged: Bstats,
    /// Commands refused.
    pub refused: u64,
    /// Times that the watchdog found something late.
    pub late: u64,
}
