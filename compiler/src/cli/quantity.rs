//! Amounts on the command line: a number and its unit.

use std::time::Duration;

/// Units of time, in nanoseconds.
const TIMES: [(&str, f64); 4] = [("us", 1e3), ("ms", 1e6), ("s", 1e9), ("min", 60e9)];

/// The longest time that is taken, in nanoseconds: ten days.
const LONGEST: f64 = 864e12;

/// Units of size, in bytes.
const SIZES: [(&str, f64); 7] = [
    ("B", 1.0),
    ("kB", 1e3),
    ("KiB", 1024.0),
    ("MB", 1e6),
    ("MiB", 1_048_576.0),
    ("GB", 1e9),
    ("GiB", 1_073_741_824.0),
];

/// The largest size, and the largest rate in bytes a second: a tebibyte.
const LARGEST: f64 = 1_099_511_627_776.0;

/// Units of rate, in bits a second.
const BIT_RATES: [(&str, f64); 4] = [("bit", 1.0), ("kbit", 1e3), ("Mbit", 1e6), ("Gbit", 1e9)];

/// The slowest and the fastest link, in bits a second.
const LINKS: (f64, f64) = (1e3, 1e12);

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

/// Reads `64MiB`, `500kB`; a number alone is in bytes. Fractions of a byte are cut off.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    bytes(text, text, "such as `64MiB`").map(whole)
}

/// Reads `4MiB/s`, in bytes a second.
pub(crate) fn byte_rate(text: &str) -> Result<f64, String> {
    bytes(text, per_second(text)?, "and `/s`, such as `4MiB/s`")
}

/// Reads a rate in bytes a second that is at least a thousand.
pub(crate) fn positive_byte_rate(text: &str) -> Result<f64, String> {
    byte_rate(text).and_then(|rate| {
        if rate < 1e3 {
            Err(String::from("must be 1kB/s or more"))
        } else {
            Ok(rate)
        }
    })
}

/// Reads `100Mbit/s`, in bits a second.
pub(crate) fn bit_rate(text: &str) -> Result<f64, String> {
    let advice = "write a number and `kbit/s`, `Mbit/s` or `Gbit/s`, such as `100Mbit/s`";
    let (number, unit) = split(per_second(text)?);
    let factor = factor(&BIT_RATES, unit)
        .ok_or_else(|| format!("no such unit of a link's rate: `{unit}`; {advice}"))?;
    let rate = parsed(number).ok_or_else(|| format!("not a rate; {advice}"))? * factor;
    if (LINKS.0..=LINKS.1).contains(&rate) {
        Ok(rate)
    } else {
        Err(String::from("must be from 1kbit/s to 1000Gbit/s"))
    }
}

/// Reads `0.5%`, as a share of 1.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').map(str::trim_end);
    let percent = number
        .and_then(parsed)
        .ok_or("write a number and `%`, such as `0.5%`")?;
    if percent <= 100.0 {
        Ok(percent / 100.0)
    } else {
        Err(String::from("must be from 0% to 100%"))
    }
}

/// Reads how often something happens: `5/s`; a number alone is a second's.
pub(crate) fn frequency(text: &str) -> Result<f64, String> {
    let often = parsed(text.strip_suffix("/s").unwrap_or(text))
        .ok_or("write how many a second, such as `5/s`")?;
    if often <= 1e6 {
        Ok(often)
    } else {
        Err(String::from("must be 1000000/s or less"))
    }
}

fn bytes(whole: &str, text: &str, example: &str) -> Result<f64, String> {
    let advice =
        format!("write a number and `B`, `kB`, `KiB`, `MB`, `MiB`, `GB` or `GiB`, {example}");
    let (number, unit) = split(text);
    let factor = match unit {
        "" => Some(1.0),
        unit => factor(&SIZES, unit),
    };
    let factor = factor.ok_or_else(|| format!("no such unit in `{whole}`; {advice}"))?;
    let bytes = parsed(number).ok_or_else(|| format!("not an amount; {advice}"))? * factor;
    if bytes <= LARGEST {
        Ok(bytes)
    } else {
        Err(String::from("more than 1024GiB"))
    }
}

/// What stands before `/s`.
fn per_second(text: &str) -> Result<&str, String> {
    text.strip_suffix("/s")
        .ok_or_else(|| format!("`{text}` does not say per what; end it in `/s`"))
}

fn factor(units: &[(&str, f64)], unit: &str) -> Option<f64> {
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    Some(*factor)
}

/// A number that is not negative; the digits and points that [`split`] finds are no other.
fn parsed(number: &str) -> Option<f64> {
    number.parse().ok().filter(|number: &f64| *number >= 0.0)
}

/// The whole part of what is known to be neither negative nor larger than [`LARGEST`].
#[expect(
    clippy::cast_possible_truncation,
    reason = "the fraction is to go, and the conversion saturates"
)]
fn whole(number: f64) -> u64 {
    number as u64
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

    use super::{
        bit_rate, byte_rate, duration, frequency, positive_byte_rate, positive_duration, share,
        size,
    };

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

    #[test]
    fn sizes_and_rates() {
        for (text, bytes) in [("64MiB", 64 << 20), ("1.5kB", 1500), ("0", 0), ("7B", 7)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "-1B", "1M", "1mb", "1e3", "2000GiB", "1MiB/s"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(byte_rate("2MiB/s"), Ok(2_097_152.0));
        assert_eq!(byte_rate("0B/s"), Ok(0.0));
        assert!(byte_rate("2MiB").unwrap_err().contains("end it in `/s`"));
        assert!(positive_byte_rate("0B/s").is_err());
        assert_eq!(bit_rate("100Mbit/s"), Ok(1e8));
        for text in ["100", "100M/s", "0bit/s", "1MiB/s", "9999Gbit/s", "xMbit/s"] {
            assert!(bit_rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_and_frequencies() {
        assert_eq!(share("0.5%"), Ok(0.005));
        assert_eq!(share("100 %"), Ok(1.0));
        for text in ["0.5", "%", "101%", "-1%", "NaN%"] {
            assert!(share(text).is_err(), "{text}");
        }
        assert_eq!(frequency("5/s"), Ok(5.0));
        assert_eq!(frequency("0.1"), Ok(0.1));
        for text in ["", "5/min", "-1", "inf", "NaN"] {
            assert!(frequency(text).is_err(), "{text}");
        }
    }
}
