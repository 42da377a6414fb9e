//! A receiver's jitter buffer: which packets come too late to be played, and how long the others
//! wait.
//!
//! A packet's transit is its arrival less its media time. Playout stands at the least transit seen
//! so far plus the buffer's depth; a packet with more transit is late, which to the ear is a loss.
//! Anchoring at the least transit makes the result independent of the phase in which a call began.
//! When all that came for a second was late, playout begins anew at the least transit of that time:
//! after a failover a call is late for good, and receivers follow. Packets that were held do not
//! make it begin anew, since the last one of each burst is in time.

/// How deep the buffer is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Buffer {
    /// Always this many milliseconds.
    Fixed(f64),
    /// Between two depths in milliseconds. It grows at once to what a late packet would have
    /// needed and 20 ms more, and shrinks by a 512th of what is unused with each packet, about a third per ten
    /// seconds of 20 ms packets.
    Adaptive {
        /// Where it begins, and never less.
        least: f64,
        /// Never more.
        most: f64,
    },
}

/// What an adaptive buffer adds to the depth that a late packet would have needed, in ms.
const HEADROOM_MS: f64 = 20.0;

/// Nothing but late packets for this long, in ms, is a new beginning.
const PATIENCE_MS: f64 = 1000.0;

/// Share of the unused depth that an adaptive buffer gives up with each packet.
const SHRINK: f64 = 1.0 / 512.0;

/// Playout of one stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Playout {
    buffer: Buffer,
    depth_ms: f64,
    least_transit: Option<f64>,
    /// When the first packet came of those that have all been late, and their least transit.
    late_since: Option<(f64, f64)>,
    played: u64,
    late: u64,
    depths: f64,
    run: u64,
    runs: u64,
}

impl Playout {
    /// An empty buffer.
    #[must_use]
    pub fn new(buffer: Buffer) -> Self {
        Self {
            buffer,
            depth_ms: match buffer {
                Buffer::Fixed(depth) => depth,
                Buffer::Adaptive { least, .. } => least,
            },
            least_transit: None,
            late_since: None,
            played: 0,
            late: 0,
            depths: 0.0,
            run: 0,
            runs: 0,
        }
    }

    /// Takes a packet by its arrival and media time, both in milliseconds; says whether it is in
    /// time. Repeated packets should be left out by the caller.
    pub fn arrive(&mut self, at_ms: f64, media_ms: f64) -> bool {
        let transit = at_ms - media_ms;
        let mut least = self
            .least_transit
            .map_or(transit, |least| least.min(transit));
        if transit - least > self.depth_ms {
            let (since, least_late) = self.late_since.unwrap_or((at_ms, transit));
            let least_late = least_late.min(transit);
            self.late_since = Some((since, least_late));
            if at_ms - since >= PATIENCE_MS {
                least = least_late;
            }
        }
        self.least_transit = Some(least);
        let needed = transit - least;
        let in_time = needed <= self.depth_ms;
        if in_time {
            self.played += 1;
            self.depths += self.depth_ms;
            self.run = 0;
            self.late_since = None;
        } else {
            self.missed();
            self.late += 1;
        }
        if let Buffer::Adaptive { least, most } = self.buffer {
            self.depth_ms = if in_time {
                (self.depth_ms - (self.depth_ms - needed) * SHRINK).max(least)
            } else {
                (needed + HEADROOM_MS).clamp(least, most)
            };
        }
        in_time
    }

    /// A packet that never came: counts for the length of runs of missing packets only.
    pub fn missed(&mut self) {
        self.runs += u64::from(self.run == 0);
        self.run += 1;
    }

    /// Packets that came in time.
    #[must_use]
    pub fn played(&self) -> u64 {
        self.played
    }

    /// Packets that came too late.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Runs of packets that were missing or late.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Depth at which packets were played, on average, in milliseconds.
    #[must_use]
    pub fn mean_depth_ms(&self) -> f64 {
        if self.played == 0 {
            self.depth_ms
        } else {
            self.depths / self.played as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Buffer, Playout};

    fn play(buffer: Buffer, late_by: impl IntoIterator<Item = f64>) -> Playout {
        let mut playout = Playout::new(buffer);
        let mut media = 0.0;
        for late in late_by {
            playout.arrive(media + late, media);
            media += 20.0;
        }
        playout
    }

    #[test]
    fn a_fixed_buffer_covers_its_depth_and_no_more() {
        let playout = play(Buffer::Fixed(60.0), [0.0, 60.0, 61.0, 80.0, 10.0, 70.0]);
        assert_eq!(
            (playout.played(), playout.late(), playout.runs()),
            (3, 3, 2)
        );
    }

    #[test]
    fn the_first_packet_being_held_gives_no_credit() {
        let playout = play(Buffer::Fixed(60.0), [300.0, 0.0, 100.0]);
        assert_eq!(playout.late(), 1);
    }

    #[test]
    fn what_is_late_for_good_is_a_new_beginning() {
        let late = |by: f64| (0..500).map(move |n| if n < 50 { 0.0 } else { by });
        for by in [100.0, 1000.0, 9000.0] {
            assert_eq!(play(Buffer::Fixed(60.0), late(by)).late(), 50, "{by}");
        }
        assert_eq!(play(Buffer::Fixed(60.0), late(50.0)).late(), 0);
    }

    #[test]
    fn what_is_held_stays_late_however_long() {
        for epoch_ms in [300.0, 3000.0] {
            let mut playout = Playout::new(Buffer::Fixed(60.0));
            for n in 0..1500 {
                let media = f64::from(n) * 20.0;
                playout.arrive((media / epoch_ms).floor() * epoch_ms + epoch_ms, media);
            }
            // All but the last four of each epoch; in the first one each is the earliest so far.
            let epoch = epoch_ms / 20.0;
            let expected = (1500.0 / epoch - 1.0) * (epoch - 4.0);
            let late = playout.late() as f64;
            assert!((late - expected).abs() < 0.5, "{late} of {expected}");
        }
    }

    #[test]
    fn an_adaptive_buffer_learns_up_to_its_most() {
        let adaptive = Buffer::Adaptive {
            least: 40.0,
            most: 200.0,
        };
        let every_fifth = |late: f64| (0..500).map(move |n| if n % 5 == 4 { late } else { 0.0 });
        let playout = play(adaptive, every_fifth(150.0));
        assert!(playout.late() < 60, "{}", playout.late());
        assert!(playout.mean_depth_ms() > 140.0);
        assert_eq!(
            play(adaptive, every_fifth(250.0)).late(),
            100,
            "beyond its most"
        );
        assert_eq!(play(adaptive, every_fifth(30.0)).late(), 0);
    }
}
