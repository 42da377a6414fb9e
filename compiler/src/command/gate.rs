//! `epochgate gate`: the plug of an interface, told by hand or kept by a daemon.

mod set;
mod status;

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use qdisc_model::limit::{LARGEST_PACKET, admits_every_packet};

use crate::cli::Console;
use crate::device::Device;
use crate::exit::{self, Exit, Failure};
use crate::gate::lock::Lock;
use crate::gate::metrics::Target;
use crate::gate::module;
use crate::gate::plug::{Gate, Order, PlugError, Root};
use crate::gate::serve::{ServeError, Settings, serve};
use crate::render::Report;

/// Drive the gate of a VM: the plug at the root of its IFB.
///
/// Over netlink, without starting `tc`. A plug counts packets and knows no epochs; `block` and
/// `release` have to alternate, and `gate serve` is the daemon that sees to it.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::HELP)]
pub(crate) struct Args {
    /// The interface whose root qdisc is the plug.
    #[arg(long, value_name = "IFB", global = true, value_parser = device)]
    ifb: Option<Device>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// End an epoch: what arrived since the last `block` leaves with the next `release`.
    ///
    /// After `open` it closes the plug again. A second `block` before the `release` mixes two
    /// epochs up.
    Block,
    /// Let go what the last `block` closed off.
    ///
    /// After the link was down this releases packets of an epoch that is not committed: the plug
    /// lost the packets and kept their number. `gate serve` notices that.
    Release,
    /// Begin an epoch by its number, which ends the one before: only our kernel module knows numbers.
    ///
    /// It is the one after the open one. Said again of the open one, it ends nothing, and closes a gate
    /// that was opened.
    Begin {
        /// The number.
        epoch: u64,
    },
    /// Let an epoch go by its number, the oldest that has ended.
    Commit {
        /// The number.
        epoch: u64,
    },
    /// Drop an epoch and all later ones.
    Abort {
        /// The number.
        epoch: u64,
    },
    /// Let everything out, and let everything pass from now on.
    ///
    /// What is held for epochs that no backup has leaves too. If this host then fails, the backup
    /// goes on from before packets that the world has seen.
    Open {
        /// Say that this is meant.
        #[arg(long)]
        release_uncommitted: bool,
    },
    /// Set how much the plug holds. No interface of the kernel tells what is set.
    Limit {
        /// Bytes, or a number with KiB, MiB or GiB.
        #[arg(value_name = "BYTES", value_parser = size)]
        bytes: u32,
    },
    /// Choose what happens when there is no room, or no commit: only our kernel module can be told.
    Set(set::Args),
    /// Show what is held.
    Status {
        /// How to write it.
        #[arg(long, value_name = "FORMAT", default_value = "text")]
        format: Format,
    },
    /// Keep the gate for a replicator that names its epochs, until a signal ends it.
    ///
    /// It listens on a socket for lines like `epoch 7 end` and `epoch 7 committed`, and releases
    /// nothing before its commit. When it ends, however that may be, the gate stays held.
    Serve {
        /// Where the replicator connects; a Unix socket for its owner only.
        #[arg(long, value_name = "PATH")]
        socket: PathBuf,
        /// How much the plug holds, set at the start and kept.
        #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = size)]
        limit: u32,
        /// Show numbers for Prometheus: over HTTP at an address like `127.0.0.1:9150`, or in a file.
        #[arg(long, value_name = "ADDR|PATH", value_parser = target)]
        metrics: Option<Target>,
        /// The vif of the VM: the numbers then tell how much of its output is held and passed.
        #[arg(long, value_name = "VIF", value_parser = device, requires = "metrics")]
        vif: Option<Device>,
    },
}

/// An address if it reads as one, otherwise a path, which has a `/` so that no misspelt address
/// becomes a file.
fn target(text: &str) -> Result<Target, String> {
    match text.parse() {
        Ok(address) => Ok(Target::Address(address)),
        Err(_) if text.contains('/') => Ok(Target::File(PathBuf::from(text))),
        Err(_) => Err(String::from(
            "neither an address with a port, like `127.0.0.1:9150`, nor a path with a `/`",
        )),
    }
}

