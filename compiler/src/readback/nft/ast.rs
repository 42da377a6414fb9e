//! What a ruleset says, before anything is made of it: one tree for text and JSON.
//!
//! Names follow nft(8). Values stay words, because what a word stands for depends on what it is
//! compared with (`ip` is an ethertype here and a protocol number there).

use std::collections::BTreeMap;

use super::fields::Field;
use super::values::Datatype;

/// The tables of family netdev, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ruleset {
    pub(super) tables: BTreeMap<String, Table>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) sets: BTreeMap<String, Set>,
    pub(super) chains: BTreeMap<String, Chain>,
}

/// A named set, or a named map to verdicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) is_map: bool,
    /// What the parts of its keys are; as many as the keys have parts.
    pub(super) types: Vec<KeyType>,
    pub(super) elements: Vec<Element>,
}

/// What one part of a key is, and its width in bits if the declaration tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyType {
    pub(super) datatype: Datatype,
    pub(super) width: Option<u32>,
}

/// One element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) line: usize,
    /// The parts of its key; `None` for `*`, which stands for all keys that no other element has.
    pub(super) key: Option<Vec<Scalar>>,
    /// What a map answers.
    pub(super) verdict: Option<Verdict>,
}

/// A value or several, of a single field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Exact(String),
    Range(String, String),
    Prefix(String, u32),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Accept,
    Drop,
    Continue,
    Return,
    Jump(String),
    Goto(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// Where the chain hangs; `None` if it is only called.
    pub(super) hook: Option<Hook>,
    pub(super) rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hook {
    pub(super) line: usize,
    /// Whether it is the ingress hook; the other one of this family never sees an incoming frame.
    pub(super) ingress: bool,
    /// The devices; empty if the text does not say (as the JSON of nft 1.0.6 does not).
    pub(super) devices: Vec<String>,
    pub(super) priority: i64,
    pub(super) drops_by_default: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) line: usize,
    pub(super) statements: Vec<Statement>,
}

/// A statement that decides something. Counters and comments do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    Match {
        key: Vec<Part>,
        operator: Operator,
        right: Right,
    },
    /// A verdict map looked up with `key`.
    Map {
        key: Vec<Part>,
        map: Source,
    },
    Verdict(Verdict),
    /// `fwd to`: the frame leaves through another device.
    Forward(String),
}

impl Statement {
    /// A comparison. A set in place with one single value is that value, as nft makes it.
    pub(super) fn comparison(key: Vec<Part>, operator: Operator, right: Right) -> Self {
        let right = match right {
            Right::Set(Source::Anonymous(elements)) => match elements.as_slice() {
                [
                    Element {
                        key: Some(only), ..
                    },
                ] if key.len() == 1 => match only.as_slice() {
                    [scalar] => Right::Value(scalar.clone()),
                    _ => Right::Set(Source::Anonymous(elements)),
                },
                _ => Right::Set(Source::Anonymous(elements)),
            },
            other => other,
        };
        Self::Match {
            key,
            operator,
            right,
        }
    }
}

/// One part of what is looked at, with a mask to apply to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) field: Field,
    /// As a word: `& 255.0.0.0` and `& 0xff000000` are both written.
    pub(super) mask: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    pub(super) fn of(sign: &str) -> Option<Self> {
        Some(match sign {
            "==" => Self::Equal,
            "!=" => Self::Unequal,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }
}

/// What a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Right {
    Value(Scalar),
    Set(Source),
}

/// A set or map by name or in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Named(String),
    Anonymous(Vec<Element>),
}
