//! Compares what was seen of the frames of one case with what must be seen, place by place, byte by
//! byte and in order. Pure: it is told the sightings.
//!
//! In a good run each sighting is the next one that is expected at its place, so that a comparison
//! with one frame is enough. Only what does not fit is looked up among all.

use std::collections::HashMap;

use super::answer::{CaseAnswer, Counts, Difference};
use super::batch::{Case, Fate, Offload, Shot};
use super::way::Way;

/// Where a frame can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind the bridge, while what is held is held.
    Early,
    /// Behind the bridge, once the gate has been told to release.
    Late,
    /// By the witness behind the rules, which looks at frames that end in the bridge.
    Witness,
    /// On its way into the IFB. With a plug, only frames that end in the bridge are looked at there.
    Ifb,
}

impl Place {
    const ALL: [Self; 4] = [Self::Early, Self::Late, Self::Witness, Self::Ifb];

    fn name(self) -> &'static str {
        match self {
            Self::Early => "behind the bridge before the release",
            Self::Late => "behind the bridge after the release",
            Self::Witness => "behind the rules",
            Self::Ifb => "on the IFB",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// No more differences than this are told in full per case.
const TOLD: usize = 8;

/// What there is around the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Whether a plug holds what is held. Without one, everything comes out at once, and the path
    /// of a frame is known from the IFB alone.
    pub plug: bool,
    /// Whether the kernel has br_netfilter.
    pub br_netfilter: bool,
}

/// The comparison of one case.
#[derive(Debug)]
pub struct Judge<'a> {
    case: &'a Case,
    setting: Setting,
    /// For each place the frames due there, in order, and how many of them are through.
    due: [(Vec<usize>, usize); 4],
    /// The places where each frame was seen, as bits.
    seen: Vec<u8>,
    refused: Vec<bool>,
    index: Option<HashMap<(&'a [u8], Offload), usize>>,
    differences: Vec<Difference>,
    count: usize,
}

impl<'a> Judge<'a> {
    /// Nothing has been seen yet.
    #[must_use]
    pub fn new(case: &'a Case, setting: Setting) -> Self {
        let due = Place::ALL.map(|place| {
            let shots = case.shots.iter().enumerate();
            let here = shots.filter(|(_, shot)| due(shot, setting) & place.bit() != 0);
            (here.map(|(at, _)| at).collect(), 0)
        });
        Self {
            case,
            setting,
            due,
            seen: vec![0; case.shots.len()],
            refused: vec![false; case.shots.len()],
            index: None,
            differences: Vec::new(),
            count: 0,
        }
    }

    /// The kernel did not take this frame.
    pub fn refuse(&mut self, shot: usize) {
        self.refused[shot] = true;
    }

    /// A frame was seen.
    pub fn see(&mut self, place: Place, offload: Offload, frame: &[u8]) {
        let offload = offload.essence();
        let possible: &[Place] = match place {
            Place::Early | Place::Late if !self.setting.plug => &[Place::Early, Place::Late],
            Place::Early => &[Place::Early],
            Place::Late => &[Place::Late],
            Place::Witness => &[Place::Witness],
            Place::Ifb => &[Place::Ifb],
        };
        for place in possible {
            if let Some(shot) = self.next(*place)
                && is(&self.case.shots[shot], offload, frame)
            {
                self.due[*place as usize].1 += 1;
                self.seen[shot] |= place.bit();
                return;
            }
        }
        self.unexpected(place, offload, frame);
    }

    /// The frame that is due next at `place`.
    fn next(&mut self, place: Place) -> Option<usize> {
        let (due, through) = &mut self.due[place as usize];
        while let Some(&shot) = due.get(*through) {
            if !self.refused[shot] {
                return Some(shot);
            }
            *through += 1;
        }
        None
    }

    fn unexpected(&mut self, place: Place, offload: Offload, frame: &[u8]) {
        let case = self.case;
        let index = self.index.get_or_insert_with(|| {
            let shots = case.shots.iter().enumerate();
            shots
                .map(|(at, shot)| ((shot.frame.as_slice(), shot.offload.essence()), at))
                .collect()
        });
        let Some(&shot) = index.get(&(frame, offload)) else {
            self.differ(Difference {
                frame: frame.to_vec(),
                offload,
                expected: String::from("not to see such a frame"),
                seen: place.name().to_owned(),
            });
            return;
        };
        let place = match place {
            Place::Early | Place::Late if !self.setting.plug => {
                if due(&case.shots[shot], self.setting) & Place::Late.bit() == 0 {
                    Place::Early
                } else {
                    Place::Late
                }
            }
            place => place,
        };
        if self.seen[shot] & place.bit() != 0 {
            self.differ_about(shot, "once", format!("again {}", place.name()));
        }
        self.seen[shot] |= place.bit();
        let (due, through) = &mut self.due[place as usize];
        if let Ok(rank) = due.binary_search(&shot) {
            if rank < *through {
                self.differ_about(shot, "in order", format!("overtaken, {}", place.name()));
            } else {
                *through = rank + 1;
            }
        }
    }

