//! The lines between the daemon and its client: one request a line, one answer a line, plain text.
//!
//! The grammar is the project's own and stands in docs/gate.md. Anything else is an error, which
//! changes nothing: a line that can't be read never opens a gate.

use std::fmt;

use qdisc_model::controller::{Answer, Request};

/// Longest line of a client, in bytes, without its end.
pub const LONGEST_LINE: usize = 128;

/// One line of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Something to do.
    Request(Request),
    /// `status`.
    Status,
}

/// Why a line is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLine {
    /// No such request.
    #[error("`{0}` is no request; `epoch N end`, `epoch N committed`, `abort` and `status` are")]
    Unknown(String),
    /// The epoch is no number.
    #[error("`{0}` is no epoch; it is a number from 0 to 18446744073709551615")]
    NoEpoch(String),
    /// It has no end within reason.
    #[error("the line is longer than {LONGEST_LINE} bytes")]
    TooLong,
}

/// Reads a line without its end.
///
/// # Errors
///
/// [`BadLine`] for all that is not in the grammar.
pub fn parse(line: &[u8]) -> Result<Line, BadLine> {
    if line.len() > LONGEST_LINE {
        return Err(BadLine::TooLong);
    }
    // For the answer: what is no text, or would not be one line, is shown as escapes.
    let shown = || line.escape_ascii().to_string();
    let text = std::str::from_utf8(line).map_err(|_| BadLine::Unknown(shown()))?;
    let words: Vec<&str> = text.split(' ').collect();
    match *words.as_slice() {
        ["status"] => Ok(Line::Status),
        ["abort"] => Ok(Line::Request(Request::Abort)),
        ["epoch", number, verb @ ("end" | "committed")] => {
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            let bad = || BadLine::NoEpoch(number.escape_debug().to_string());
            let epoch = digits.then(|| number.parse().ok()).flatten();
            let epoch: u64 = epoch.ok_or_else(bad)?;
            Ok(Line::Request(match verb {
                "end" => Request::End(epoch),
                _ => Request::Committed(epoch),
            }))
        }
        _ => Err(BadLine::Unknown(shown())),
    }
}

/// An answer as a line, without its end.
#[derive(Clone, Copy, Debug)]
pub struct Said(pub Answer);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Answer::Ended(epoch) => write!(f, "ok ended {epoch}"),
            Answer::Joined(epoch) => write!(f, "ok joined {epoch}"),
            Answer::Released(epoch) => write!(f, "ok released {epoch}"),
            Answer::Waiting(epoch) => write!(f, "ok waiting {epoch}"),
            Answer::Purged(epoch) => write!(f, "ok purged {epoch}"),
            Answer::Repeated(epoch) => write!(f, "ok repeated {epoch}"),
            Answer::Aborted(packets) => write!(f, "ok aborted {packets}"),
            Answer::Refused(refusal) => write!(f, "error {refusal}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    #[test]
    fn the_four_requests_are_read() {
        let epoch = |request| Ok(Line::Request(request));
        assert_eq!(parse(b"epoch 0 end"), epoch(Request::End(0)));
        assert_eq!(
            parse(b"epoch 18446744073709551615 committed"),
            epoch(Request::Committed(u64::MAX))
        );
        assert_eq!(parse(b"abort"), epoch(Request::Abort));
        assert_eq!(parse(b"status"), Ok(Line::Status));
    }

    #[test]
    fn nothing_else_is() {
        let long = [b'a'; LONGEST_LINE + 1];
        let bad: [&[u8]; 14] = [
            b"",
            b" abort",
            b"abort ",
            b"ABORT",
            b"abort\r",
            b"open",
            b"epoch",
            b"epoch 1",
            b"epoch 1 end now",
            b"epoch  1 end",
            b"epoch +1 end",
            b"epoch 18446744073709551616 end",
            b"epoch \xff end",
            &long,
        ];
        for line in bad {
            assert!(parse(line).is_err(), "{}", line.escape_ascii());
        }
    }

    proptest! {
        /// Whatever comes, the answer is one line.
        #[test]
        fn an_error_is_one_line(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Err(error) = parse(&line) {
                let text = error.to_string();
                assert!(!text.chars().any(char::is_control), "{text:?}");
            }
        }
    }
}
