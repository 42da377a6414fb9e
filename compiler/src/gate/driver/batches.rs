//! A plug driven by `qdisc_model::controller`, which counts.

use std::time::Duration;

use qdisc_model::controller::{Answer, Command, Event, Step};
use rustix::thread::{MembarrierCommand, membarrier};

use super::{Driver, Keeper};
use crate::gate::netlink::NetlinkError;
use crate::gate::plug::{Order, PlugError, Root};

/// A moment for a queue to run out: some thousand packets, and no client notices it.
const MOMENT: Duration = Duration::from_millis(1);

impl Driver {
    /// Gives the controller an event, and does what it wants until it wants nothing more.
    pub(super) fn handle(&mut self, event: Event) -> Option<Answer> {
        let mut step = self.advance(event);
        let mut answer = step.answer;
        while let Some(command) = step.command {
            let outcome = self.carry_out(command);
            // After the look, so that as little as can be lies between this and what follows.
            let looks = matches!(command, Command::Look | Command::Drain | Command::Fence);
            if looks && self.news().is_any() {
                self.advance(Event::Disturbed);
            }
            step = match outcome {
                Ok(root) => {
                    self.trouble = None;
                    let seen = root.sighting();
                    self.root = Some(root);
                    self.advance(Event::Done(seen))
                }
                Err(error) => {
                    self.lose(error);
                    self.advance(Event::Failed)
                }
            };
            answer = answer.or(step.answer);
        }
        answer
    }

    fn advance(&mut self, event: Event) -> Step {
        match &mut self.keeper {
            Keeper::Plug(controller) => controller.step(event),
            Keeper::Module(_) => Step::default(),
        }
    }

    fn carry_out(&mut self, command: Command) -> Result<Root, PlugError> {
        match command {
            Command::Look if self.handle == 0 => self.find(),
            Command::Look => self.look(),
            Command::Drain => {
                std::thread::sleep(MOMENT);
                self.look()
            }
            Command::Fence => {
                membarrier(MembarrierCommand::Global).map_err(NetlinkError::from)?;
                self.look()
            }
            Command::Block => self.gate.order(self.handle, Order::Block),
            Command::ReleaseOne => self.gate.order(self.handle, Order::ReleaseOne),
            Command::Flush => self.gate.order(self.handle, Order::Open),
            Command::Limit(limit) => self.gate.order(self.handle, Order::Limit(limit)),
            Command::Renew => {
                let old = self.root.as_ref().map_or(0, |root| root.drops);
                let root = self.gate.renew(self.handle, self.limit)?;
                self.dropped += u64::from(old);
                self.handle = root.handle;
                Ok(root)
            }
        }
    }
}
