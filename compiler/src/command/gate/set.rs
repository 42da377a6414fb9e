//! `epochgate gate set`: what our kernel module does when there is no room, or no commit.

use std::time::Duration;

use crate::cli::{duration, size};
use crate::exit::Failure;
use crate::gate::module::{Late, Mark, Overflow, Setting};

/// Only what is given changes.
#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Args {
    /// When a packet finds no room: `drop` it, also `refuse` to begin epochs until something left, or
    /// also ask for a checkpoint from so many bytes on: `ask:BYTES`.
    #[arg(long, value_name = "WHAT", value_parser = overflow)]
    overflow: Option<Overflow>,
    /// Most epochs that have ended and are not committed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: Option<u32>,
    /// How long the watchdog waits for a commit, such as `2s`, or `off`.
    #[arg(long, value_name = "TIME", value_parser = patience)]
    watchdog: Option<u32>,
    /// When it has waited in vain: `hold` and say so, `abort` what is not committed, or `open` the gate.
    #[arg(long, value_name = "WHAT", value_parser = late)]
    late: Option<Late>,
    /// Packets with this mark pass by, `VALUE/MASK` such as `0x100/0x100`, or `none`.
    #[arg(long, value_name = "MARK", value_parser = mark)]
    mark: Option<Mark>,
    /// Say that `--late open` is meant.
    #[arg(long, requires = "late")]
    release_uncommitted: bool,
}

impl Args {
    /// All that is given.
    pub(super) fn settings(&self) -> Result<Vec<Setting>, Failure> {
        if self.late == Some(Late::Open) && !self.release_uncommitted {
            return Err(Failure::Usage {
                message: String::from(
                    "`--late open` lets out what is held for epochs that no backup has",
                ),
                help: Some(String::from(
                    "if that is meant, add `--release-uncommitted`; `--late hold` is safe",
                )),
            });
        }
        let settings = [
            self.overflow.map(Setting::Overflow),
            self.in_flight.map(Setting::InFlight),
            self.watchdog.map(Setting::Watchdog),
            self.late.map(Setting::Late),
            self.mark.map(Setting::Mark),
        ];
        Ok(settings.into_iter().flatten().collect())
    }
}

fn overflow(text: &str) -> Result<Overflow, String> {
    match (text, text.strip_prefix("ask:")) {
        ("drop", _) => Ok(Overflow::Drop),
        ("refuse", _) => Ok(Overflow::RefuseEpoch),
        (_, Some(bytes)) => size(bytes).map(Overflow::AskAt),
        _ => Err(String::from("one of `drop`, `refuse` and `ask:BYTES`")),
    }
}

fn late(text: &str) -> Result<Late, String> {
    match text {
        "hold" => Ok(Late::Hold),
        "abort" => Ok(Late::Abort),
        "open" => Ok(Late::Open),
        _ => Err(String::from("one of `hold`, `abort` and `open`")),
    }
}

/// In milliseconds. A time that would be cut off to 0 is not "never".
fn patience(text: &str) -> Result<u32, String> {
    if text == "off" {
        return Ok(0);
    }
    let time = duration(text)?;
    if time < Duration::from_millis(1) {
        return Err(String::from("at least 1ms, or `off`"));
    }
    u32::try_from(time.as_millis()).map_err(|_| String::from("ten days at most"))
}

/// A mask of no bits would be `none` in disguise, bits outside of it would never be there, and a value
/// without bits would let pass whatever nobody has marked.
fn mark(text: &str) -> Result<Mark, String> {
    if text == "none" {
        return Ok(Mark { value: 0, mask: 0 });
    }
    let advice = "write `VALUE/MASK`, such as `0x100/0x100`, or `none`";
    let (value, mask) = text.split_once('/').ok_or(advice)?;
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let mark = match (number(value), number(mask)) {
        (Ok(value), Ok(mask)) => Mark { value, mask },
        _ => return Err(String::from(advice)),
    };
    if mark.value & !mark.mask != 0 {
        return Err(format!(
            "the value has bits that the mask has not; {advice}"
        ));
    }
    if mark.value == 0 {
        return Err(format!("packets without a mark would pass by; {advice}"));
    }
    Ok(mark)
}

#[cfg(test)]
mod tests {
    use super::{Late, Mark, Overflow, late, mark, overflow, patience};

    #[test]
    fn words_and_amounts_are_read_and_nothing_else() {
        assert_eq!(overflow("drop"), Ok(Overflow::Drop));
        assert_eq!(overflow("refuse"), Ok(Overflow::RefuseEpoch));
        assert_eq!(overflow("ask:48MiB"), Ok(Overflow::AskAt(48 << 20)));
        for bad in ["", "ask", "ask:", "ask:much", "Drop", "open"] {
            assert!(overflow(bad).is_err(), "{bad:?}");
        }
        assert_eq!(late("abort"), Ok(Late::Abort));
        assert!(late("drop").is_err());
    }

    /// 0 would mean that the watchdog never barks.
    #[test]
    fn a_short_time_is_not_taken_for_never() {
        assert_eq!((patience("off"), patience("2s")), (Ok(0), Ok(2_000)));
        assert_eq!(patience("1ms"), Ok(1));
        for bad in ["0", "0ms", "900us", "", "soon", "15000min"] {
            assert!(patience(bad).is_err(), "{bad:?}");
        }
    }

    /// No mask, or one of no bits, would let every packet pass by with a careless reader.
    #[test]
    fn a_mark_has_a_mask_that_covers_it() {
        let wanted = Mark {
            value: 0x100,
            mask: 0xf00,
        };
        assert_eq!(mark("0x100/0xf00"), Ok(wanted));
        assert_eq!(mark("256/3840"), Ok(wanted));
        for bad in [
            "",
            "1",
            "0x100",
            "0/0",
            "0/4",
            "1/0",
            "3/1",
            "1/0x",
            "-1/1",
            "1/0x1ffffffff",
        ] {
            assert!(mark(bad).is_err(), "{bad:?}");
        }
    }
}
