//! A world and its setting as a model for stateright, and what a search of it gives.

use qdisc_model::invariant::onlooker::Law;
use qdisc_model::protocol::driver::Driver;
use qdisc_model::protocol::{Setting, Step, World};
use stateright::{Checker, Model, Property};

/// All that can happen in one world.
#[derive(Clone)]
pub(crate) struct Search<D> {
    pub(crate) start: World<D>,
    pub(crate) setting: Setting,
    pub(crate) laws: Vec<Law>,
    /// Whether as many epochs as there may be have to be in flight at some time. Not for a search
    /// that ends at a shortest behaviour: a second goal makes it go on.
    pub(crate) fills: bool,
}

impl<D: Driver> Model for Search<D> {
    type State = World<D>;
    type Action = Step;

    fn init_states(&self) -> Vec<World<D>> {
        vec![self.start.clone()]
    }

    fn actions(&self, state: &World<D>, actions: &mut Vec<Step>) {
        actions.extend(state.steps(&self.setting));
    }

    fn next_state(&self, state: &World<D>, step: Step) -> Option<World<D>> {
        let mut next = state.clone();
        next.take(&self.setting, step);
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties: Vec<_> = self.laws.iter().map(|law| property(*law)).collect();
        if self.fills {
            properties.push(Property::sometimes(
                IN_FLIGHT,
                |search: &Self, world: &World<D>| world.in_flight() >= search.setting.in_flight,
            ));
        }
        properties
    }
}

const IN_FLIGHT: &str = "as many epochs in flight as there may be";

/// Properties are bare functions, so each law needs its own.
fn property<D: Driver>(law: Law) -> Property<Search<D>> {
    let holds: fn(&Search<D>, &World<D>) -> bool = match law {
        Law::NothingLeavesEarly => |_, world| world.onlooker().keeps(Law::NothingLeavesEarly),
        Law::BypassNeverWaits => |_, world| world.onlooker().keeps(Law::BypassNeverWaits),
        Law::OrderIsKept => |_, world| world.onlooker().keeps(Law::OrderIsKept),
        Law::LossesAreCounted => |_, world| world.onlooker().keeps(Law::LossesAreCounted),
        Law::FailoverContradictsNothing => {
            |_, world| world.onlooker().keeps(Law::FailoverContradictsNothing)
        }
        Law::CommitReleases => |_, world| world.onlooker().keeps(Law::CommitReleases),
    };
    Property::always(law.name(), holds)
}

/// What came out of a search that found nothing, so that it went to the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    pub(crate) longest: usize,
}

impl<D: Driver + Send + Sync + 'static> Search<D> {
    /// Goes through everything. The steps of a shortest behaviour that breaks a law are an error.
    pub(crate) fn run(&self) -> Result<Explored, (Law, Vec<Step>)> {
        // One thread: only then is the first behaviour found a shortest one.
        let checker = self.clone().checker().spawn_bfs().join();
        for law in &self.laws {
            if let Some(path) = checker.discovery(law.name()) {
                return Err((*law, path.into_actions()));
            }
        }
        if self.fills {
            checker.assert_any_discovery(IN_FLIGHT);
        }
        Ok(Explored {
            states: checker.unique_state_count(),
            steps: checker.state_count(),
            longest: checker.max_depth(),
        })
    }
}
