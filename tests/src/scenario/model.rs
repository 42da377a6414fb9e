//! Scenarios on the reference model: `classify` says which frames are held, `qdisc_model::plug`
//! what then becomes of them.

use std::collections::BTreeMap;

use policy_lang::{Policy, Verdict, classify};
use qdisc_model::command::Root;
use qdisc_model::packet::Packet;
use qdisc_model::plug::{Device, Enqueued};

use super::{Link, Step, World};
use crate::examples::checked;

/// An IFB as the kernel makes it: 32 packets of queue, an MTU of 1500.
const IFB: Device = Device {
    tx_queue_len: 32,
    psched_mtu: 1514,
};
/// What the deploy script gives to plug when the policy has no limit.
const DEPLOYED: [&str; 2] = ["limit", "67108864"];

/// The model of one vif and its gate.
#[derive(Debug)]
pub struct Model {
    policy: Option<Policy>,
    root: Root,
    ifb: Link,
    /// Whether the rules lead to the IFB that is there now.
    bound: bool,
    vif: bool,
    out: Vec<Vec<u8>>,
    frames: BTreeMap<u64, Vec<u8>>,
    lost: u64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            policy: None,
            root: Root::Default,
            ifb: Link::Up,
            bound: false,
            vif: true,
            out: Vec::new(),
            frames: BTreeMap::new(),
            lost: 0,
        }
    }
}

impl Model {
    /// Lets out what the gate gives.
    fn run(&mut self) {
        if self.ifb != Link::Up {
            return;
        }
        let Root::Plug(plug) = &mut self.root else {
            return;
        };
        for packet in plug.run() {
            self.deliver(packet.id);
        }
    }

    /// What comes from an IFB goes on where it was taken, if that is still there.
    fn deliver(&mut self, id: u64) {
        if self.vif {
            self.out.extend(self.frames.get(&id).cloned());
        }
    }

    fn hold(&mut self, frame: &[u8]) {
        if self.ifb != Link::Up || !self.bound {
            self.lost += 1;
            return;
        }
        let id = self.frames.len() as u64;
        self.frames.insert(id, frame.to_vec());
        match &mut self.root {
            Root::Plug(plug) => {
                let bytes = u32::try_from(frame.len()).expect("a frame");
                if plug.enqueue(Packet::held(id, bytes)) == Enqueued::Dropped {
                    self.lost += 1;
                }
                self.run();
            }
            Root::Default | Root::Foreign => self.deliver(id),
        }
    }

    fn words(&mut self, verb: qdisc_model::command::Verb, words: &[&str]) -> bool {
        let accepted = self.ifb != Link::Gone && self.root.tc(verb, words, IFB).is_ok();
        self.run();
        accepted
    }
}

impl World for Model {
    fn act(&mut self, step: Step) -> Result<bool, String> {
        match step {
            Step::Rules(text) => {
                self.policy = Some(checked("scenario", text));
                self.bound = self.ifb != Link::Gone;
            }
            Step::Tc(verb, words) | Step::Refused(verb, words) => {
                let words: Vec<&str> = words.split_whitespace().collect();
                return Ok(self.words(verb, &words));
            }
            Step::Foreign => self.root = Root::Foreign,
            Step::Delete => return Ok(self.root.delete().is_ok()),
            Step::Ifb(link) => {
                match (link, &mut self.root) {
                    (Link::Down, Root::Plug(plug)) => drop(plug.reset()),
                    (Link::Gone, root) => {
                        *root = Root::Default;
                        self.bound = false;
                    }
                    _ => {}
                }
                self.ifb = if link == Link::Made { Link::Up } else { link };
                self.run();
            }
            Step::VifGone => self.vif = false,
            Step::Deploy(text) => {
                self.policy = Some(checked("scenario", text));
                self.bound = true;
                self.words(qdisc_model::command::Verb::Add, &DEPLOYED);
                self.words(qdisc_model::command::Verb::Change, &["release_indefinite"]);
            }
            Step::Swap(text) => self.policy = Some(checked("scenario", text)),
            Step::Remove => {
                self.policy = None;
                self.root = Root::Default;
            }
            _ => return Err(String::from("it changes nothing")),
        }
        Ok(true)
    }

    fn send(&mut self, frames: &[Vec<u8>]) -> Result<(), String> {
        if !self.vif {
            return Err(String::from("there is no vif"));
        }
        for frame in frames {
            let policy = self.policy.as_ref();
            match policy.map(|policy| classify(policy, frame).verdict) {
                Some(Verdict::Buffer) => self.hold(frame),
                Some(Verdict::Bypass) | None => self.out.push(frame.clone()),
            }
        }
        Ok(())
    }

    fn out(&mut self, _expected: usize) -> Result<Vec<Vec<u8>>, String> {
        Ok(std::mem::take(&mut self.out))
    }

    fn count(&mut self, step: Step, _expected: u64) -> Result<u64, String> {
        match (step, &self.root) {
            (Step::Lost(_), _) => Ok(self.lost),
            (Step::Held(_), Root::Plug(plug)) => Ok(plug.held().len() as u64),
            (Step::Drops(_), Root::Plug(plug)) => Ok(u64::from(plug.drops())),
            _ => Err(String::from("there is no plug")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{play, set};

    #[test]
    fn every_scenario_holds_on_the_model() {
        for scenario in set::ALL {
            let played = play(scenario, &mut Model::default());
            assert_eq!(played, Ok(()), "{}", scenario.name);
        }
    }

    #[test]
    fn names_are_told_apart() {
        let mut names: Vec<_> = set::ALL.iter().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), set::ALL.len());
    }
}
