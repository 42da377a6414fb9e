//! Amounts on the command line: a number and its unit.

use std::time::Duration;

/// Units of time, in nanoseconds.
const TIMES: [(&str, f64); 4] = [("us", 1e3), ("ms", 1e6), ("s", 1e9), ("min", 60e9)];

/// The longest time that is taken, in nanoseconds: ten days.
const LONGEST: f64 = 864e12;

/// Reads `40ms`, `1.5s`, `250us`, `10min`; a number alone is in milliseconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let factor = match unit {
        "" => Some(1e6),
        unit => TIMES
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor),
    };
    let advice = "write a number and `us`, `ms`, `s` or `min`, such as `40ms`";
    let factor = factor.ok_or_else(|| format!("no such unit of time: `{unit}`; {advice}"))?;
    let number: f64 = number
        .parse()
        .map_err(|_| format!("not a time; {advice}"))?;
    let nanoseconds = number * factor;
    if !(0.0..=LONGEST).contains(&nanoseconds) {
        return Err(String::from("longer than ten days"));
    }
    Duration::try_from_secs_f64(nanoseconds / 1e9).map_err(|error| error.to_string())
}

/// Reads a time that can't be zero.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|time| {
        if time.is_zero() {
            Err(String::from("must be more than zero"))
        } else {
            Ok(time)
        }
    })
}

/// The number and what follows it.
fn split(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{duration, positive_duration};

    #[test]
    fn times() {
        for (text, micros) in [
            ("40ms", 40_000),
            ("1.5s", 1_500_000),
            ("250us", 250),
            ("300", 300_000),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
        for text in [
            "",
            "ms",
            "-1s",
            "1h",
            "1.2.3s",
            "1e9s",
            "11days",
            "NaN",
            "999999999999s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(positive_duration("0ms").is_err());
    }
}
