//! The table of what was measured, and what has to be so whatever the machine does.

use super::{Caller, Report};

impl Report {
    /// Everything as it stands in docs/paper.md; `release` is that of the kernel.
    #[must_use]
    pub fn tell(&self, release: &str) -> String {
        format!(
            "Linux {release}, calls sent by {}; {} checkpoints, one each {:.1} ms, pauses of {:.1} ms; outside of pauses the \
             sender's clock is {:.3} ms late on average.\n\n{}",
            match self.caller {
                Caller::Own => "our own sender",
                Caller::Sipp => "sipp",
            },
            self.checkpoints,
            self.period_ms,
            self.pause_ms,
            self.lateness_ms,
            self.table().trim_end()
        )
    }

    /// The table: measured, and predicted in brackets.
    fn table(&self) -> String {
        let mut text = String::from(
            "| policy | mean jitter, ms | largest jitter, ms | largest gap, ms | longest burst | MOS | delay of media, ms | delay of TCP, ms |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for row in &self.rows {
            let (m, p) = (&row.measured, &row.predicted);
            let pair = |measured: f64, predicted: f64| format!("{measured:.2} ({predicted:.2})");
            let name = match &row.policy {
                Some(file) => format!("{}, `{file}`", row.name),
                None => row.name.clone(),
            };
            let cells = [
                name,
                pair(m.mean_jitter_ms, p.mean_jitter_ms),
                pair(m.max_jitter_ms, p.max_jitter_ms),
                pair(m.max_delta_ms, p.max_delta_ms),
                format!("{} ({})", m.longest_burst, p.longest_burst),
                pair(m.mos, p.mos),
                pair(m.media_delay_ms, p.media_delay_ms),
                pair(m.tcp_delay_ms, p.tcp_delay_ms),
            ];
            text += &format!("| {} |\n", cells.join(" | "));
        }
        text
    }

    /// What has to be so whatever the machine does: media that passes is as it would be without a
    /// gate, to a tenth or 0.2 ms; media that is held comes in bursts; nothing is lost; and what
    /// every policy holds waits.
    ///
    /// # Errors
    /// The first row that is otherwise.
    pub fn judge(&self) -> Result<(), String> {
        let [free, gated @ ..] = self.rows.as_slice() else {
            return Err(String::from("nothing was measured"));
        };
        let jitter = free.measured.mean_jitter_ms;
        for row in gated {
            let (name, heard) = (&row.name, &row.measured);
            if heard.lost != 0 {
                return Err(format!("{name}: {} packets were lost", heard.lost));
            }
            let differs = (heard.mean_jitter_ms - jitter).abs();
            let packets = (self.period_ms / 20.0 - 2.0) as u64;
            if row.holds_media && heard.longest_burst < packets {
                return Err(format!(
                    "{name}: bursts of {} packets at most, at least {packets} are due",
                    heard.longest_burst
                ));
            }
            if !row.holds_media && differs > (jitter / 10.0).max(0.2) {
                return Err(format!(
                    "{name}: a mean jitter of {:.3} ms, without a gate {jitter:.3} ms",
                    heard.mean_jitter_ms
                ));
            }
            if heard.tcp_delay_ms < self.period_ms / 4.0 {
                return Err(format!(
                    "{name}: TCP waits {:.1} ms only",
                    heard.tcp_delay_ms
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::measure::{Caller, Heard, Report, Row};

    fn report(passing_jitter_ms: f64, burst: u64, tcp_delay_ms: f64) -> Report {
        let row = |holds_media, mean_jitter_ms, longest_burst| Row {
            name: String::from("a policy"),
            policy: None,
            holds_media,
            measured: Heard {
                mean_jitter_ms,
                longest_burst,
                tcp_delay_ms,
                ..Heard::default()
            },
            calls: BTreeMap::new(),
            arrived: Vec::new(),
            predicted: Heard::default(),
        };
        Report {
            rows: vec![
                row(false, 1.0, 1),
                row(true, 30.0, burst),
                row(false, passing_jitter_ms, 1),
            ],
            checkpoints: 10,
            pause_ms: 20.0,
            period_ms: 400.0,
            lateness_ms: 0.1,
            caller: Caller::Own,
        }
    }

    #[test]
    fn the_judge_sees_what_is_wrong() {
        assert_eq!(report(1.1, 20, 200.0).judge(), Ok(()));
        assert!(report(1.3, 20, 200.0).judge().is_err(), "media was delayed");
        assert!(report(1.1, 2, 200.0).judge().is_err(), "nothing was held");
        assert!(report(1.1, 20, 1.0).judge().is_err(), "TCP was not held");
    }
}
