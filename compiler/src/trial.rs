//! A policy tried out: frames at its edges, judged by the policy and by rules that were made of it.
//!
//! `compile` proves the same for all frames. This is the other way to know it, one that shows its
//! work: which frames, how many for each rule, and if something is wrong, the smallest that shows.

use policy_lang::policy::Policy;
use policy_lang::{PacketSet, Reason, Space, SpaceFull, Verdict, classify};

use crate::device::Device;
use crate::edges::Edges;
use crate::hook;
use crate::readback::Outcome;
use crate::verify::{Counterexample, Fate, fate};

/// Rules on trial: what they do to every frame, read back from their text.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What the rules do.
    pub outcome: Outcome,
    /// Where they should hand held frames to.
    pub ifb: Device,
}

/// How often something decided, and what went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Frames tried.
    pub frames: u64,
    /// For each rule, the frames that it decided.
    pub rules: Vec<Hits>,
    /// Frames that no rule decided.
    pub default: u64,
    /// For each candidate a smallest frame that it treats otherwise than the policy, if any.
    pub mismatches: Vec<Option<Counterexample>>,
}

/// How often a rule decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hits {
    /// This many frames.
    Frames(u64),
    /// No frame can ever reach it: the rules before decide them all.
    Unreachable,
}

/// Tries `candidates` with `frames` frames for `policy`; `progress` hears how many are done.
///
/// A rule that none of the frames reached gets one more, made for it from the packet sets, unless
/// they show that there is none.
///
/// # Errors
///
/// [`SpaceFull`] if the sets outgrow their space.
pub fn run(
    space: &Space,
    policy: &Policy,
    candidates: &[Candidate],
    (frames, seed): (u64, u64),
    mut progress: impl FnMut(u64),
) -> Result<Trial, SpaceFull> {
    let mut state = State {
        space,
        policy,
        candidates,
        trial: Trial {
            frames: 0,
            rules: vec![Hits::Frames(0); policy.rules.len()],
            default: 0,
            mismatches: vec![None; candidates.len()],
        },
    };
    let mut edges = Edges::new(policy, seed);
    for done in 0..frames {
        // A frame that the kernel drops before any rule is no trial; a few tries find another.
        let mut drawn = (0..TRIES).map(|_| edges.frame());
        if let Some(frame) = drawn.find(|frame| hook::reaches(frame)) {
            state.try_frame(&frame);
        }
        progress(done + 1);
    }
    state.reach_the_rest()?;
    Ok(state.trial)
}

/// Frames drawn until one reaches the rules; about one in fifty does not.
const TRIES: usize = 16;

struct State<'a> {
    space: &'a Space,
    policy: &'a Policy,
    candidates: &'a [Candidate],
    trial: Trial,
}

impl State<'_> {
    /// Judges one frame.
    fn try_frame(&mut self, frame: &[u8]) {
        self.trial.frames += 1;
        match classify(self.policy, frame).reason {
            Reason::Rule(index) => {
                if let Some(Hits::Frames(hits)) = self.trial.rules.get_mut(index) {
                    *hits += 1;
                }
            }
            Reason::Default | Reason::NothingMatched => self.trial.default += 1,
        }
        for (candidate, found) in self.candidates.iter().zip(&mut self.trial.mismatches) {
            let differs = |frame: &[u8]| {
                hook::reaches(frame)
                    && mismatch(self.space, self.policy, candidate, frame).is_some()
            };
            if found.is_none() && differs(frame) {
                let smallest = shrink(frame.to_vec(), differs);
                *found = mismatch(self.space, self.policy, candidate, &smallest);
            }
        }
    }

    /// Makes a frame for each rule that none has reached.
    fn reach_the_rest(&mut self) -> Result<(), SpaceFull> {
        let missed = |hits: &Hits| *hits == Hits::Frames(0);
        if !self.trial.rules.iter().any(missed) {
            return Ok(());
        }
        let mut left: PacketSet = hook::delivered(self.space)?;
        for (index, rule) in self.policy.rules.iter().enumerate() {
            let matched = self.space.condition(&rule.condition)?;
            if self.trial.rules.get(index).is_some_and(missed) {
                match self
                    .space
                    .witness(&self.space.intersection(&matched, &left)?)?
                {
                    Some(frame) => self.try_frame(&frame),
                    None => {
                        if let Some(hits) = self.trial.rules.get_mut(index) {
                            *hits = Hits::Unreachable;
                        }
                    }
                }
            }
            left = self.space.minus(&left, &matched)?;
        }
        Ok(())
    }
}

/// What policy and rules say about `frame` if they do not agree.
fn mismatch(
    space: &Space,
    policy: &Policy,
    candidate: &Candidate,
    frame: &[u8],
) -> Option<Counterexample> {
    let decision = classify(policy, frame);
    let rules = fate(space, &candidate.outcome, frame);
    let agree = match (&rules, decision.verdict) {
        (Fate::Bypass, Verdict::Bypass) => true,
        (Fate::Held(device), Verdict::Buffer) => device == candidate.ifb.as_str(),
        _ => false,
    };
    (!agree).then(|| Counterexample {
        frame: frame.to_vec(),
        policy: decision,
        rules,
    })
}

/// A smaller frame for which `fails` still holds: shorter first, then with more zero bytes.
fn shrink(mut frame: Vec<u8>, fails: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    loop {
        let smaller = cuts(&frame)
            .chain(zeroes(&frame))
            .find(|smaller| fails(smaller));
        match smaller {
            Some(smaller) => frame = smaller,
            None => return frame,
        }
    }
}

/// The frame without some of its bytes: the end, large pieces before small ones, or a tag.
fn cuts(frame: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let halves = std::iter::successors(Some(frame.len() / 2), |by| Some(by / 2));
    let ends = halves
        .take_while(|by| *by > 0)
        .filter_map(|by| frame.get(..frame.len() - by).map(<[u8]>::to_vec));
    let without_tag = match (frame.get(..12), frame.get(16..)) {
        (Some(addresses), Some(rest)) => Some([addresses, rest].concat()),
        _ => None,
    };
    ends.chain(without_tag)
}

/// The frame with one byte that was not zero set to zero.
fn zeroes(frame: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..frame.len()).filter_map(|at| {
        let mut copy = frame.to_vec();
        let byte = copy.get_mut(at).filter(|byte| **byte != 0)?;
        *byte = 0;
        Some(copy)
    })
}

#[cfg(test)]
mod tests;