    /// Whether all that is due at `place` has been seen there.
    #[must_use]
    pub fn is_complete(&mut self, place: Place) -> bool {
        self.next(place).is_none()
    }

    /// How many frames were seen on their way into the IFB.
    #[must_use]
    pub fn on_ifb(&self) -> usize {
        let there = |seen: &&u8| *seen & Place::Ifb.bit() != 0;
        self.seen.iter().filter(there).count()
    }

    fn differ_about(&mut self, shot: usize, expected: &str, seen: String) {
        let shot = &self.case.shots[shot];
        self.differ(Difference {
            frame: shot.frame.clone(),
            offload: shot.offload,
            expected: expected.to_owned(),
            seen,
        });
    }

    fn differ(&mut self, difference: Difference) {
        self.count += 1;
        if self.differences.len() < TOLD {
            self.differences.push(difference);
        }
    }

    /// The verdict, once nothing more can come.
    #[must_use]
    pub fn finish(mut self) -> CaseAnswer {
        let mut counts = Counts::default();
        for (at, shot) in self.case.shots.iter().enumerate() {
            let seen = self.seen[at];
            let wanted = if self.refused[at] {
                0
            } else {
                due(shot, self.setting)
            };
            if seen != wanted {
                self.differ_about(at, &names(wanted), names(seen));
            }
            let on_hold = Place::Late.bit() | Place::Ifb.bit();
            *match seen {
                _ if self.refused[at] => &mut counts.refused,
                0 => &mut counts.lost,
                seen if seen & on_hold != 0 => &mut counts.held,
                _ => &mut counts.bypassed,
            } += 1;
        }
        counts.differences = self.count;
        CaseAnswer {
            name: self.case.name.clone(),
            counts,
            failure: None,
            differences: self.differences,
        }
    }
}

fn is(shot: &Shot, offload: Offload, frame: &[u8]) -> bool {
    shot.frame == frame && shot.offload.essence() == offload
}

/// The places where a frame must be seen, as bits.
fn due(shot: &Shot, setting: Setting) -> u8 {
    let (through, short_of_it) = match shot.way {
        Way::Whole => (true, false),
        Way::ToTheBridge => (false, true),
        Way::ToBrNetfilter => (!setting.br_netfilter, true),
        Way::Nowhere => (false, false),
    };
    let bit = |is_due: bool, place: Place| if is_due { place.bit() } else { 0 };
    match shot.fate {
        Fate::Drop => 0,
        Fate::Bypass => bit(through, Place::Early) | bit(short_of_it, Place::Witness),
        Fate::Hold => {
            let on_ifb = short_of_it || through && !setting.plug;
            bit(through, Place::Late) | bit(on_ifb, Place::Ifb)
        }
    }
}

fn names(places: u8) -> String {
    let here = Place::ALL.iter().filter(|place| places & place.bit() != 0);
    let names: Vec<&str> = here.map(|place| place.name()).collect();
    if names.is_empty() {
        return String::from("nowhere");
    }
    names.join(" and ")
}

#[cfg(test)]
mod tests {
    use compiler::backend::Kind;

    use super::*;

    const PLAIN: Offload = Offload([0; 10]);

    /// Frames 0 to 3 bypass, hold, bypass, hold; 4 and 5 bypass and hold up to the bridge; 6 is
    /// dropped before.
    fn case() -> Case {
        let ways = [Way::Whole; 4].into_iter();
        let ways = ways.chain([Way::ToTheBridge, Way::ToTheBridge, Way::Nowhere]);
        let shots = ways.enumerate().map(|(at, way)| Shot {
            frame: vec![at as u8; 14],
            offload: PLAIN,
            fate: [Fate::Bypass, Fate::Hold][at % 2],
            way,
        });
        Case {
            name: String::from("a case"),
            backend: Kind::Nft,
            rules: String::new(),
            shots: shots.collect(),
        }
    }

