//! A program as functions of SMT-LIB: one per instruction, of what the accumulator holds.
//!
//! All jumps go forward, so that the last instruction is defined first. What the names stand for is
//! said in [`crate::smt::frame`].

use super::program::Program;
use crate::smt::frame::shown;
use crate::smt::term::constant;

/// `SKF_AD_OFF` of linux/filter.h, and what lies behind it.
const ANCILLARY: u32 = 0xffff_f000;
const VLAN_TAG: u32 = ANCILLARY + 44;
const VLAN_TAG_PRESENT: u32 = ANCILLARY + 48;
const VLAN_TPID: u32 = ANCILLARY + 60;

impl Program {
    /// Defines the program's functions; and the term that says whether it matches.
    ///
    /// The error says which instruction is not understood.
    pub(in crate::readback) fn smt(&self, name: &str) -> Result<(String, String), String> {
        let mut text = String::new();
        for (at, instruction) in self.0.iter().enumerate().rev() {
            let to = |skip: u64, value: &str| {
                let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                format!(
                    "({name}-{} {value})",
                    at.saturating_add(1).saturating_add(skip)
                )
            };
            let k = instruction.k;
            let number = constant(k.into(), 32);
            let body = match instruction.code {
                0x06 => (k != 0).to_string(),
                0x05 => to(k.into(), "a"),
                0x15 | 0x25 | 0x35 => {
                    let compare = match instruction.code {
                        0x15 => "=",
                        0x25 => "bvugt",
                        _ => "bvuge",
                    };
                    let (yes, no) = (instruction.jt.into(), instruction.jf.into());
                    format!(
                        "(ite ({compare} a {number}) {} {})",
                        to(yes, "a"),
                        to(no, "a")
                    )
                }
                0x20 => load(k, 4, |value| to(0, value))?,
                0x28 => load(k, 2, |value| to(0, value))?,
                0x30 => load(k, 1, |value| to(0, value))?,
                0x80 => to(0, "((_ zero_extend 16) (bvadd k-len #x000e))"),
                0x54 => to(0, &format!("(bvand a {number})")),
                0x74 => to(0, &format!("(bvlshr a {number})")),
                code => return Err(format!("instruction {at}: {code} is not understood")),
            };
            text.push_str(&format!(
                "(define-fun {name}-{at} ((a (_ BitVec 32))) Bool {body})\n"
            ));
        }
        Ok((text, format!("({name}-0 #x00000000)")))
    }
}

/// An absolute load, and what follows with its value; behind the end of the frame nothing matches.
fn load(at: u32, bytes: u32, next: impl Fn(&str) -> String) -> Result<String, String> {
    let short = |term: &str, width: u32| format!("((_ zero_extend {}) {term})", 32 - width);
    match at {
        VLAN_TAG => return Ok(next(&short("(concat b14 b15)", 16))),
        VLAN_TAG_PRESENT => return Ok(next("(ite stripped #x00000001 #x00000000)")),
        VLAN_TPID => return Ok(next(&short("outer", 16))),
        ANCILLARY.. => return Err(format!("what lies at {at} is not known here")),
        _ => {}
    }
    let names = (at..at + bytes).map(|byte| shown(i32::try_from(byte).ok()? - 14));
    let names: Option<Vec<String>> = names.collect();
    let names = names.ok_or_else(|| format!("the bytes at {at} are not known here"))?;
    let value = match names.as_slice() {
        [only] => short(only, 8),
        [_, _] => short(&format!("(concat {})", names.join(" ")), 16),
        _ => format!("(concat {})", names.join(" ")),
    };
    Ok(match (at + bytes).checked_sub(14) {
        None | Some(0) => next(&value),
        Some(end) => {
            let end = constant(end.into(), 16);
            format!("(ite (bvuge k-len {end}) {} false)", next(&value))
        }
    })
}
