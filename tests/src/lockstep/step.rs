//! The steps of a sequence: as values, as text, and at random.
//!
//! The text of a step is the command that does it, or nearly: `tc change block limit 100`,
//! `send 1514`, `send 9000 by 1448` for a packet that is still to be cut, `flap 2` with two frames
//! sent while the link is down, `txqueuelen 8`, `pfifo`, `delete`.

use std::fmt;
use std::str::FromStr;

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use qdisc_model::command::Verb;

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A frame of so many bytes.
    Send(u32),
    /// A TCP packet of so many bytes that is still to be cut into segments with so many bytes of
    /// payload.
    SendToCut(u32, u16),
    /// `tc qdisc VERB dev IFB root plug WORDS`.
    Tc(Verb, String),
    /// `tc qdisc replace dev IFB root pfifo`.
    Pfifo,
    /// `tc qdisc del dev IFB root`.
    Delete,
    /// The IFB goes down and up; so many frames are sent meanwhile.
    Flap(u8),
    /// The length of the IFB's queue is set.
    QueueLength(u32),
}

impl Step {
    /// How many frames it sends.
    #[must_use]
    pub fn frames(&self) -> usize {
        match self {
            Self::Send(_) | Self::SendToCut(..) => 1,
            Self::Flap(frames) => usize::from(*frames),
            _ => 0,
        }
    }
}

const VERBS: [(Verb, &str); 3] = [
    (Verb::Add, "add"),
    (Verb::Change, "change"),
    (Verb::Replace, "replace"),
];

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(bytes) => write!(f, "send {bytes}"),
            Self::SendToCut(bytes, segment) => write!(f, "send {bytes} by {segment}"),
            Self::Tc(verb, words) => {
                let name = VERBS.iter().find(|(known, _)| known == verb);
                let name = name.map_or("?", |(_, name)| name);
                write!(f, "tc {name} {words}")
            }
            Self::Pfifo => f.write_str("pfifo"),
            Self::Delete => f.write_str("delete"),
            Self::Flap(frames) => write!(f, "flap {frames}"),
            Self::QueueLength(packets) => write!(f, "txqueuelen {packets}"),
        }
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let number = |word: &str| {
            word.parse::<u32>()
                .map_err(|_| format!("no number: `{word}`"))
        };
        match words.as_slice() {
            ["send", bytes] => Ok(Self::Send(number(bytes)?)),
            ["send", bytes, "by", segment] => {
                let segment = u16::try_from(number(segment)?).map_err(|e| e.to_string())?;
                Ok(Self::SendToCut(number(bytes)?, segment))
            }
            ["tc", verb, words @ ..] => {
                let known = VERBS.iter().find(|(_, name)| name == verb);
                let (verb, _) = known.ok_or_else(|| format!("no verb of tc: `{verb}`"))?;
                Ok(Self::Tc(*verb, words.join(" ")))
            }
            ["pfifo"] => Ok(Self::Pfifo),
            ["delete"] => Ok(Self::Delete),
            ["flap", frames] => {
                let frames = u8::try_from(number(frames)?).map_err(|e| e.to_string())?;
                Ok(Self::Flap(frames))
            }
            ["txqueuelen", packets] => Ok(Self::QueueLength(number(packets)?)),
            _ => Err(format!("no step: `{text}`")),
        }
    }
}

/// Sequences that begin with a plug more often than not.
pub fn sequence() -> impl Strategy<Value = Vec<Step>> {
    let begin = prop_oneof![
        6 => size().prop_map(|limit| Some(Step::Tc(Verb::Add, format!("limit {limit}")))),
        1 => words().prop_map(|words| Some(Step::Tc(Verb::Add, words))),
        1 => Just(None),
    ];
    let rest = proptest::collection::vec(step(), 1..20);
    (begin, rest).prop_map(|(begin, rest)| begin.into_iter().chain(rest).collect())
}

fn step() -> impl Strategy<Value = Step> {
    let tc = |words: &'static str| Just(Step::Tc(Verb::Change, words.to_owned()));
    let verb = prop_oneof![
        1 => Just(Verb::Add),
        2 => Just(Verb::Change),
        2 => Just(Verb::Replace),
    ];
    prop_oneof![
        14 => bytes().prop_map(Step::Send),
        1 => (600..9_000_u32, 536..1_449_u16).prop_map(|(bytes, by)| Step::SendToCut(bytes.max(u32::from(by) + 100), by)),
        6 => tc("block"),
        6 => tc("release"),
        2 => tc("release_indefinite"),
        2 => size().prop_map(|limit| Step::Tc(Verb::Change, format!("limit {limit}"))),
        3 => (verb, words()).prop_map(|(verb, words)| Step::Tc(verb, words)),
        1 => Just(Step::Pfifo),
        1 => Just(Step::Delete),
        2 => (0..3_u8).prop_map(Step::Flap),
        1 => prop_oneof![Just(1), Just(8), Just(32), Just(1000)].prop_map(Step::QueueLength),
    ]
}

/// A frame is as small as can be told from others, or as large as a guest's, mostly small.
fn bytes() -> impl Strategy<Value = u32> {
    prop_oneof![
        6 => Just(100_u32),
        2 => Just(1_514),
        2 => 18..2_000_u32,
        1 => 2_000..65_000_u32,
    ]
}

/// Limits around the sizes of few frames, and the odd ones.
fn size() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 90..1_000_u32,
        2 => 1_000..70_000_u32,
        3 => Just(1 << 20),
        1 => prop_oneof![Just(0), Just(u32::MAX), any::<u32>()],
    ]
}

/// Words behind `plug`, more of them than anybody would write.
fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("block".to_owned()),
        Just("release".to_owned()),
        Just("release_indefinite".to_owned()),
        size().prop_map(|limit| format!("limit {limit}")),
    ];
    proptest::collection::vec(word, 0..4).prop_map(|words| words.join(" "))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    proptest! {
        #[test]
        fn steps_are_read_back(steps in sequence()) {
            for step in steps {
                assert_eq!(step.to_string().parse(), Ok(step));
            }
        }
    }
}