/// The status as JSON, for who looks at more than the gate.
pub(super) fn status(ifb: &Device) -> Result<String, PlugError> {
    status::json(ifb)
}

/// How the status is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn device(name: &str) -> Result<Device, String> {
    Device::new(name).map_err(|error| error.to_string())
}

/// Reads a number of bytes.
fn size(text: &str) -> Result<u32, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => {
            return Err(String::from(
                "a size is a number with B, KiB, MiB, GiB or nothing",
            ));
        }
    };
    let bytes = number.parse::<u64>().ok();
    bytes
        .and_then(|bytes| bytes.checked_mul(1 << shift))
        .and_then(|bytes| u32::try_from(bytes).ok())
        .ok_or_else(|| String::from("the largest limit is 4294967295 bytes"))
}

/// Does what is asked and prints one line about it.
pub(crate) fn run(args: &Args, console: &mut Console) -> Result<Exit, Failure> {
    let Some(ifb) = &args.ifb else {
        return Err(Failure::Usage {
            message: String::from("`gate` needs the interface with the plug"),
            help: Some(String::from("add `--ifb IFB`")),
        });
    };
    let outcome = match &args.action {
        Action::Status { format } => return status::run(ifb, *format, console),
        Action::Serve {
            socket,
            limit,
            metrics,
            vif,
        } => {
            let settings = Settings {
                ifb: ifb.clone(),
                vif: vif.clone(),
                socket: socket.clone(),
                limit: *limit,
                metrics: metrics.clone(),
            };
            return keep(&settings, console);
        }
        Action::Open {
            release_uncommitted: false,
        } => return Err(not_meant()),
        Action::Open { .. } => tell(ifb, Order::Open),
        Action::Block => tell(ifb, Order::Block),
        Action::Release => tell(ifb, Order::ReleaseOne),
        &Action::Begin { epoch } => number(ifb, module::Order::Begin(epoch)),
        &Action::Commit { epoch } => number(ifb, module::Order::Commit(epoch)),
        &Action::Abort { epoch } => number(ifb, module::Order::Abort(epoch)),
        Action::Set(args) => {
            let settings = args.settings()?;
            drive(ifb, |gate, root| match root.state {
                Some(_) => gate.set(root.handle, &settings),
                None => Err(PlugError::NotSettable(ifb.clone())),
            })
        }
        Action::Limit { bytes: 0 } => Err(Refused::Plug(PlugError::NoLimit)),
        &Action::Limit { bytes } => {
            warn_of_small(bytes, console)?;
            tell(ifb, Order::Limit(bytes))
        }
    };
    match outcome {
        Ok((before, after)) => {
            console.line(&describe(ifb, &args.action, &before, &after))?;
            Ok(Exit::Fine)
        }
        Err(refused) => {
            console.report(None, &refused.report())?;
            Ok(Exit::Findings)
        }
    }
}

/// Runs the daemon.
fn keep(settings: &Settings, console: &mut Console) -> Result<Exit, Failure> {
    let refused = if settings.limit == 0 {
        Refused::Plug(PlugError::NoLimit)
    } else {
        warn_of_small(settings.limit, console)?;
        match serve(settings) {
            Ok(()) => return Ok(Exit::Fine),
            Err(ServeError::Plug(error)) => Refused::Plug(error),
            Err(ServeError::Driven(ifb)) => Refused::Driven(ifb),
            Err(error) => Refused::Other(error),
        }
    };
    console.report(None, &refused.report())?;
    Ok(Exit::Findings)
}

fn warn_of_small(bytes: u32, console: &mut Console) -> Result<(), Failure> {
    if admits_every_packet(bytes) {
        return Ok(());
    }
    let largest = format!(
        "a limit of {bytes} bytes never holds the largest packet of a VM, {LARGEST_PACKET} bytes"
    );
    console.report(None, &Report::warning(largest))
}

