//! A laboratory on the running kernel: a network namespace in which a script under test installs
//! its rules on `vif0`, and raw frames show what the rules do.
//!
//! ```text
//! eth1 <-veth-> vif0 (port of br0)      out0 (port of br0) <-veth-> out1
//!  frames go in here                                   frames come out here
//! ```
//!
//! A frame seen on the script's IFB was held, one seen only at `out1` was let pass. A frame is
//! judged by what was seen and never by silence: what was not seen is sent again, twice, the
//! second time with a witness behind the rules, for frames that the bridge itself will not carry.

mod flood;
mod ledger;
mod namespace;
mod plug;
mod run;
mod session;
mod tap;

use std::io;
use std::process::{Command, Output};

pub use flood::Toll;
use namespace::Namespace;
use plug::Plug;
use tap::Tap;

pub use session::{Listener, Session};

/// The guest's virtual interface as dom0 sees it: the rules under test belong on its ingress.
pub const VIF: &str = "vif0";

/// Why there is no laboratory on this machine.
#[derive(Debug, thiserror::Error)]
#[error("no kernel laboratory here: {0}")]
pub struct SkipReason(String);

/// Why a run says nothing about the rules.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The system refused something.
    #[error("{0}")]
    Io(io::Error),
    /// A command inside the namespace failed.
    #[error("{0}")]
    Command(String),
    /// Capturing on this interface did not start, or ended.
    #[error("the capture on `{0}` failed")]
    Capture(String),
    /// The captures missed frames that the interfaces counted, also with small batches.
    #[error("the captures keep losing frames: {0}")]
    Lossy(String),
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Let pass at once.
    Bypassed,
    /// Redirected to the IFB.
    Held,
    /// Seen nowhere in three attempts. The kernel itself drops a tagged frame with fewer than
    /// six bytes behind its first ethertype, before any hook.
    Dropped,
    /// The kernel does not send such a frame: shorter than its header or longer than the MTU.
    Refused,
}

/// What was seen of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Its path.
    pub observed: Observed,
    /// Whether it came out at the far side, byte for byte. A held or passed frame may still be
    /// eaten by the bridge: PAUSE, a source address that is not a station's, the bridge's own.
    pub delivered: bool,
}

/// The outcome of sending frames.
#[derive(Debug)]
pub struct Run {
    /// One for each frame, in the order given.
    pub observations: Vec<Observation>,
    /// Frames changed, doubled or out of order within their verdict; none in a good run.
    pub anomalies: Vec<String>,
    /// How many frames had to be sent again because nothing was seen of them the first time.
    pub sent_again: usize,
}

/// One namespace with its interfaces; removed when dropped.
#[derive(Debug)]
pub struct Lab {
    namespace: Namespace,
    plug: Plug,
}

impl Lab {
    /// Makes a laboratory.
    ///
    /// # Errors
    /// What is missing here: rights, namespaces, a tool, a kernel feature.
    pub fn new() -> Result<Self, SkipReason> {
        for tool in ["ip", "tc", "bridge", "nft", "tcpdump"] {
            if plug::find_program(tool).is_none() {
                return Err(SkipReason(format!("no `{tool}` in PATH")));
            }
        }
        let namespace = Namespace::new().map_err(SkipReason)?;
        let plug = Plug::find(&namespace).map_err(SkipReason)?;
        Ok(Self { namespace, plug })
    }

    /// Makes a laboratory whose stand-in for plug, where one is needed, never lets a packet go:
    /// what comes out was not held.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn closed() -> Result<Self, SkipReason> {
        let mut lab = Self::new()?;
        lab.plug.close();
        Ok(lab)
    }

    /// What holds packets here, in words: the kernel's plug or a stand-in.
    #[must_use]
    pub fn plug(&self) -> &'static str {
        self.plug.describe()
    }

    /// Whether the kernel's plug holds them.
    #[must_use]
    pub fn has_plug(&self) -> bool {
        matches!(self.plug, Plug::Kernel)
    }

    /// Runs `work` on a thread of its own inside the laboratory's namespace.
    ///
    /// # Errors
    /// When the namespace can't be entered.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        self.namespace.enter(work)
    }

    /// The namespace's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.namespace.name()
    }

    /// A command that will run inside the laboratory, with the stand-in for plug where needed.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.namespace.command(program);
        self.plug.prepare(&mut command);
        command
    }

    /// Runs a program inside the laboratory to a successful end, quicker than [`Self::command`];
    /// `/sys` is that of the machine.
    ///
    /// # Errors
    /// When the program ends with a failure, with what it said.
    pub fn direct(&self, program: &str, arguments: &str) -> Result<Output, LabError> {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace());
        self.plug.prepare(&mut command);
        let done = self.namespace.succeed(&mut command);
        done.map_err(LabError::Command)
    }

    /// Runs shell text inside the laboratory to a successful end.
    ///
    /// # Errors
    /// When the shell ends with a failure, with what it said.
    pub fn shell(&self, text: &str) -> Result<Output, LabError> {
        namespace::succeed(self.command("sh").args(["-ec", text])).map_err(LabError::Command)
    }

    /// Sends the frames into the VM's end of `vif0` and says what became of each.
    /// `ifb` is the script's IFB, if it has one by now; without it nothing can be seen to be held.
    ///
    /// # Errors
    /// When nothing can be said about the frames; never because of what the rules did to them.
    pub fn run(&self, ifb: Option<&str>, frames: &[Vec<u8>]) -> Result<Run, LabError> {
        run::run(&self.namespace, ifb, frames)
    }

    /// Sends frames into the VM's end of `vif0` all the while that `work` is done, and counts what
    /// came out. The kernel's plug must be closed for that; the stand-in has to be one that
    /// [never lets go](Self::closed). Frames held for a moment are counted if `ifb` is given.
    ///
    /// # Errors
    /// When nothing can be said about the frames; never because of what was done to them.
    pub fn flood<T>(
        &self,
        ifb: Option<&str>,
        held: &[Vec<u8>],
        bypass: &[Vec<u8>],
        work: impl FnOnce() -> T,
    ) -> Result<(T, Toll), LabError> {
        flood::flood(&self.namespace, &self.plug, ifb, held, bypass, work)
    }

    /// Opens a session, for tests that follow frames through time.
    ///
    /// # Errors
    /// When sending or capturing can't begin.
    pub fn session(&self) -> Result<Session, LabError> {
        Session::new(&self.namespace, Tap::start)
    }

    /// Opens a session for what is about time: [`Session::arrived`] tells frames up to a second
    /// late, and nothing is done for them before.
    ///
    /// # Errors
    /// When sending or capturing can't begin.
    pub fn lazy_session(&self) -> Result<Session, LabError> {
        Session::new(&self.namespace, Tap::start_lazily)
    }

    /// Listens on an interface of the laboratory.
    ///
    /// # Errors
    /// When there is no such interface, or it can't be listened on.
    pub fn listener(&self, device: &str) -> Result<Listener, LabError> {
        Listener::new(&self.namespace, device)
    }

    /// How long the kernel takes for one frame, in nanoseconds: sent `count` times into the VM's
    /// end of `vif0`, in small batches, of which the quicker ones count.
    ///
    /// # Errors
    /// When the frame can't be sent.
    pub fn nanoseconds_per_frame(&self, frame: &[u8], count: usize) -> Result<f64, LabError> {
        run::nanoseconds_per_frame(&self.namespace, frame, count)
    }
}
