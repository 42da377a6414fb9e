//! The lines of a tc batch file that add bpf filters.
//!
//! Follows `do_batch` of iproute2's `lib/utils.c`, `tc/tc_filter.c`, `tc/f_bpf.c` and
//! `bpf_ops_parse` of `lib/bpf_legacy.c`: `NUMBER,CODE JT JF K,...`, all in decimal.

use std::collections::BTreeMap;

use nom::bytes::complete::{tag, take_till1, take_until};
use nom::character::complete::{char, space0, space1, u8, u16, u32};
use nom::combinator::{all_consuming, opt, verify};
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

use crate::readback::ReadbackError;

/// `BPF_MAXINSNS` of linux/bpf_common.h.
const MOST: usize = 4_096;

/// The filters by preference: each has one program for frames of any protocol.
pub(super) type Filters = BTreeMap<u16, Filter>;

/// A filter.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    /// The line it comes from, and what it says up to the program.
    pub(super) line: usize,
    pub(super) text: String,
    /// The instructions.
    pub(super) code: Vec<Instruction>,
    /// The device that matching frames are handed to; they pass without one.
    pub(super) redirect: Option<String>,
}

impl Filter {
    /// The error that names this filter.
    pub(super) fn refuse(&self, reason: String) -> ReadbackError {
        ReadbackError::NotUnderstood {
            line: self.line,
            text: self.text.clone(),
            reason,
        }
    }
}

/// `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) jt: u8,
    pub(super) jf: u8,
    pub(super) k: u32,
}

/// The filters on the ingress of `wanted` once the batch is loaded.
pub(super) fn filters(text: &str, wanted: &str) -> Result<Filters, ReadbackError> {
    let mut filters = Filters::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        // tc cuts a line at `#`.
        let said = line.split('#').next().unwrap_or_default().trim();
        if said.is_empty() {
            continue;
        }
        let refuse = |reason: &str| ReadbackError::NotUnderstood {
            line: at + 1,
            text: line.chars().take(120).collect(),
            reason: reason.to_owned(),
        };
        let (_, (device, pref, (length, code), redirect)) = all_consuming(filter)
            .parse(said)
            .map_err(|_| refuse("this is no bpf filter that is understood"))?;
        if device != wanted {
            continue;
        }
        if usize::from(length) != code.len() || code.len() > MOST {
            return Err(refuse("the number of instructions is not the one stated"));
        }
        let filter = Filter {
            line: at + 1,
            text: line.chars().take(120).collect(),
            code,
            redirect: redirect.map(str::to_owned),
        };
        if filters.insert(pref, filter).is_some() {
            return Err(refuse("the preference is taken"));
        }
    }
    Ok(filters)
}

type Said<'a> = (&'a str, u16, (u16, Vec<Instruction>), Option<&'a str>);

fn filter(input: &str) -> IResult<&str, Said<'_>> {
    (
        preceded(tag("filter add dev "), word),
        preceded(tag(" ingress pref "), verify(u16, |&pref| pref != 0)),
        preceded(
            tag(" protocol all handle 1 bpf bytecode "),
            terminated(program, tag(" flowid :1")),
        ),
        opt(preceded(tag(" action mirred egress redirect dev "), word)),
    )
        .parse(input)
}

fn word(input: &str) -> IResult<&str, &str> {
    take_till1(|c: char| c.is_whitespace()).parse(input)
}

fn program(input: &str) -> IResult<&str, (u16, Vec<Instruction>)> {
    let (rest, inside) = delimited(char('"'), take_until("\""), char('"')).parse(input)?;
    let list = separated_list1((char(','), space0), instruction);
    let (_, program) = all_consuming((terminated(u16, char(',')), list)).parse(inside)?;
    Ok((rest, program))
}

fn instruction(input: &str) -> IResult<&str, Instruction> {
    (
        terminated(u16, space1),
        terminated(u8, space1),
        terminated(u8, space1),
        u32,
    )
        .map(|(code, jt, jf, k)| Instruction { code, jt, jf, k })
        .parse(input)
}
