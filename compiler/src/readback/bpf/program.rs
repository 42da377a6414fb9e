//! A program as tc takes and prints it: `NUMBER,CODE JT JF K,...`, all in decimal (`bpf_ops_parse` and
//! `bpf_print_ops` of iproute2's `lib/bpf_legacy.c`).

use nom::character::complete::{char, space0, space1, u8, u16, u32};
use nom::combinator::all_consuming;
use nom::multi::separated_list1;
use nom::sequence::terminated;
use nom::{IResult, Parser};

/// `BPF_MAXINSNS` of linux/bpf_common.h.
const MOST: usize = 4_096;

/// `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) jt: u8,
    pub(super) jf: u8,
    pub(super) k: u32,
}

/// A program of classic BPF.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::readback) struct Program(pub(super) Vec<Instruction>);

impl Program {
    /// Reads a program; the error says what is wrong with the text.
    pub(in crate::readback) fn read(text: &str) -> Result<Self, String> {
        let instruction = (
            terminated(u16, space1),
            terminated(u8, space1),
            terminated(u8, space1),
            u32,
        )
            .map(|(code, jt, jf, k)| Instruction { code, jt, jf, k });
        let list = separated_list1((char(','), space0), instruction);
        let mut whole = all_consuming((terminated(u16, char(',')), list));
        let read: IResult<_, _> = whole.parse(text.trim());
        let (_, (stated, code)) =
            read.map_err(|_| "the program is not `NUMBER,CODE JT JF K,...` in decimal".to_owned())?;
        if usize::from(stated) != code.len() || code.len() > MOST {
            return Err("the number of instructions is not the one stated".to_owned());
        }
        Ok(Self(code))
    }
}
