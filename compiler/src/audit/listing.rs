//! What the system's tools printed, as one text that can be kept and sent around.
//!
//! ```text
//! epochgate listing 1
//! vif vif1.0
//! ifb ifb-vif1.0
//! $ ip -j -d -s link show
//! |[{"ifindex":1,...
//! = 0
//! ```
//!
//! `$` a command, `|` a line of what it printed, `=` its exit code. What else may come later starts
//! with another sign and is passed over.

use crate::device::{BadDevice, Device};

/// The first line.
const HEAD: &str = "epochgate listing 1";

/// Largest text that is read, in bytes.
const LARGEST: usize = 64 << 20;

/// One command and what it printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The command with its arguments.
    pub command: String,
    /// What it printed to standard output.
    pub text: String,
    /// Its exit code; 127 if there is no such program.
    pub code: u8,
}

/// The outputs of all commands that an audit needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The interface that was looked at.
    pub vif: Device,
    /// Its IFB.
    pub ifb: Device,
    /// What was run, in order.
    pub outputs: Vec<Output>,
}

/// A listing that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadListing {
    /// It is no listing of this form.
    #[error("line {line}: {reason}")]
    Form {
        /// From 1 on.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A name in it is none.
    #[error(transparent)]
    Name(#[from] BadDevice),
    /// A command is not in it.
    #[error("`{command}` is not in the listing")]
    Missing {
        /// The command.
        command: String,
    },
    /// A command failed.
    #[error("`{command}` failed with code {code}")]
    Failed {
        /// The command.
        command: String,
        /// Its exit code.
        code: u8,
    },
    /// What a command printed is not what it should print.
    #[error("what `{command}` printed is not understood: {reason}")]
    Output {
        /// The command.
        command: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// What has to be run for an audit, in this order; all of it only looks.
#[must_use]
pub fn commands(vif: &Device, ifb: &Device) -> [Vec<String>; 7] {
    let words = |text: &str, device: Option<&Device>, last: &[&str]| {
        text.split(' ')
            .chain(device.map(Device::as_str))
            .chain(last.iter().copied())
            .map(str::to_owned)
            .collect()
    };
    [
        words("ip -j -d -s link show", None, &[]),
        words("tc -j -s qdisc show", None, &[]),
        words("tc -s filter show dev", Some(vif), &["ingress"]),
        words("nft list ruleset", None, &[]),
        words("nft list hooks netdev device", Some(vif), &[]),
        words("nft list hooks", None, &[]),
        words("tc -j -s qdisc show dev", Some(ifb), &[]),
    ]
}

/// One more, which our own program answers: what the gate says of itself. Only our module says
/// anything there that the others don't.
#[must_use]
pub fn status_command(ifb: &Device) -> String {
    format!("epochgate gate --ifb {ifb} status --format json")
}

impl Listing {
    /// Reads the text of a listing.
    ///
    /// # Errors
    ///
    /// [`BadListing`] with the line.
    pub fn read(text: &str) -> Result<Self, BadListing> {
        let form = |at: usize, reason: &str| BadListing::Form {
            line: at + 1,
            reason: reason.to_owned(),
        };
        if text.len() > LARGEST {
            return Err(form(0, "this is more than 64 MiB"));
        }
        let mut lines = text.lines().enumerate();
        if lines.next().map(|(_, line)| line) != Some(HEAD) {
            return Err(form(
                0,
                "this is no listing: it should start with `epochgate listing 1`",
            ));
        }
        let mut name = |what: &str, at: usize| match lines.next() {
            Some((_, line)) => match line.strip_prefix(what) {
                Some(name) => Ok(Device::new(name)?),
                None => Err(form(
                    at,
                    &format!("`{}` and a name are missing", what.trim()),
                )),
            },
            None => Err(form(at, "the listing ends")),
        };
        let (vif, ifb) = (name("vif ", 1)?, name("ifb ", 2)?);
        let mut outputs = Vec::new();
        let mut open: Option<Output> = None;
        for (at, line) in lines {
            let mut signs = line.chars();
            match (signs.next(), &mut open) {
                (Some('$'), None) => {
                    open = Some(Output {
                        command: signs.as_str().trim().to_owned(),
                        text: String::new(),
                        code: 0,
                    });
                }
                (Some('|'), Some(output)) => {
                    output.text.push_str(signs.as_str());
                    output.text.push('\n');
                }
                (Some('='), Some(output)) => {
                    let code = signs.as_str().trim().parse();
                    output.code = code.map_err(|_| form(at, "this is no exit code"))?;
                    outputs.extend(open.take());
                }
                (Some('$' | '|' | '='), _) => return Err(form(at, "this line is out of place")),
                _ => {}
            }
        }
        match open {
            Some(output) => Err(form(
                text.lines().count(),
                &format!("`{}` has no end", output.command),
            )),
            None => Ok(Self { vif, ifb, outputs }),
        }
    }

    /// The listing as text, which [`Self::read`] reads.
    #[must_use]
    pub fn write(&self) -> String {
        let mut text = format!("{HEAD}\nvif {}\nifb {}\n", self.vif, self.ifb);
        for output in &self.outputs {
            text.push_str(&format!("$ {}\n", output.command));
            for line in output.text.lines() {
                text.push_str(&format!("|{line}\n"));
            }
            text.push_str(&format!("= {}\n", output.code));
        }
        text
    }

    fn find(&self, command: &str) -> Result<&Output, BadListing> {
        let found = self.outputs.iter().find(|output| output.command == command);
        found.ok_or_else(|| BadListing::Missing {
            command: command.to_owned(),
        })
    }

    /// What a command printed that is there on every system.
    pub(super) fn must(&self, command: &str) -> Result<&str, BadListing> {
        let output = self.find(command)?;
        match output.code {
            0 => Ok(&output.text),
            code => Err(BadListing::Failed {
                command: command.to_owned(),
                code,
            }),
        }
    }

    /// What a command printed, if it is there and did not fail.
    pub(super) fn may(&self, command: &str) -> Option<&str> {
        self.must(command).ok()
    }
}
