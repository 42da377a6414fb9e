//! What came out at the far side, as text that a guest prints and the host reads: for each policy its
//! capture, and what we say of each call in it. So tshark, which no guest has, can be asked too.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use compiler::capture::{Record, write};

use super::Report;
use crate::tshark::{self, Printed};

/// Bytes of a frame that are passed on: enough for all headers.
const KEPT: usize = 64;

/// One policy's calls.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// As the table calls the policy.
    pub name: String,
    /// Our figures of each call, by its source port.
    pub calls: BTreeMap<u16, Printed>,
    /// The capture, as a pcap file.
    pub capture: Vec<u8>,
}

/// Everything of a report, behind its text.
#[must_use]
pub fn written(report: &Report) -> String {
    let mut text = String::new();
    for row in &report.rows {
        let _ = writeln!(text, "lane {}", row.name);
        for (port, figures) in &row.calls {
            let Printed {
                packets,
                lost,
                milliseconds,
            } = Printed::of(figures);
            let times = milliseconds.join(" ");
            let _ = writeln!(text, "call {port} {packets} {lost} {times}");
        }
        let records = (1..).zip(&row.arrived).map(|(number, (at, frame))| Record {
            number,
            time: *at,
            original_len: frame.len() as u32,
            frame: frame.iter().take(KEPT).copied().collect(),
        });
        text += "capture ";
        for byte in write::pcap(&records.collect::<Vec<_>>()) {
            let _ = write!(text, "{byte:02x}");
        }
        text += "\n";
    }
    text
}

/// Parts what a guest printed: the text of the report, and the rest.
///
/// # Errors
/// A line that is none of ours.
pub fn read(said: &str) -> Result<(String, Vec<Heard>), String> {
    let (mut text, mut all) = (String::new(), Vec::<Heard>::new());
    for line in said.lines() {
        let broken = || format!("not of a transcript: {line:.60}");
        match (line.split_once(' '), all.last_mut()) {
            (Some(("lane", name)), _) => all.push(Heard {
                name: name.to_owned(),
                ..Heard::default()
            }),
            (Some(("call", figures)), Some(heard)) => {
                let (port, printed) = call(figures).ok_or_else(broken)?;
                heard.calls.insert(port, printed);
            }
            (Some(("capture", digits)), Some(heard)) => {
                heard.capture = bytes(digits).ok_or_else(broken)?;
            }
            (_, None) => text += &format!("{line}\n"),
            _ => return Err(broken()),
        }
    }
    Ok((text.trim_end().to_owned(), all))
}

fn call(figures: &str) -> Option<(u16, Printed)> {
    let words: Vec<&str> = figures.split_whitespace().collect();
    let [port, packets, lost, times @ ..] = words.as_slice() else {
        return None;
    };
    Some((port.parse().ok()?, Printed::read(packets, lost, times)?))
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(byte).collect()
}

impl Heard {
    /// Asks tshark about the capture, which is written to this place. Returns how many calls it and
    /// we say the same of, digit by digit.
    ///
    /// # Errors
    /// The first call that differs.
    pub fn compare(&self, place: &Path) -> Result<usize, String> {
        std::fs::write(place, &self.capture).map_err(|e| e.to_string())?;
        let theirs = tshark::streams(place, true).map_err(|e| e.to_string())?;
        let theirs: BTreeMap<u16, Printed> = theirs
            .into_iter()
            .map(|((port, ..), printed)| (port, printed))
            .collect();
        if theirs == self.calls {
            return Ok(theirs.len());
        }
        let differs = |port: &&u16| theirs.get(port) != self.calls.get(port);
        let mut ports: Vec<&u16> = theirs.keys().chain(self.calls.keys()).collect();
        ports.sort();
        ports.dedup();
        let port = ports.into_iter().find(differs);
        Err(format!(
            "{}, call from port {port:?}: tshark prints {:?}, and we say {:?}",
            self.name,
            port.and_then(|port| theirs.get(port)),
            port.and_then(|port| self.calls.get(port)),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{Heard, call, read, written};
    use crate::measure::sender::{heard, media_frame};
    use crate::measure::{Caller, Report, Row};
    use crate::{skip, tshark};

    const CALLS: u32 = 300;

    /// Calls whose packets come later and later, long after 1970. The least jitter of each lies on the
    /// border of two last digits, so the same figures need the same arithmetic.
    fn report() -> Report {
        let at = |call: u32, n: u32| {
            let (call, n) = (u64::from(call), u64::from(n));
            let late = n * n * (8 + 16 * call);
            Duration::from_micros(1_700_000_000_123_457 + n * 20_000 + call * 37_019 + late)
        };
        let calls = (0..CALLS).flat_map(|call| (0..9).map(move |n| (call, n)));
        let mut arrived: Vec<(Duration, Vec<u8>)> = calls
            .map(|(call, n)| (at(call, n), media_frame(call, n, 0)))
            .collect();
        arrived.sort();
        let (calls, measured) = heard(&arrived, &BTreeMap::new());
        let row = Row {
            name: String::from("no gate"),
            policy: None,
            holds_media: false,
            measured,
            calls,
            arrived,
            predicted: measured,
        };
        Report {
            rows: vec![row],
            checkpoints: 1,
            pause_ms: 0.0,
            period_ms: 0.0,
            lateness_ms: 0.0,
            caller: Caller::Own,
        }
    }

    #[test]
    fn tshark_says_the_same_or_there_is_an_error() {
        if !tshark::is_here() {
            skip("tshark_says_the_same_or_there_is_an_error", "no tshark");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let capture = place.path().join("far.pcap");
        let (_, mut lanes) = read(&written(&report())).unwrap();
        assert_eq!(lanes[0].compare(&capture), Ok(CALLS as usize));
        let call = lanes[0].calls.first_entry().unwrap().into_mut();
        call.milliseconds[4] += "1";
        assert!(lanes[0].compare(&capture).is_err());
    }

    #[test]
    fn what_was_written_is_read() {
        let said =
            "a table\n\nmore\nlane no gate\ncall 16384 3 0 1.0 2.0 3.0 0.1 0.2 0.3\ncapture d4c3\n";
        let (text, all) = read(said).unwrap();
        assert_eq!(text, "a table\n\nmore");
        let (port, printed) = call("16384 3 0 1.0 2.0 3.0 0.1 0.2 0.3").unwrap();
        let expected = Heard {
            name: String::from("no gate"),
            calls: [(port, printed)].into(),
            capture: vec![0xd4, 0xc3],
        };
        assert_eq!(all, [expected]);
        assert!(read("lane x\nsomething else").is_err());
        assert!(read("lane x\ncapture d4c").is_err());
    }
}