/// Why an order was not given.
#[derive(Debug)]
enum Refused {
    Plug(PlugError),
    /// A daemon has the plug.
    Driven(Device),
    /// The lock can't even be tried.
    Lock(std::io::Error),
    /// The daemon can't run, or not on.
    Other(ServeError),
}

impl Refused {
    fn report(&self) -> Report {
        match self {
            Self::Plug(error) => {
                let report = Report::error(error.to_string());
                match error.help() {
                    Some(help) => report.help(help),
                    None => report,
                }
            }
            Self::Driven(ifb) => Report::error(format!(
                "the plug of `{ifb}` is driven by another `epochgate gate`"
            ))
            .help("stop its `gate serve` first; two drivers spend each other's counts"),
            Self::Lock(error) => Report::error(format!("cannot take the lock: {error}")),
            Self::Other(error) => Report::error(error.to_string()),
        }
    }
}

impl From<PlugError> for Refused {
    fn from(error: PlugError) -> Self {
        Self::Plug(error)
    }
}

/// Gives one order to the plug that is there; the root before it and after it.
fn tell(ifb: &Device, order: Order) -> Result<(Root, Root), Refused> {
    drive(ifb, |gate, root| gate.order(root.handle, order))
}

/// The same with an epoch, to our module.
fn number(ifb: &Device, order: module::Order) -> Result<(Root, Root), Refused> {
    drive(ifb, |gate, root| match root.state {
        Some(_) => gate.epoch(root.handle, order),
        None => Err(PlugError::NotNumbered(ifb.clone())),
    })
}

fn drive(
    ifb: &Device,
    tell: impl FnOnce(&mut Gate, &Root) -> Result<Root, PlugError>,
) -> Result<(Root, Root), Refused> {
    let mut gate = Gate::open(ifb)?;
    let _lock = Lock::take(gate.index())
        .map_err(Refused::Lock)?
        .ok_or_else(|| Refused::Driven(ifb.clone()))?;
    let before = gate.plug()?;
    let after = tell(&mut gate, &before)?;
    Ok((before, after))
}

fn not_meant() -> Failure {
    Failure::Usage {
        message: String::from("`open` lets out what is held for epochs that no backup has"),
        help: Some(String::from(
            "if that is meant, say `open --release-uncommitted`",
        )),
    }
}

fn describe(ifb: &Device, action: &Action, before: &Root, after: &Root) -> String {
    let held = |root: &Root| match root.packets {
        1 => format!("1 packet, {} bytes", root.backlog),
        some => format!("{some} packets, {} bytes", root.backlog),
    };
    match action {
        Action::Block => format!("{ifb}: blocked; held: {}", held(after)),
        Action::Release => format!("{ifb}: released; held before: {}", held(before)),
        Action::Begin { epoch } => format!("{ifb}: epoch {epoch} is open; held: {}", held(after)),
        Action::Commit { epoch } => format!(
            "{ifb}: epoch {epoch} committed; held before: {}",
            held(before)
        ),
        Action::Abort { epoch } => {
            let next = after.state.map_or(0, |state| state.epoch);
            let held = held(after);
            format!("{ifb}: epoch {epoch} and all later ones aborted, {next} is open; held: {held}")
        }
        Action::Open { .. } => format!(
            "{ifb}: open, everything passes until `block`; let out: {}",
            held(before)
        ),
        Action::Limit { bytes } => {
            format!("{ifb}: limit {bytes} bytes; held: {}", held(after))
        }
        Action::Set(_) => format!("{ifb}: set; held: {}", held(after)),
        Action::Status { .. } | Action::Serve { .. } => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_binary_units_and_an_end() {
        assert_eq!(size("1"), Ok(1));
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("4194303KiB"), Ok(4_194_303 << 10));
        for bad in [
            "",
            "KiB",
            "1k",
            "-1",
            "4GiB",
            "1 MiB",
            "99999999999999999999GiB",
        ] {
            assert!(size(bad).is_err(), "{bad:?}");
        }
    }
}
