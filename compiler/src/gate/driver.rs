//! The hands of what decides: carries out its commands on a real plug, or a queue of our module, and
//! tells it what the kernel tells.
//!
//! What makes counts stale is heard on a second socket. The kernel queues a notice of a link or
//! qdisc before it lets go of the lock that the next request needs (`rtnl_lock`), so whatever
//! happened before a look is in that socket by then.

mod batches;
mod epochs;

use std::os::fd::{AsFd, BorrowedFd};

use qdisc_model::controller::pipeline::{Event as Epochs, Pipeline};
use qdisc_model::controller::{Answer, Controller, Event, Request, Totals};

use super::link::Link;
use super::module::State;
use super::netlink::{LINKS_AND_QDISCS, Socket, kind, number};
use super::plug::{Gate, PlugError, Root};
use crate::device::Device;

/// What decides: by counting, or by numbers where the kernel knows them.
#[derive(Debug)]
enum Keeper {
    Plug(Controller),
    Module(Pipeline),
}

/// What the kernel told since it was last asked.
#[derive(Clone, Copy, Debug, Default)]
struct News {
    /// The link may have reset its queue.
    link: bool,
    /// Somebody else did something to the qdiscs, or notices were lost.
    orders: bool,
}

impl News {
    fn is_any(self) -> bool {
        self.link || self.orders
    }
}

/// What decides, with its plug.
#[derive(Debug)]
pub struct Driver {
    keeper: Keeper,
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
            keeper: Keeper::Plug(Controller::new(limit)),
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

    /// A client took command.
    pub fn join(&mut self) {
        match self.keeper {
            Keeper::Plug(_) => self.handle(Event::Joined),
            Keeper::Module(_) => self.handle_epochs(Epochs::Joined),
        };
    }

    /// The client is gone.
    pub fn leave(&mut self) {
        match self.keeper {
            Keeper::Plug(_) => self.handle(Event::Left),
            Keeper::Module(_) => self.handle_epochs(Epochs::Left),
        };
    }

    /// Does what a client asks for.
    pub fn request(&mut self, request: Request) -> Option<Answer> {
        match self.keeper {
            Keeper::Plug(_) => self.handle(Event::Request(request)),
            Keeper::Module(_) => {
                // One read may bring many lines, and each may follow upon orders of others.
                self.listen();
                self.handle_epochs(Epochs::Request(request))
            }
        }
    }

    /// Tries to get hold of a plug that is out of reach; whether it is in hand afterwards.
    pub fn recover(&mut self) -> bool {
        if self.is_lost() {
            match self.gate.plug() {
                Ok(root) => self.start(&root),
                Err(error) => self.lose(error),
            }
        }
        !self.is_lost()
    }

    /// Begins with what is there, which may be of another kind than before.
    fn start(&mut self, root: &Root) {
        match (&self.keeper, root.module().is_some()) {
            (Keeper::Plug(_), true) => self.keeper = Keeper::Module(Pipeline::new(self.limit)),
            (Keeper::Module(_), false) => self.keeper = Keeper::Plug(Controller::new(self.limit)),
            _ => {}
        }
        match self.keeper {
            Keeper::Plug(_) => self.handle(Event::Start),
            Keeper::Module(_) => self.handle_epochs(Epochs::Start),
        };
    }

    /// Takes in what the kernel told meanwhile.
    pub fn listen(&mut self) {
        let news = self.news();
        match self.keeper {
            Keeper::Plug(_) if news.is_any() => self.handle(Event::Disturbed),
            // The module's epochs outlive a flap.
            Keeper::Module(_) if news.orders => self.handle_epochs(Epochs::Disturbed),
            Keeper::Plug(_) | Keeper::Module(_) => None,
        };
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

    fn lose(&mut self, error: PlugError) {
        self.trouble = Some(error);
        self.handle = 0;
    }

    /// What happened since the last call: to the link, if it may have emptied the queue and left the
    /// counts; to the qdiscs by others. In doubt it did.
    fn news(&mut self) -> News {
        let mut news = News::default();
        let Ok(Some(notices)) = self.notices.notices() else {
            return News {
                link: true,
                orders: true,
            };
        };
        for notice in notices {
            if number(&notice.body, 4) != Some(self.gate.index()) {
                continue;
            }
            match (notice.kind, Link::read(&notice.body)) {
                (kind::NEW_LINK, Some(link)) => {
                    news.link |= !self.link.keeps_queue_until(&link);
                    self.link = link;
                }
                (kind::NEW_QDISC | kind::DEL_QDISC, _) if notice.port == self.gate.port() => {}
                _ => news.orders = true,
            }
        }
        news
    }

    /// Looks at a queue of our module once more, whose state changes by itself; a plug is left alone.
    pub fn refresh(&mut self) {
        if let Keeper::Module(_) = self.keeper
            && let Ok(root) = self.gate.root()
            && root.handle == self.handle
        {
            self.root = Some(root);
        }
    }

    /// What our module tells; `None` for a plug.
    #[must_use]
    pub fn module(&self) -> Option<&State> {
        match self.keeper {
            Keeper::Module(_) => self.root.as_ref()?.module(),
            Keeper::Plug(_) => None,
        }
    }

    /// Whether the gate is out of reach.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        match &self.keeper {
            Keeper::Plug(controller) => controller.is_lost(),
            Keeper::Module(pipeline) => pipeline.is_lost(),
        }
    }

    /// The newest epoch that this client ended.
    #[must_use]
    pub fn ended(&self) -> Option<u64> {
        match &self.keeper {
            Keeper::Plug(controller) => controller.ended(),
            Keeper::Module(pipeline) => pipeline.ended(),
        }
    }

    /// The newest epoch that this client committed.
    #[must_use]
    pub fn committed(&self) -> Option<u64> {
        match &self.keeper {
            Keeper::Plug(controller) => controller.committed(),
            Keeper::Module(pipeline) => pipeline.committed(),
        }
    }

    /// Packets that leave later than they could; none where epochs have numbers.
    #[must_use]
    pub fn strays(&self) -> u32 {
        match &self.keeper {
            Keeper::Plug(controller) => controller.strays(),
            Keeper::Module(_) => 0,
        }
    }

    /// What ever happened.
    #[must_use]
    pub fn totals(&self) -> Totals {
        match &self.keeper {
            Keeper::Plug(controller) => controller.totals(),
            Keeper::Module(pipeline) => pipeline.totals(),
        }
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
