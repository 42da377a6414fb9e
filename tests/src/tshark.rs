//! RTP streams as `tshark -q -z rtp,streams` prints them, and our figures in the same form: a second
//! opinion on jitter, gaps and loss, digit by digit.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::Command;

use compiler::flow::Ends;
use compiler::replay::{Compared, Figures};

/// Source port, destination port and SSRC: what tells the streams of one capture apart.
pub type Key = (u16, u16, u32);

/// What tshark prints of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printed {
    /// Packets.
    pub packets: u64,
    /// Packets missing by their numbers; less than zero if some came twice.
    pub lost: i64,
    /// Deltas, then jitters, each least, mean and most, in milliseconds.
    pub milliseconds: [String; 6],
}

/// Whether there is a tshark.
#[must_use]
pub fn is_here() -> bool {
    Command::new("tshark").arg("--version").output().is_ok()
}

/// The streams that tshark finds in a capture. With `guess` it takes for RTP what looks like it,
/// without SDP.
///
/// # Errors
/// When tshark can't be run.
pub fn streams(capture: &Path, guess: bool) -> io::Result<BTreeMap<Key, Printed>> {
    let mut command = Command::new("tshark");
    if guess {
        command.args(["--enable-heuristic", "rtp_udp"]);
    }
    command.args(["-q", "-z", "rtp,streams", "-r"]).arg(capture);
    let text = String::from_utf8_lossy(&command.output()?.stdout).into_owned();
    Ok(text.lines().filter_map(printed).collect())
}

/// One line of its table: start, end, source, port, destination, port, SSRC, payloads, packets,
/// lost, (percent), six times, and perhaps an X for a problem.
fn printed(line: &str) -> Option<(Key, Printed)> {
    let line = line.trim_end().trim_end_matches('X').trim_end();
    let words: Vec<&str> = line.split_whitespace().collect();
    let ssrc = words.get(6)?.strip_prefix("0x")?;
    let key = (
        words.get(3)?.parse().ok()?,
        words.get(5)?.parse().ok()?,
        u32::from_str_radix(ssrc, 16).ok()?,
    );
    let (head, times) = words.split_at(words.len() - 6);
    let [.., packets, lost, _percent] = head else {
        return None;
    };
    Some((key, Printed::read(packets, lost, times)?))
}

impl Printed {
    /// Reads them as they are printed, `times` being six.
    pub(crate) fn read(packets: &str, lost: &str, times: &[&str]) -> Option<Self> {
        let times: &[&str; 6] = times.try_into().ok()?;
        Some(Self {
            packets: packets.parse().ok()?,
            lost: lost.parse().ok()?,
            milliseconds: times.map(str::to_owned),
        })
    }

    /// Our figures as tshark would print them.
    #[must_use]
    pub fn of(figures: &Figures) -> Self {
        let least = |value: Option<f64>| value.unwrap_or(-1.0);
        let milliseconds = [
            least(figures.min_delta_ms),
            figures.mean_delta_ms,
            figures.max_delta_ms,
            least(figures.min_jitter_ms),
            figures.mean_jitter_ms.unwrap_or(0.0),
            figures.max_jitter_ms.unwrap_or(0.0),
        ];
        Self {
            packets: figures.packets,
            lost: figures.lost,
            milliseconds: milliseconds.map(|value| format!("{value:.3}")),
        }
    }
}

/// The key of one of our streams; they all have ports.
///
/// # Panics
/// When a stream of `replay` has none.
#[must_use]
pub fn key(compared: &Compared) -> Key {
    match compared.stream.key.flow.ends {
        Ends::Ip {
            ports: Some((sport, dport)),
            ..
        } => (sport, dport, compared.stream.key.ssrc),
        other => panic!("{other:?} has no ports"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_line_of_the_table_is_read() {
        let line = "    29.970889     65.241311      10.23.1.52 16756    10.35.60.100 15580 0x17D90134 \
                    g711A, CN, RTPType-100  1171    -2 (-0.2%)           1.078          10.216          20.427           \
                    0.030           0.268           1.343 X";
        let (key, printed) = super::printed(line).unwrap();
        assert_eq!(key, (16_756, 15_580, 0x17d9_0134));
        assert_eq!((printed.packets, printed.lost), (1171, -2));
        assert_eq!(printed.milliseconds[0], "1.078");
        assert_eq!(printed.milliseconds[5], "1.343");
        assert_eq!(
            super::printed("   Start time      End time     Src IP addr"),
            None
        );
    }
}
