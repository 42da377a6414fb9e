//! Our kernel module driven by `qdisc_model::controller::pipeline`, by the numbers of epochs.

use qdisc_model::controller::Answer;
use qdisc_model::controller::pipeline::{Command, Event, Sighting, Step};

use super::{Driver, Keeper};
use crate::gate::module::{Order as Numbered, State};
use crate::gate::plug::{Order, PlugError, Root};

impl Driver {
    /// Gives the pipeline an event, and does what it wants until it wants nothing more.
    pub(super) fn handle_epochs(&mut self, event: Event) -> Option<Answer> {
        let mut step = self.advance_epochs(event);
        let mut answer = step.answer;
        while let Some(command) = step.command {
            let event = match self.tell(command) {
                Ok((root, state)) => {
                    self.trouble = None;
                    self.root = Some(root);
                    Event::Done(sighting(&state))
                }
                // It did nothing, and is as much in reach as before.
                Err(PlugError::Epoch { objection, .. }) => Event::Objected(objection),
                Err(error) => {
                    self.lose(error);
                    Event::Failed
                }
            };
            step = self.advance_epochs(event);
            answer = answer.or(step.answer);
        }
        answer
    }

    fn advance_epochs(&mut self, event: Event) -> Step {
        match &mut self.keeper {
            Keeper::Module(pipeline) => pipeline.step(event),
            Keeper::Plug(_) => Step::default(),
        }
    }

    fn tell(&mut self, command: Command) -> Result<(Root, State), PlugError> {
        let root = match command {
            Command::Look if self.handle == 0 => self.find(),
            Command::Look => self.look(),
            Command::Begin(epoch) => self.gate.epoch(self.handle, Numbered::Begin(epoch)),
            Command::Commit(epoch) => self.gate.epoch(self.handle, Numbered::Commit(epoch)),
            Command::Abort(epoch) => self.gate.epoch(self.handle, Numbered::Abort(epoch)),
            Command::Limit(limit) => self.gate.order(self.handle, Order::Limit(limit)),
        }?;
        let state = root.module().copied();
        let state = state.ok_or_else(|| PlugError::Replaced(self.device.clone()))?;
        Ok((root, state))
    }
}

fn sighting(state: &State) -> Sighting {
    Sighting {
        open: state.epoch,
        committed: state.committed,
        oldest: (state.oldest != 0).then_some(state.oldest),
        in_flight: state.in_flight,
        aborted: state.aborted,
        purged: state.purged,
    }
}
