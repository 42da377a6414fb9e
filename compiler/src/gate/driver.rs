//! The controller's hands: carries out its commands on a real plug and tells it what the kernel
//! tells.
//!
//! What makes counts stale is heard on a second socket. The kernel queues a notice of a link or
//! qdisc before it lets go of the lock that the next request needs (`rtnl_lock`), so whatever
//! happened before a look is in that socket by then.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use qdisc_model::controller::{Answer, Command, Controller, Event, Step};
use rustix::thread::{MembarrierCommand, membarrier};

use super::link::Link;
use super::netlink::{LINKS_AND_QDISCS, Socket, kind, number};
use super::plug::{Gate, Order, PlugError, Root};
use crate::device::Device;

/// A moment for a queue to run out: some thousand packets, and no client notices it.
const MOMENT: Duration = Duration::from_millis(1);

/// A controller with its plug.
#[derive(Debug)]
pub struct Driver {
    controller: Controller,
    limit: u32,
    device: Device,
    gate: Gate,
    notices: Socket,
    link: Link,
    /// Of the plug, as long as it is driven.
    handle: u32,
    root: Option<Root>,
    dropped: u64,
    trouble: Option<PlugError>,
}

impl Driver {
    /// Finds the interface and listens to what happens to it. Nothing is told to the plug yet.
    ///
    /// # Errors
    ///
    /// When there is no such interface, or no way to the kernel.
    pub fn new(device: &Device, limit: u32) -> Result<Self, PlugError> {
        // Listen first: what happens from here on is heard.
        let notices = Socket::subscribed(LINKS_AND_QDISCS)?;
        let mut gate = Gate::open(device)?;
        let link = gate.link()?;
        Ok(Self {
            controller: Controller::new(limit),
            limit,
            device: device.clone(),
            gate,
            notices,
            link,
            handle: 0,
            root: None,
            dropped: 0,
            trouble: None,
        })
    }

    /// The number of the interface.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.gate.index()
    }

    /// Gives the controller an event, and does what it wants until it wants nothing more.
    pub fn handle(&mut self, event: Event) -> Option<Answer> {
        let step = self.controller.step(event);
        self.settle(step)
    }

    /// Tries to get hold of a plug that is out of reach; whether it is in hand afterwards.
    pub fn recover(&mut self) -> bool {
        if self.controller.is_lost() {
            self.handle(Event::Start);
        }
        !self.controller.is_lost()
    }

    /// Takes in what the kernel told meanwhile.
    pub fn listen(&mut self) {
        if self.is_disturbed() {
            self.handle(Event::Disturbed);
        }
    }

    fn settle(&mut self, mut step: Step) -> Option<Answer> {
        let mut answer = step.answer;
        while let Some(command) = step.command {
            let outcome = self.carry_out(command);
            // After the look, so that as little as can be lies between this and what follows.
            let looks = matches!(command, Command::Look | Command::Drain | Command::Fence);
            if looks && self.is_disturbed() {
                self.controller.step(Event::Disturbed);
            }
            step = match outcome {
                Ok(root) => {
                    self.trouble = None;
                    let seen = root.sighting();
                    self.root = Some(root);
                    self.controller.step(Event::Done(seen))
                }
                Err(error) => {
                    self.trouble = Some(error);
                    self.handle = 0;
                    self.controller.step(Event::Failed)
                }
            };
            answer = answer.or(step.answer);
        }
        answer
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
                membarrier(MembarrierCommand::Global)
                    .map_err(super::netlink::NetlinkError::from)?;
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

    /// The plug that is driven, if it is still there.
    fn look(&mut self) -> Result<Root, PlugError> {
        let root = self.gate.look(self.handle)?;
        root.ok_or_else(|| PlugError::Replaced(self.device.clone()))
    }

    /// Whatever plug is there; drives it from now on.
    fn find(&mut self) -> Result<Root, PlugError> {
        let root = self.gate.plug()?;
        self.handle = root.handle;
        Ok(root)
    }

    /// Whether something happened since the last call that may have emptied the queue and left
    /// the counts, or changed the counts. In doubt it did.
    fn is_disturbed(&mut self) -> bool {
        let Ok(Some(notices)) = self.notices.notices() else {
            return true;
        };
        let mut disturbed = false;
        for notice in notices {
            if number(&notice.body, 4) != Some(self.gate.index()) {
                continue;
            }
            match (notice.kind, Link::read(&notice.body)) {
                (kind::NEW_LINK, Some(link)) => {
                    disturbed |= !self.link.keeps_queue_until(&link);
                    self.link = link;
                }
                (kind::NEW_QDISC | kind::DEL_QDISC, _) if notice.port == self.gate.port() => {}
                _ => disturbed = true,
            }
        }
        disturbed
    }

    /// The controller, to be asked.
    #[must_use]
    pub fn controller(&self) -> &Controller {
        &self.controller
    }

    /// The plug after the last command.
    #[must_use]
    pub fn root(&self) -> Option<&Root> {
        self.root.as_ref()
    }

    /// Packets that found no room in plugs which were replaced since.
    #[must_use]
    pub fn dropped_before(&self) -> u64 {
        self.dropped
    }

    /// Takes the reason why the plug is out of reach.
    pub fn take_trouble(&mut self) -> Option<PlugError> {
        self.trouble.take()
    }

    /// Why the plug is out of reach, if it is.
    #[must_use]
    pub fn trouble(&self) -> Option<&PlugError> {
        self.trouble.as_ref()
    }
}

impl AsFd for Driver {
    /// Readable when the kernel has something to tell.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.notices.as_fd()
    }
}
