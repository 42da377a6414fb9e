//! What comes back from beside the kernel: per case counts and the first differences in full, as
//! lines of text that people can read as well.

use std::fmt;
use std::str::FromStr;

use super::batch::Offload;

/// What became of the frames of one case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Let pass at once.
    pub bypassed: usize,
    /// Handed to the IFB.
    pub held: usize,
    /// Seen nowhere: tagged and too short, or dropped by rules.
    pub lost: usize,
    /// Not taken by the kernel: offloads that it does not know.
    pub refused: usize,
    /// Differences between what was seen and what was due.
    pub differences: usize,
}

/// A frame that did not do what it had to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The frame.
    pub frame: Vec<u8>,
    /// Its header.
    pub offload: Offload,
    /// What was due, in words.
    pub expected: String,
    /// What was seen, in words.
    pub seen: String,
}

/// The answer about one case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseAnswer {
    /// The name of the case.
    pub name: String,
    /// The counts.
    pub counts: Counts,
    /// Why it says nothing: its rules were refused, or something broke.
    pub failure: Option<String>,
    /// The first differences.
    pub differences: Vec<Difference>,
}

/// All that one run says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether a plug of the kernel held the frames.
    pub plug: bool,
    /// One for each case, in the order given.
    pub cases: Vec<CaseAnswer>,
}

impl fmt::Display for CaseAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            bypassed,
            held,
            lost,
            refused,
            differences,
        } = self.counts;
        writeln!(
            f,
            "case {bypassed} {held} {lost} {refused} {differences} {}",
            self.name
        )?;
        if let Some(failure) = &self.failure {
            let line: Vec<&str> = failure.lines().map(str::trim).collect();
            writeln!(f, "failed {}", line.join(" / "))?;
        }
        for difference in &self.differences {
            writeln!(f, "differs {difference}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} due: {}; seen: {}",
            hex(&self.offload.0),
            hex(&self.frame),
            self.expected,
            self.seen
        )
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "plug {}", self.plug)?;
        self.cases.iter().try_for_each(|case| case.fmt(f))?;
        writeln!(f, "end")
    }
}

impl FromStr for Answer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut answer = Self::default();
        for line in text.lines() {
            let unknown = || format!("not a line of an answer: `{line}`");
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            match (word, answer.cases.last_mut()) {
                ("plug", _) => answer.plug = rest == "true",
                ("case", _) => answer.cases.push(case(rest).ok_or_else(unknown)?),
                ("failed", Some(case)) => case.failure = Some(rest.to_owned()),
                ("differs", Some(case)) => {
                    case.differences.push(difference(rest).ok_or_else(unknown)?);
                }
                ("end", _) => return Ok(answer),
                _ => return Err(unknown()),
            }
        }
        Err(String::from("the answer breaks off"))
    }
}

fn case(text: &str) -> Option<CaseAnswer> {
    let mut words = text.splitn(6, ' ');
    let mut number = || words.next()?.parse().ok();
    let counts = Counts {
        bypassed: number()?,
        held: number()?,
        lost: number()?,
        refused: number()?,
        differences: number()?,
    };
    Some(CaseAnswer {
        name: words.next()?.to_owned(),
        counts,
        failure: None,
        differences: Vec::new(),
    })
}

fn difference(text: &str) -> Option<Difference> {
    let mut words = text.splitn(3, ' ');
    let offload = unhex(words.next()?)?.try_into().ok()?;
    let frame = unhex(words.next()?)?;
    let (expected, seen) = words
        .next()?
        .strip_prefix("due: ")?
        .split_once("; seen: ")?;
    Some(Difference {
        frame,
        offload: Offload(offload),
        expected: expected.to_owned(),
        seen: seen.to_owned(),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_back() {
        let answer = Answer {
            plug: true,
            cases: vec![
                CaseAnswer {
                    name: String::from("random 17"),
                    counts: Counts {
                        bypassed: 3,
                        held: 4,
                        lost: 1,
                        refused: 2,
                        differences: 1,
                    },
                    failure: None,
                    differences: vec![Difference {
                        frame: vec![0, 0xff, 0x10],
                        offload: Offload([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
                        expected: String::from("nowhere"),
                        seen: String::from("on the IFB"),
                    }],
                },
                CaseAnswer {
                    name: String::from("voip.gate"),
                    counts: Counts::default(),
                    failure: Some(String::from("one / two")),
                    differences: Vec::new(),
                },
            ],
        };
        assert_eq!(answer.to_string().parse(), Ok(answer.clone()));
        let broken_off = answer.to_string().replace("end\n", "");
        assert!(broken_off.parse::<Answer>().is_err());
    }
}
