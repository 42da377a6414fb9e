//! The tables of a comparison, and what has to be so however fast the machine is.

use std::io;
use std::path::Path;

use serde::Serialize;

use super::pictures;
use super::run::{Row, Script, WAYS};

/// A comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// dom0's kernel, as `uname -r` prints it.
    pub kernel: String,
    /// Milliseconds from a commit to the next suspend.
    pub interval_ms: u32,
    /// Seconds of the box's own time for each way.
    pub seconds: u32,
    /// One for each of [`WAYS`].
    pub rows: Vec<Row>,
}

impl Report {
    /// Everything as it stands in docs/xen.md.
    #[must_use]
    pub fn tell(&self) -> String {
        format!(
            "Xen 4.17, dom0 with Linux {}, `xl remus -i {} -b`, {} s of the box's time for each row.\n\n{}",
            self.kernel,
            self.interval_ms,
            self.seconds,
            self.tables(),
        )
    }

    /// Draws Figures 5 and 6 of the paper, and one picture of both ways to replicate.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn draw(&self, directory: &Path) -> io::Result<()> {
        let call = |name: &str| {
            let row = self.rows.iter().find(|row| row.name == name);
            row.map(|row| &row.calls[0])
        };
        let ways = ("Xen's own script", "paper policy", "refined policy");
        let (Some(stock), Some(paper), Some(refined)) = (call(ways.0), call(ways.1), call(ways.2))
        else {
            return Ok(());
        };
        let pictures = [
            pictures::jitter(
                "xen-figure-5",
                "Figure 5 on Xen: everything is held",
                "A call over IPv4 from a domU under `xl remus` with Xen's own script.",
                &[("jitter", stock)],
                None,
            ),
            pictures::jitter(
                "xen-figure-6",
                "Figure 6 on Xen: TCP is held",
                "The same with a hook of Epochgate for the paper's policy.",
                &[("jitter", paper)],
                None,
            ),
            pictures::jitter(
                "xen-calls",
                "A call from a domU under xl remus",
                "With Xen's own script, and with a hook of Epochgate for voip.gate, which holds SIP and TCP.",
                &[("Xen's own script", stock), ("hook for voip.gate", refined)],
                None,
            ),
        ];
        pictures
            .iter()
            .try_for_each(|picture| pictures::write(directory, picture))
    }

    /// The tables alone.
    #[must_use]
    pub fn tables(&self) -> String {
        format!("{}\n{}\n{}", self.calls(), self.round_trips(), self.law())
    }

    fn calls(&self) -> String {
        let mut text = String::from(
            "| replicated with | checkpoints | period, ms | mean jitter, ms | largest jitter, ms | largest gap, ms | longest burst |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for row in &self.rows {
            let pair = |of: fn(&compiler::replay::Figures) -> f64| {
                let [v4, v6] = &row.calls;
                format!("{:.2}, {:.2}", of(&v4.figures), of(&v6.figures))
            };
            let cells = [
                row.name.to_owned(),
                row.checkpoints.to_string(),
                row.period_ms
                    .map_or(String::from("–"), |ms| format!("{ms:.0}")),
                pair(|call| call.mean_jitter_ms.unwrap_or_default()),
                pair(|call| call.max_jitter_ms.unwrap_or_default()),
                pair(|call| call.max_delta_ms),
                format!(
                    "{}, {}",
                    row.calls[0].figures.longest_burst, row.calls[1].figures.longest_burst
                ),
            ];
            text += &format!("| {} |\n", cells.join(" | "));
        }
        text
    }

    fn round_trips(&self) -> String {
        let mut text = String::from("| replicated with |");
        let classes = self.rows.first().map(|row| &row.round_trips);
        for class in classes.into_iter().flatten() {
            text += &format!(" {}, IPv{} |", class.class, class.family);
        }
        text += "\n| --- |";
        text += &" ---: |".repeat(classes.map_or(0, Vec::len));
        text += "\n";
        for row in &self.rows {
            text += &format!("| {} |", row.name);
            for class in &row.round_trips {
                text += &format!(" {:.1} / {:.1} |", class.median_ms, class.p95_ms);
            }
            text += "\n";
        }
        text
    }

    fn law(&self) -> String {
        let mut text = String::from(
            "| replicated with | held frames | left too early | of these IPv4, IPv6, ARP, tagged | epochs that left whole | passing frames | that took over 1 ms | left behind |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for row in self.rows.iter().filter(|row| row.checkpoints > 0) {
            let kinds: Vec<String> = row
                .kept
                .iter()
                .map(|(_, kept)| kept.leaked.to_string())
                .collect();
            text += &format!(
                "| {} | {} | {} | {} | {} of {} | {} | {} | {} |\n",
                row.name,
                row.all.held,
                row.all.leaked,
                kinds.join(", "),
                row.all.exact,
                row.all.epochs,
                row.all.passed,
                row.all.waited,
                row.left.map_or(String::from("–"), |left| left.to_string()),
            );
        }
        text
    }

    /// What has to be so: with hooks of ours nothing leaves early, each epoch leaves whole, and nothing is left
    /// behind; Xen's own script lets IPv6, ARP and tags through, or this test would see nothing.
    ///
    /// # Errors
    /// The first row that is otherwise.
    pub fn judge(&self) -> Result<(), String> {
        for (way, row) in WAYS.iter().zip(&self.rows) {
            judge_row(way.script, row)?;
            if let (Script::Ours, Some(left @ 1..)) = (way.script, row.left) {
                return Err(format!("{}: {left} things were left behind", row.name));
            }
        }
        Ok(())
    }
}

/// What has to be so of a replication while it runs, see [`Report::judge`].
///
/// # Errors
/// What is otherwise.
pub(super) fn judge_row(script: Script, row: &Row) -> Result<(), String> {
    let wrong = |what: String| Err(format!("{}: {what}", row.name));
    if script != Script::None && row.checkpoints < 10 {
        return wrong(format!("{} checkpoints only", row.checkpoints));
    }
    if row.strangers > 0 {
        return wrong(format!("{} frames came out of nowhere", row.strangers));
    }
    match script {
        Script::None => {}
        Script::Stock => {
            if row
                .kept
                .iter()
                .any(|(kind, kept)| *kind != "IPv4" && kept.leaked == 0)
            {
                return wrong(String::from(
                    "IPv6, ARP and tagged frames are known to leak here",
                ));
            }
        }
        Script::Ours => {
            if row.all.held == 0 {
                return wrong(String::from("no frame was held"));
            }
            if row.all.leaked > 0 {
                return wrong(format!("{} held frames left too early", row.all.leaked));
            }
            if row.all.exact != row.all.epochs {
                let (exact, epochs) = (row.all.exact, row.all.epochs);
                return wrong(format!("{exact} of {epochs} epochs left whole"));
            }
        }
    }
    Ok(())
}
