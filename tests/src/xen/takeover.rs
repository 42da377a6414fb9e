//! The tables of failovers, and what has to be so of them.

use std::io;
use std::path::Path;

use serde::Serialize;

use super::failover::{Failover, Seen};
use super::pictures;
use super::report::{Report, judge_row};
use super::run::{Script, WAYS};
use super::wire::SILENCE;

/// Failovers, one for each way to replicate.
#[derive(Clone, Debug, Serialize)]
pub struct Takeovers {
    /// dom0's kernel, as `uname -r` prints it.
    pub kernel: String,
    /// Milliseconds from a commit to the next suspend.
    pub interval_ms: u32,
    /// Seconds of the primary's own time before it is killed.
    pub seconds: u32,
    /// One for each of [`WAYS`] that replicates.
    pub rows: Vec<Failover>,
}

impl Takeovers {
    /// Everything as it stands in docs/xen.md.
    #[must_use]
    pub fn tell(&self) -> String {
        let replications = Report {
            kernel: self.kernel.clone(),
            interval_ms: self.interval_ms,
            seconds: self.seconds,
            rows: self.rows.iter().map(|row| row.before.clone()).collect(),
        };
        format!(
            "Two boxes with Xen 4.17, dom0 with Linux {}, `xl remus -i {}`, {} s of the primary's time, then its end. \
             {} ms of silence are an end.\n\n{}\n{}\n{}",
            self.kernel,
            self.interval_ms,
            self.seconds,
            SILENCE.as_millis(),
            self.gaps(),
            self.numbers(),
            replications.tables(),
        )
    }

    /// Draws Figure 7 of the paper.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn draw(&self, directory: &Path) -> io::Result<()> {
        let Some(paper) = self.rows.iter().find(|row| row.name == "paper policy") else {
            return Ok(());
        };
        let picture = pictures::jitter(
            "xen-figure-7",
            "Figure 7 on Xen: TCP is held, the primary fails",
            "The call of a domU that is replicated to a second box, at its receiver.",
            &[("jitter", &paper.calls[0])],
            Some(paper.died_ms),
        );
        pictures::write(directory, &picture)
    }

    fn gaps(&self) -> String {
        let mut text = String::from(
            "| replicated with | silent, ms | first frame of the backup | switches told after, ms | call | SIP | TCP | answered call | call ended well |\n\
             | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | --- |\n",
        );
        for row in &self.rows {
            let gap = |stream: &str| {
                let gaps: Vec<String> = of(row, stream)
                    .map(|seen| format!("{:.0}", seen.gap_ms))
                    .collect();
                gaps.join(", ")
            };
            let announced = row
                .announced_ms
                .map_or(String::from("never"), |ms| format!("{ms:.0}"));
            text += &format!(
                "| {} | {:.0} | {} | {announced} | {} | {} | {} | {} | {} |\n",
                row.name,
                row.silent_ms,
                row.first,
                gap("call"),
                gap("sip"),
                gap("tcp"),
                gap("answered call"),
                if row.hung_up { "yes" } else { "no" },
            );
        }
        text
    }

    fn numbers(&self) -> String {
        let streams = ["call", "sip", "arp", "tagged"];
        let mut text = String::from("| replicated with |");
        for stream in streams {
            text += &format!(" {stream}: said again | lost |");
        }
        text += "\n| --- |";
        text += &" ---: | ---: |".repeat(streams.len());
        text += "\n";
        for row in &self.rows {
            text += &format!("| {} |", row.name);
            for stream in streams {
                let all = |of_seen: fn(&Seen) -> usize| {
                    let counts: Vec<String> = of(row, stream)
                        .map(|seen| of_seen(seen).to_string())
                        .collect();
                    counts.join(", ")
                };
                text += &format!(" {} | {} |", all(|seen| seen.again), all(|seen| seen.lost));
            }
            text += "\n";
        }
        text
    }

    /// What has to be so: the law was kept before, every stream came back, with hooks of ours none of what is held
    /// was said again, the call that was up is ended in good order, and no connection had to be made anew.
    ///
    /// # Errors
    /// The first row that is otherwise.
    pub fn judge(&self) -> Result<(), String> {
        for row in &self.rows {
            let Some(way) = WAYS.iter().find(|way| way.name == row.name) else {
                continue;
            };
            judge_row(way.script, &row.before)?;
            stream_by_stream(way.script, row.name, &row.streams)?;
            if !row.hung_up {
                return Err(format!("{}: the call did not end well", row.name));
            }
            if row.reconnects > 0 {
                return Err(format!("{}: connections were made anew", row.name));
            }
        }
        Ok(())
    }
}

/// Every stream over each family that it has, and what the service sends back.
const STREAMS: usize = 9;

/// See [`Takeovers::judge`].
fn stream_by_stream(script: Script, name: &str, streams: &[Seen]) -> Result<(), String> {
    if streams.len() != STREAMS {
        let came = streams.len();
        return Err(format!("{name}: {came} of {STREAMS} streams came back"));
    }
    let again = |seen: &&Seen| script == Script::Ours && seen.held && seen.again > 0;
    match streams.iter().find(again) {
        None => Ok(()),
        Some(Seen { stream, again, .. }) => Err(format!(
            "{name}: {again} held packets ({stream}) had come out that the backup does not know of. libxl lets go \
             when it has written a checkpoint, not when the backup has it: see whether it was that"
        )),
    }
}

/// What was seen of a stream, over IPv4 and then IPv6.
fn of<'a>(row: &'a Failover, stream: &'a str) -> impl Iterator<Item = &'a Seen> {
    row.streams.iter().filter(move |seen| seen.stream == stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(again: usize) -> Vec<Seen> {
        let one = Seen {
            stream: String::from("sip"),
            family: 4,
            held: true,
            gap_ms: 1_300.0,
            again,
            lost: 0,
        };
        vec![one; STREAMS]
    }

    #[test]
    fn a_stream_that_does_not_come_back_is_an_error() {
        assert!(stream_by_stream(Script::Ours, "x", &streams(0)).is_ok());
        assert!(stream_by_stream(Script::Ours, "x", &streams(0)[1..]).is_err());
    }

    #[test]
    fn what_is_held_and_said_again_is_an_error() {
        assert!(stream_by_stream(Script::Ours, "x", &streams(1)).is_err());
        assert!(stream_by_stream(Script::Stock, "x", &streams(1)).is_ok());
    }
}
