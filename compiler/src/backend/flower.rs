//! A rule program as a `tc -batch` file in which flower decides about plain packets.
//!
//! The prefs of chain 0 are those of the u32 back end, guards included, since flower sees neither
//! versions nor options, fragments and the ends of headers. Where flower sees all that a block's rules
//! ask for, and finds it in a few lookups, the guard goes to a chain of flower filters that decides about
//! everything; else the block keeps its u32 tables.

use policy_lang::policy::Policy;

use super::u32;
use crate::backend::{Kind, Refusal, Target};
use crate::ir::Program;

/// Writes the filters.
///
/// # Errors
///
/// [`Refusal`] for what the guard, or a block that is left to u32, can't ask.
pub fn emit(program: &Program, policy: &Policy, target: &Target) -> Result<String, Refusal> {
    u32::write(program, policy, target, u32::Deciders::FlowerWherePlain).map_err(|refusal| {
        Refusal {
            backend: Kind::Flower,
            ..refusal
        }
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use policy_lang::check::check;
    use policy_lang::source::SourceFile;

    use super::*;
    use crate::device::Device;
    use crate::lower::lower;

    fn with_ranges(ranges: usize) -> String {
        let mut text = String::new();
        for rule in 0..ranges {
            let _ = writeln!(text, "buffer udp src 10.0.{rule}.0/24 dport 10-1{rule:02};");
        }
        text
    }

    fn flower_filters(rules: &str) -> usize {
        let text = format!("{rules}default bypass;\n");
        let policy = check(&SourceFile::new("test.gate", &text)).0.unwrap();
        let program = lower(&policy).unwrap();
        let target = Target {
            vif: Device::new("vif0").unwrap(),
            ifb: Device::new("ifb0").unwrap(),
            header: Vec::new(),
        };
        let rules = emit(&program, &policy, &target).unwrap();
        rules.matches(" flower ip_proto udp").count()
    }

    /// Ranges are tried one after the other; with more than eight the block keeps its u32 tables.
    #[test]
    fn many_ranges_are_left_to_u32() {
        assert_eq!(flower_filters(&with_ranges(8)), 8);
        assert_eq!(flower_filters(&with_ranges(9)), 0);
    }

    /// Each mask is a lookup of its own; with a second one the block keeps its u32 tables.
    #[test]
    fn a_second_mask_is_left_to_u32() {
        assert_eq!(
            flower_filters("buffer ip udp dport 7; buffer ip udp dport 9;\n"),
            2
        );
        assert_eq!(
            flower_filters("buffer ip udp dport 7; buffer ip udp sport 9;\n"),
            0
        );
    }
}
