//! `epochgate gate status`: what the kernel tells of a gate, for people and for programs.

use serde::Serialize;

use super::{Format, Refused};
use crate::cli::Console;
use crate::device::Device;
use crate::exit::{Exit, Failure};
use crate::gate::link::Link;
use crate::gate::lock::is_taken;
use crate::gate::module::State;
use crate::gate::plug::{Gate, PlugError, Root};

/// The fields of `--format json`.
#[derive(Debug, Serialize)]
struct Status<'a> {
    ifb: &'a str,
    link: &'static str,
    qdisc: &'a str,
    handle: String,
    held_packets: u32,
    held_bytes: u32,
    sent_packets: u32,
    sent_bytes: u64,
    drops: u32,
    overlimits: u32,
    /// Whether an `epochgate gate` drives it at this moment.
    driven: bool,
    /// What only our module tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    module: Option<State>,
}

impl<'a> Status<'a> {
    fn new(ifb: &'a Device, link: &Link, root: &'a Root, driven: bool) -> Self {
        Self {
            ifb: ifb.as_str(),
            link: if link.is_up() { "up" } else { "down" },
            qdisc: &root.kind,
            handle: format!("{:x}:", root.handle >> 16),
            held_packets: root.packets,
            held_bytes: root.backlog,
            sent_packets: root.sent_packets,
            sent_bytes: root.sent_bytes,
            drops: root.drops,
            overlimits: root.overlimits,
            driven,
            module: root.state,
        }
    }

    /// Nothing in it can fail to become JSON: strings, numbers and flags.
    fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The status as JSON, whatever is there.
pub(super) fn json(ifb: &Device) -> Result<String, PlugError> {
    let (link, root, driven) = read(ifb)?;
    Ok(Status::new(ifb, &link, &root, driven).json() + "\n")
}

/// Prints it; a gate that is no gate is a finding.
pub(super) fn run(ifb: &Device, format: Format, console: &mut Console) -> Result<Exit, Failure> {
    let (link, root, driven) = match read(ifb) {
        Ok(found) => found,
        Err(error) => {
            console.report(None, &Refused::Plug(error).report())?;
            return Ok(Exit::Findings);
        }
    };
    let status = Status::new(ifb, &link, &root, driven);
    match format {
        Format::Json => {
            console.line(&status.json())?;
        }
        Format::Text => {
            print(&status, console)?;
            for line in root.state.iter().flat_map(State::lines) {
                console.line(&line)?;
            }
        }
    }
    let problem = if !root.is_plug() {
        Some(PlugError::NotPlug {
            device: ifb.clone(),
            kind: root.kind,
        })
    } else if !link.is_up() {
        Some(PlugError::Down(ifb.clone()))
    } else {
        None
    };
    match problem {
        Some(problem) => {
            console.report(None, &Refused::Plug(problem).report())?;
            Ok(Exit::Findings)
        }
        None => Ok(Exit::Fine),
    }
}

fn print(status: &Status<'_>, console: &mut Console) -> Result<(), Failure> {
    let driver = if status.driven {
        "an epochgate gate"
    } else {
        "nobody from here"
    };
    console.line(&format!("interface   {}, {}", status.ifb, status.link))?;
    console.line(&format!("qdisc       {} {}", status.qdisc, status.handle))?;
    console.line(&format!("driven by   {driver}"))?;
    console.line(&format!(
        "held        {} packets, {} bytes",
        status.held_packets, status.held_bytes
    ))?;
    console.line(&format!(
        "sent        {} packets, {} bytes",
        status.sent_packets, status.sent_bytes
    ))?;
    console.line(&format!("drops       {}", status.drops))?;
    console.line(&format!("overlimits  {}", status.overlimits))
}

fn read(ifb: &Device) -> Result<(Link, Root, bool), PlugError> {
    let mut gate = Gate::open(ifb)?;
    let link = gate.link()?;
    let root = gate.root()?;
    Ok((link, root, is_taken(gate.index())))
}
