//! Rules with one wrong token, for two questions: do they do in a kernel what our read-back says
//! they do, and would the differential test notice them?

use compiler::backend::Kind;
use compiler::compile::read_back;
use compiler::device::Device;
use compiler::edges::Edges;
use compiler::hook;
use compiler::verify::{self, verify_equivalent};
use policy_lang::Space;
use policy_lang::policy::{Policy, Verdict};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::batch::{Case, Fate, Offload, Shot};
use super::prepare::{rules, shot};
use super::{IFB, VIF};
use crate::examples;
use crate::generate::realistic;
use crate::mutate::mutant;

/// Frames per mutant, aimed at the policy.
const AIMED: usize = 120;
/// Nodes of the space that rules are read back into; the examples fit.
const NODES: usize = 1 << 18;

/// A mutant that our read-back understands.
#[derive(Debug)]
pub struct Wrong {
    /// Its rules, and frames with what the read-back says about them.
    pub case: Case,
    /// The same frames with what the policy says about them.
    pub meant: Vec<Shot>,
    /// Whether the read-back says that the mutant still means the policy.
    pub same: bool,
}

/// Makes `count` mutants of the rules of the examples and of a long list that the read-back understands.
///
/// # Panics
/// When an example can't be compiled.
#[must_use]
pub fn mutants(backend: Kind, seed: u64, count: usize) -> Vec<Wrong> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let list = realistic::policy(200, Verdict::Buffer);
    let list = (String::from("list"), examples::checked("list", &list));
    let policies: Vec<(String, Policy, String)> = examples::all()
        .into_iter()
        .map(|example| (example.name, example.policy))
        .chain([list])
        .map(|(name, policy)| {
            let rules = rules(backend, &name, &policy).expect("examples compile");
            (name, policy, rules)
        })
        .collect();
    let mut made = Vec::new();
    let mut tried = 0;
    while made.len() < count {
        let (name, policy, rules) = &policies[tried % policies.len()];
        tried += 1;
        let changed = mutant(backend, rules, &mut random);
        let name = format!("{name} with mistake {tried}");
        let seed = random.next_u64();
        made.extend(understood(backend, name, policy, changed, seed));
    }
    made
}

fn understood(
    backend: Kind,
    name: String,
    policy: &Policy,
    rules: String,
    seed: u64,
) -> Option<Wrong> {
    let space = Space::new(NODES).ok()?;
    let device = |name| Device::new(name).expect("a good name");
    let outcome = read_back(backend, &space, &rules, &device(VIF)).ok()?;
    let equal = verify_equivalent(&space, policy, &outcome, &device(IFB)).ok()?;
    let mut edges = Edges::new(policy, seed);
    let mut frames: Vec<Vec<u8>> = (0..AIMED).map(|_| edges.frame()).collect();
    if let Err(example) = &equal
        && hook::reaches(&example.frame)
    {
        frames.push(example.frame.clone());
    }
    frames.sort_unstable();
    frames.dedup();
    let (mut shots, mut meant) = (Vec::new(), Vec::new());
    for frame in frames {
        let shot = shot(policy, frame, Offload::default());
        let fate = match verify::fate(&space, &outcome, &shot.frame) {
            verify::Fate::Bypass => Fate::Bypass,
            verify::Fate::Held(device) if device == IFB => Fate::Hold,
            // There is no such device.
            verify::Fate::Held(_) => return None,
            verify::Fate::Dropped => Fate::Drop,
            // That is to say, it depends on the kernel.
            verify::Fate::Unsure => continue,
        };
        shots.push(Shot {
            fate,
            ..shot.clone()
        });
        meant.push(shot);
    }
    Some(Wrong {
        case: Case {
            name,
            backend,
            rules,
            shots,
        },
        meant,
        same: equal.is_ok(),
    })
}
