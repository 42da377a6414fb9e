//! Packets that come at once, and the gaps before them: what a gate or a pause does to a stream.

/// One run of packets, each soon after the one before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// Arrival of its first packet, in milliseconds.
    pub begin_ms: f64,
    /// How many packets it has; 1 is a packet that came on its own.
    pub packets: u64,
}

/// Cuts arrivals, in order, wherever `apart_ms` or more pass between two packets. Half the packet
/// time is a good cut: it tells catching up from keeping time.
#[must_use]
pub fn bursts(arrivals_ms: impl IntoIterator<Item = f64>, apart_ms: f64) -> Vec<Burst> {
    let mut found: Vec<Burst> = Vec::new();
    let mut before = None;
    for at in arrivals_ms {
        let joins = before
            .replace(at)
            .is_some_and(|before| at - before < apart_ms);
        match found.last_mut().filter(|_| joins) {
            Some(burst) => burst.packets += 1,
            None => found.push(Burst {
                begin_ms: at,
                packets: 1,
            }),
        }
    }
    found
}

/// Arrivals that come `longer_than_ms` or more after the one before: the ends of interruptions.
#[must_use]
pub fn interruptions(
    arrivals_ms: impl IntoIterator<Item = f64>,
    longer_than_ms: f64,
) -> Vec<(f64, f64)> {
    let mut before = None;
    arrivals_ms
        .into_iter()
        .filter_map(|at| {
            let gap = at - before.replace(at)?;
            (gap >= longer_than_ms).then_some((at, gap))
        })
        .collect()
}

/// The time from one moment to the next on average, in the unit of the moments: none for fewer
/// than two. The moments must be in order.
#[must_use]
pub fn period(moments: &[f64]) -> Option<f64> {
    let (first, last) = (moments.first()?, moments.last()?);
    let steps = moments.len().checked_sub(1).filter(|steps| *steps > 0)?;
    Some((last - first) / steps as f64)
}

#[cfg(test)]
mod tests {
    use super::{bursts, interruptions, period};

    #[test]
    fn a_released_epoch_is_one_burst() {
        let arrivals = [0.0, 0.1, 0.2, 20.0, 40.0, 40.1];
        let sizes: Vec<u64> = bursts(arrivals, 10.0).iter().map(|b| b.packets).collect();
        assert_eq!(sizes, [3, 1, 2]);
        assert_eq!(bursts([], 10.0), []);
    }

    #[test]
    fn an_interruption_ends_where_packets_come_again() {
        let found = interruptions([0.0, 20.0, 70.0, 80.0, 100.0, 170.0], 30.0);
        assert_eq!(found, [(70.0, 50.0), (170.0, 70.0)]);
    }

    #[test]
    fn a_period_needs_two_moments() {
        assert_eq!(period(&[]), None);
        assert_eq!(period(&[5.0]), None);
        assert_eq!(period(&[5.0, 305.0, 605.0]), Some(300.0));
    }
}
