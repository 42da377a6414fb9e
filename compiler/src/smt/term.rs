//! Terms of SMT-LIB 2 as text.

use policy_lang::values::ValueSet;

/// A constant of `width` bits.
#[must_use]
pub fn constant(value: u128, width: u32) -> String {
    if width.is_multiple_of(4) {
        format!("#x{value:0digits$x}", digits = width as usize / 4)
    } else {
        format!("#b{value:0digits$b}", digits = width as usize)
    }
}

/// All of `parts`; with none, true.
#[must_use]
pub fn all(parts: &[String]) -> String {
    joined("and", "true", parts)
}

/// At least one of `parts`; with none, false.
#[must_use]
pub fn any(parts: &[String]) -> String {
    joined("or", "false", parts)
}

fn joined(by: &str, none: &str, parts: &[String]) -> String {
    match parts {
        [] => none.to_owned(),
        [only] => only.clone(),
        _ => format!("({by} {})", parts.join(" ")),
    }
}

/// Whether `term`, of `width` bits, has a value of the set.
#[must_use]
pub fn within(term: &str, width: u32, set: &ValueSet) -> String {
    let number = |value| constant(value, width);
    let ranges = set.ranges().iter().map(|range| {
        if range.low == range.high {
            return format!("(= {term} {})", number(range.low));
        }
        let (low, high) = (number(range.low), number(range.high));
        format!("(and (bvule {low} {term}) (bvule {term} {high}))")
    });
    any(&ranges.collect::<Vec<_>>())
}

/// `width` bits from the `bit`th on, most significant first, of bytes that have one name each.
pub fn bits(byte: impl Fn(usize) -> String, bit: usize, width: u32) -> String {
    let end = bit + width as usize;
    let (first, behind) = (bit / 8, end.div_ceil(8));
    let bytes: Vec<String> = (first..behind).map(byte).collect();
    let whole = match bytes.as_slice() {
        [only] => only.clone(),
        _ => format!("(concat {})", bytes.join(" ")),
    };
    let low = behind * 8 - end;
    if low == 0 && bit.is_multiple_of(8) {
        return whole;
    }
    format!("((_ extract {} {low}) {whole})", low + width as usize - 1)
}

/// A function without arguments.
#[must_use]
pub fn define(name: &str, sort: &str, term: &str) -> String {
    format!("(define-fun {name} () {sort} {term})\n")
}

/// The sort of bit-vectors.
#[must_use]
pub fn vector(width: u32) -> String {
    format!("(_ BitVec {width})")
}
