//! The world and its setting as a model for stateright, and what a search of it gives.

use std::fmt::Write as _;

use qdisc_model::controller::{Answer, Command};
use qdisc_model::plug::{BUFFER, LIMIT, RELEASE_INDEFINITE, RELEASE_ONE};
use stateright::{Checker, Model, Property};

use super::act::{Act, Fault, Seen, Setting};
use super::world::World;

/// All that can happen under one setting.
#[derive(Clone)]
pub(crate) struct Search(pub(crate) Setting);

impl Model for Search {
    type State = World;
    type Action = Act;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(&self.0)]
    }

    fn actions(&self, state: &World, actions: &mut Vec<Act>) {
        if state.deviation.is_none() {
            state.acts(&self.0, actions);
        }
    }

    fn next_state(&self, state: &World, act: Act) -> Option<World> {
        let mut next = state.clone();
        next.take(&self.0, act);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(REFINES, |_, world: &World| world.deviation.is_none()),
            Property::sometimes("a batch is released", |_, world: &World| {
                world.controller.totals().releases > 0
            }),
        ]
    }
}

const REFINES: &str = "the plug does what the gate may do";

/// What came out of a search that found nothing, so that it went to the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    pub(crate) longest: usize,
}

impl Search {
    /// Goes through everything. The story of a shortest behaviour that the gate does not have is
    /// an error.
    pub(crate) fn run(&self) -> Result<Explored, String> {
        // One thread: only then is the first behaviour found a shortest one.
        let checker = self.clone().checker().spawn_bfs().join();
        if let Some(path) = checker.discovery(REFINES) {
            return Err(self.narrate(&path.into_actions()));
        }
        checker.assert_properties();
        Ok(Explored {
            states: checker.unique_state_count(),
            steps: checker.state_count(),
            longest: checker.max_depth(),
        })
    }

    fn narrate(&self, acts: &[Act]) -> String {
        let mut world = World::new(&self.0);
        let mut story = String::new();
        for (at, act) in (1..).zip(acts) {
            let parts: Vec<String> = world.take(&self.0, *act).iter().map(tell).collect();
            let line = format!("{at:>2}. {:<24}{}", name(*act), parts.join("; "));
            let _ = writeln!(story, "{}", line.trim_end());
        }
        if let Some(deviation) = world.deviation {
            let _ = writeln!(story, "    {}", deviation.tell());
        }
        story
    }
}

fn name(act: Act) -> String {
    let name = match act {
        Act::Send => "send",
        Act::End => "end of the epoch",
        Act::Commit(1) => "commit of the oldest",
        Act::Commit(count) => return format!("commit of {count} epochs"),
        Act::Abort => "abort",
        Act::Work => "the daemon works",
        Act::Hear => "the daemon hears",
        Act::Start => "the daemon starts",
        Act::Flow => "the device goes on",
        Act::Fault(fault) => match fault {
            Fault::Flap => "flap",
            Fault::Purge => "purge without notice",
            Fault::Foreign(action) => match action {
                BUFFER => "somebody else: BUFFER",
                RELEASE_ONE => "somebody else: RELEASE",
                RELEASE_INDEFINITE => "somebody else: open",
                LIMIT => "somebody else: LIMIT 2",
                _ => "somebody else",
            },
            Fault::Replace => "somebody else: new plug",
            Fault::Fail(true) => "failure, carried out",
            Fault::Fail(false) => "failure",
            Fault::Kill => "the daemon dies",
            Fault::Leave => "another client",
            Fault::Stall => "the device is busy",
            Fault::RepeatCommit => "commit repeated",
            Fault::Lie => "commit of the open epoch",
        },
    };
    name.to_owned()
}

fn tell(seen: &Seen) -> String {
    match *seen {
        Seen::Left(id) => format!("packet {id} leaves"),
        Seen::Lost(id) => format!("packet {id} is lost"),
        Seen::Command(command) => match command {
            Command::Look => "look".to_owned(),
            Command::Block => "BUFFER".to_owned(),
            Command::ReleaseOne => "RELEASE_ONE".to_owned(),
            Command::Flush => "RELEASE_INDEFINITE".to_owned(),
            Command::Limit(limit) => format!("LIMIT {limit}"),
            Command::Fence => "fence".to_owned(),
            Command::Drain => "drain".to_owned(),
            Command::Renew => "new plug".to_owned(),
        },
        Seen::Answer(answer) => match answer {
            Answer::Ended(_) => "ended".to_owned(),
            Answer::Joined(_) => "joined to a later batch".to_owned(),
            Answer::Released(_) => "released".to_owned(),
            Answer::Waiting(_) => "waits for a later batch".to_owned(),
            Answer::Purged(_) => "committed, but lost".to_owned(),
            Answer::Repeated(_) => "said before".to_owned(),
            Answer::Aborted(_) => "dropped".to_owned(),
            Answer::Refused(refusal) => format!("refused: {refusal}"),
        },
    }
}
