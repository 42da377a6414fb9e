//! Cases for the differential test: policies, their proved rules, and frames aimed at them, the same
//! for the same seed.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use compiler::backend::Kind;
use compiler::compile::{CompileError, Request, compile_rules};
use compiler::device::Device;
use compiler::edges::Edges;
use policy_lang::policy::{Policy, Verdict};
use policy_lang::{classify, field::ETHERNET_LEN};
use proptest::prelude::{Rng, RngExt};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::batch::{Case, Fate, LONGEST, Offload, Shot};
use super::offload::{Dress, dress};
use super::way::open_to;
use super::{IFB, VIF};
use crate::generate::frame::frame;
use crate::generate::policy::{Terms, crowded, policy, tabular};
use crate::generate::realistic;
use crate::{captures, examples};

/// One frame of so many goes with offloads or is very long.
const DRESSED: usize = 50;
/// One frame of so many is not aimed at the policy.
const UNAIMED: usize = 40;

/// An endless supply of cases for one back end.
#[derive(Debug)]
pub struct Supply {
    backend: Kind,
    runner: TestRunner,
    /// Policies that stand first, with their names; then random ones follow.
    first: std::vec::IntoIter<(String, Policy)>,
    /// Real and hand-made frames, which every policy of `first` gets.
    given: Vec<Vec<u8>>,
    made: usize,
    distinct: HashSet<u64>,
}

impl Supply {
    /// Starts with the example policies and the captures that are there.
    #[must_use]
    pub fn new(backend: Kind, seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let examples = examples::all().into_iter();
        let mut first: Vec<_> = examples.map(|e| (e.name, e.policy)).collect();
        for verdict in [Verdict::Buffer, Verdict::Bypass] {
            let name = format!("200 realistic rules that {}", verdict.keyword());
            let policy = examples::checked(&name, &realistic::policy(200, verdict));
            first.push((name, policy));
        }
        let directory = captures::directory();
        let captured = directory.and_then(|it| captures::ethernet_frames(&it).ok());
        let given = captured.map_or_else(Vec::new, |captures| captures.frames);
        let given = given.into_iter().map(|(_, frame)| frame);
        Self {
            backend,
            runner: TestRunner::new_with_rng(Config::default(), random),
            first: first.into_iter(),
            given: given
                .filter(|frame| (ETHERNET_LEN..LONGEST).contains(&frame.len()))
                .collect(),
            made: 0,
            distinct: HashSet::new(),
        }
    }

    /// How many distinct frames there are in all cases so far.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.distinct.len()
    }

    /// How many real and hand-made frames there are.
    #[must_use]
    pub fn given(&self) -> usize {
        self.given.len()
    }

    /// The next case, with `frames` frames that no case before had, and those that are given.
    ///
    /// # Errors
    /// When a policy can't be compiled for another reason than that the back end refuses a term.
    pub fn case(&mut self, frames: usize) -> Result<Case, CompileError> {
        loop {
            let (name, policy, given) = match self.first.next() {
                Some((name, policy)) => (name, policy, true),
                None => {
                    self.made += 1;
                    (format!("random {}", self.made), self.random_policy(), false)
                }
            };
            let rules = match rules(self.backend, &name, &policy) {
                Ok(rules) => rules,
                Err(CompileError::Refused(_) | CompileError::TooManyAlternatives(_)) => continue,
                Err(error) => return Err(error),
            };
            return Ok(Case {
                name,
                backend: self.backend,
                rules,
                shots: self.shots(&policy, frames, given),
            });
        }
    }

    fn random_policy(&mut self) -> Policy {
        let terms = match self.backend {
            Kind::Nft | Kind::Bpf => Terms::All,
            Kind::U32 | Kind::Flower => Terms::U32,
        };
        if self.backend == Kind::Nft && self.made.is_multiple_of(8) {
            draw(&crowded(), &mut self.runner)
        } else if self.made.is_multiple_of(3) {
            draw(&tabular(terms), &mut self.runner)
        } else {
            draw(&policy(terms, 6), &mut self.runner)
        }
    }

    fn shots(&mut self, policy: &Policy, frames: usize, given: bool) -> Vec<Shot> {
        let mut shots = Vec::with_capacity(frames);
        if given {
            let mut once = HashSet::new();
            for frame in &self.given {
                if once.insert(frame) {
                    self.distinct.insert(hash(frame, Offload::default()));
                    shots.push(shot(policy, frame.clone(), Offload::default()));
                }
            }
        }
        let goal = shots.len() + frames;
        let mut edges = Edges::new(policy, self.runner.rng().next_u64());
        while shots.len() < goal {
            let bare = if self.one_of(UNAIMED) {
                draw(&frame(), &mut self.runner)
            } else {
                edges.frame()
            };
            let dressed = if self.one_of(DRESSED) {
                let random = self.runner.rng();
                let how = Dress::ALL[random.random_range(0..Dress::ALL.len())];
                dress(how, bare, random)
            } else {
                Some((bare, Offload::default()))
            };
            if let Some((frame, offload)) = dressed
                && self.distinct.insert(hash(&frame, offload))
            {
                shots.push(shot(policy, frame, offload));
            }
        }
        shots
    }

    fn one_of(&mut self, many: usize) -> bool {
        self.runner.rng().random_range(0..many) == 0
    }
}

fn draw<S: Strategy>(strategy: &S, runner: &mut TestRunner) -> S::Value {
    let tree = strategy.new_tree(runner);
    tree.expect("no strategy here rejects values").current()
}

/// A difference between two frames goes unseen once in 2^64: then one frame fewer is sent.
fn hash(frame: &[u8], offload: Offload) -> u64 {
    let mut hasher = DefaultHasher::new();
    (frame, offload).hash(&mut hasher);
    hasher.finish()
}

/// A frame with what must become of it.
pub(super) fn shot(policy: &Policy, frame: Vec<u8>, offload: Offload) -> Shot {
    let way = open_to(&frame);
    let fate = match classify(policy, &frame).verdict {
        Verdict::Bypass => Fate::Bypass,
        Verdict::Buffer => Fate::Hold,
    };
    Shot {
        frame,
        offload,
        fate,
        way,
    }
}

/// The proved rules of a policy.
pub(super) fn rules(backend: Kind, name: &str, policy: &Policy) -> Result<String, CompileError> {
    let device = |name| Device::new(name).expect("a good name");
    let request = Request {
        policy,
        name,
        text: name,
        backend,
        vif: device(VIF),
        ifb: device(IFB),
    };
    Ok(compile_rules(&request)?.0)
}
