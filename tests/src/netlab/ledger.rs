//! Which frame was seen where: the sightings of one run, and the verdict that follows from them.

use std::collections::HashMap;
use std::fmt;

use super::{Observation, Observed};

/// Where a frame can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On the IFB: it was redirected, so held.
    Ifb,
    /// At the far side of the bridge.
    Out,
    /// By the witness behind the rules under test: it was let pass at once.
    Witness,
}

impl Place {
    const ALL: [Self; 3] = [Self::Ifb, Self::Out, Self::Witness];
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ifb => "on the IFB",
            Self::Out => "behind the bridge",
            Self::Witness => "by the witness",
        })
    }
}

/// The distinct frames of a run and all their sightings.
#[derive(Debug)]
pub(super) struct Ledger<'a> {
    /// Distinct frames in the order of their first mention.
    pub(super) frames: Vec<&'a [u8]>,
    /// For each frame of the caller, which of the distinct ones it is.
    of_caller: Vec<usize>,
    index: HashMap<&'a [u8], usize>,
    refused: Vec<bool>,
    /// For each place, (pass, frame) in the order seen.
    sightings: [Vec<(usize, usize)>; 3],
    seen: Vec<[bool; 3]>,
    strays: Vec<String>,
}

impl<'a> Ledger<'a> {
    /// Equal frames get equal treatment from stateless rules, so each is sent once:
    /// its bytes are then its name, and nothing in the frame has to be changed to tell it apart.
    pub(super) fn new(frames: &'a [Vec<u8>]) -> Self {
        let mut ledger = Self {
            frames: Vec::new(),
            of_caller: Vec::new(),
            index: HashMap::new(),
            refused: Vec::new(),
            sightings: [Vec::new(), Vec::new(), Vec::new()],
            seen: Vec::new(),
            strays: Vec::new(),
        };
        for frame in frames {
            let next = ledger.frames.len();
            let at = *ledger.index.entry(frame).or_insert(next);
            if at == next {
                ledger.frames.push(frame);
            }
            ledger.of_caller.push(at);
        }
        ledger.refused = vec![false; ledger.frames.len()];
        ledger.seen = vec![[false; 3]; ledger.frames.len()];
        ledger
    }

    /// The kernel would not send this frame.
    pub(super) fn refuse(&mut self, frame: usize) {
        self.refused[frame] = true;
    }

    /// Enters a captured frame.
    pub(super) fn enter(&mut self, pass: usize, place: Place, bytes: &[u8]) {
        match self.index.get(bytes) {
            Some(&frame) => {
                self.sightings[place as usize].push((pass, frame));
                self.seen[frame][place as usize] = true;
            }
            None => self.strays.push(format!(
                "a frame nobody sent was seen {place}: {bytes:02x?}"
            )),
        }
    }

    /// Whether nothing more is expected of this frame in this run.
    pub(super) fn is_delivered(&self, frame: usize) -> bool {
        self.refused[frame] || self.seen[frame][Place::Out as usize]
    }

    /// The frames that were sent and not seen anywhere.
    pub(super) fn missing(&self) -> Vec<usize> {
        let unseen = |&frame: &usize| !self.refused[frame] && self.seen[frame] == [false; 3];
        (0..self.frames.len()).filter(unseen).collect()
    }

    /// One observation for each of the caller's frames.
    pub(super) fn observations(&self) -> Vec<Observation> {
        self.of_caller
            .iter()
            .map(|&frame| self.observation(frame))
            .collect()
    }

    fn observation(&self, frame: usize) -> Observation {
        let [ifb, out, witness] = self.seen[frame];
        let observed = match (self.refused[frame], ifb, out || witness) {
            (true, ..) => Observed::Refused,
            (_, true, _) => Observed::Held,
            (_, false, true) => Observed::Bypassed,
            (_, false, false) => Observed::Dropped,
        };
        Observation {
            observed,
            delivered: out,
        }
    }

    /// What must never happen: frames changed or doubled on the way, or out of order
    /// within their verdict, or both held and let pass.
    pub(super) fn anomalies(&self) -> Vec<String> {
        let mut anomalies = self.strays.clone();
        for place in Place::ALL {
            let mut sorted = self.sightings[place as usize].clone();
            sorted.sort_unstable();
            for twice in sorted.windows(2).filter(|pair| pair[0] == pair[1]) {
                let frame = self.frames[twice[0].1];
                anomalies.push(format!("seen twice {place}: {frame:02x?}"));
            }
        }
        for (frame, seen) in self.frames.iter().zip(&self.seen) {
            if seen[Place::Ifb as usize] && seen[Place::Witness as usize] {
                anomalies.push(format!("both held and let pass: {frame:02x?}"));
            }
        }
        for observed in [Observed::Held, Observed::Bypassed] {
            let of_class =
                |&(_, frame): &(usize, usize)| self.observation(frame).observed == observed;
            let passed: Vec<_> = self.sightings[Place::Out as usize]
                .iter()
                .copied()
                .filter(of_class)
                .collect();
            for late in passed.windows(2).filter(|pair| pair[0] > pair[1]) {
                let frame = self.frames[late[1].1];
                anomalies.push(format!("overtaken within {observed:?}: {frame:02x?}"));
            }
        }
        anomalies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(frames: &[Vec<u8>]) -> Ledger<'_> {
        Ledger::new(frames)
    }

    #[test]
    fn equal_frames_share_their_observation() {
        let frames = vec![vec![1], vec![2], vec![1]];
        let mut ledger = ledger(&frames);
        assert_eq!(ledger.frames.len(), 2);
        ledger.enter(0, Place::Ifb, &[1]);
        ledger.enter(0, Place::Out, &[2]);
        let observed: Vec<_> = ledger.observations().iter().map(|o| o.observed).collect();
        assert_eq!(
            observed,
            [Observed::Held, Observed::Bypassed, Observed::Held]
        );
    }

    #[test]
    fn what_was_never_seen_is_missing_then_dropped() {
        let frames = vec![vec![1], vec![2]];
        let mut ledger = ledger(&frames);
        ledger.refuse(1);
        assert_eq!(ledger.missing(), [0]);
        let observed: Vec<_> = ledger.observations().iter().map(|o| o.observed).collect();
        assert_eq!(observed, [Observed::Dropped, Observed::Refused]);
    }

    #[test]
    fn anomalies_are_told() {
        let frames = vec![vec![1], vec![2], vec![3]];
        let mut ledger = ledger(&frames);
        ledger.enter(0, Place::Out, &[9]);
        ledger.enter(0, Place::Out, &[2]);
        ledger.enter(0, Place::Out, &[1]);
        ledger.enter(0, Place::Out, &[1]);
        ledger.enter(2, Place::Ifb, &[3]);
        ledger.enter(2, Place::Witness, &[3]);
        let told = ledger.anomalies().join("\n");
        for part in [
            "nobody sent",
            "seen twice behind the bridge: [01]",
            "both held",
            "overtaken",
        ] {
            assert!(told.contains(part), "{part} is not in\n{told}");
        }
    }
}