    fn setting(plug: bool) -> Setting {
        Setting {
            plug,
            br_netfilter: false,
        }
    }

    fn judged(holding: bool, sightings: &[(Place, u8)]) -> CaseAnswer {
        let case = case();
        let mut judge = Judge::new(&case, setting(holding));
        for (place, frame) in sightings {
            judge.see(*place, PLAIN, &[*frame; 14]);
        }
        judge.finish()
    }

    const RIGHT: [(Place, u8); 6] = [
        (Place::Early, 0),
        (Place::Early, 2),
        (Place::Witness, 4),
        (Place::Ifb, 5),
        (Place::Late, 1),
        (Place::Late, 3),
    ];

    #[test]
    fn a_right_run_has_no_difference() {
        let answer = judged(true, &RIGHT);
        assert_eq!(answer.counts.differences, 0, "{answer:?}");
        let counts = answer.counts;
        assert_eq!((counts.bypassed, counts.held, counts.lost), (3, 3, 1));
    }

    #[test]
    fn without_a_plug_the_ifb_tells_the_path() {
        let mixed = [
            (Place::Ifb, 1),
            (Place::Early, 0),
            (Place::Early, 1),
            (Place::Ifb, 3),
            (Place::Early, 2),
            (Place::Ifb, 5),
            (Place::Witness, 4),
            (Place::Early, 3),
        ];
        assert_eq!(judged(false, &mixed).counts.differences, 0);
        let let_pass: Vec<_> = mixed
            .iter()
            .copied()
            .filter(|s| *s != (Place::Ifb, 3))
            .collect();
        assert_eq!(judged(false, &let_pass).counts.differences, 1);
        let held: Vec<_> = mixed.iter().copied().chain([(Place::Ifb, 2)]).collect();
        assert_eq!(judged(false, &held).counts.differences, 1);
    }

    #[test]
    fn every_single_fault_is_a_difference() {
        for (at, (place, _)) in RIGHT.iter().enumerate() {
            let mut lost = RIGHT.to_vec();
            lost.remove(at);
            assert_eq!(judged(true, &lost).counts.differences, 1);
            let mut twice = RIGHT.to_vec();
            twice.push(RIGHT[at]);
            assert!(judged(true, &twice).counts.differences > 0);
            for elsewhere in Place::ALL.into_iter().filter(|other| other != place) {
                let mut moved = RIGHT.to_vec();
                moved[at].0 = elsewhere;
                assert_eq!(judged(true, &moved).counts.differences, 1);
            }
            let mut changed = RIGHT.to_vec();
            changed[at].1 = 0x77;
            assert_eq!(judged(true, &changed).counts.differences, 2);
        }
        let mut swapped = RIGHT;
        swapped.swap(4, 5);
        assert_eq!(judged(true, &swapped).counts.differences, 1);
        let mut from_nowhere = RIGHT.to_vec();
        from_nowhere.push((Place::Early, 6));
        assert_eq!(judged(true, &from_nowhere).counts.differences, 1);
    }

    #[test]
    fn what_the_kernel_refused_is_not_waited_for() {
        let case = case();
        let mut judge = Judge::new(&case, setting(true));
        judge.refuse(0);
        for (place, frame) in &RIGHT[1..] {
            judge.see(*place, PLAIN, &[*frame; 14]);
        }
        let counts = judge.finish().counts;
        assert_eq!((counts.differences, counts.refused), (0, 1));
    }

    #[test]
    fn a_frame_that_br_netfilter_may_drop_is_seen_by_the_witness() {
        let mut case = case();
        case.shots.truncate(2);
        for shot in &mut case.shots {
            shot.way = Way::ToBrNetfilter;
        }
        for (br_netfilter, differences) in [(true, 0), (false, 2)] {
            let there = Setting {
                plug: true,
                br_netfilter,
            };
            let mut judge = Judge::new(&case, there);
            judge.see(Place::Witness, PLAIN, &[0; 14]);
            judge.see(Place::Ifb, PLAIN, &[1; 14]);
            assert_eq!(judge.finish().counts.differences, differences);
        }
    }

    #[test]
    fn another_offload_is_another_frame() {
        let case = case();
        let mut judge = Judge::new(&case, setting(true));
        judge.see(
            Place::Early,
            Offload([1, 0, 0, 0, 0, 0, 34, 0, 16, 0]),
            &[0; 14],
        );
        assert!(
            judge.finish().differences[0]
                .expected
                .contains("not to see")
        );
    }
}
