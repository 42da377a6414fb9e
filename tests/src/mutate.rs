//! One wrong token in emitted rules: the mistakes that a back end could make.
//!
//! A token is a word, a number or a single sign outside of comments. Most mutants aim at what decides
//! about frames: numbers in nft rules; keys, masks, offsets and results in tc filters, where most
//! other numbers are only names.

use std::ops::Range;

use compiler::backend::Kind;
use proptest::prelude::{Rng, RngExt};

/// The places of the tokens of a text.
#[must_use]
pub fn tokens(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let code = line.split('#').next().unwrap_or_default();
        let mut start = None;
        for (at, c) in code.char_indices() {
            let word = c.is_ascii_alphanumeric() || c == '_';
            match (word, start) {
                (true, None) => start = Some(at),
                (false, Some(from)) => {
                    found.push(offset + from..offset + at);
                    start = None;
                }
                _ => {}
            }
            if !word && !c.is_whitespace() {
                found.push(offset + at..offset + at + c.len_utf8());
            }
        }
        if let Some(from) = start {
            found.push(offset + from..offset + code.len());
        }
        offset += line.len();
    }
    found
}

/// The same rules with one other token.
pub fn mutant(backend: Kind, text: &str, random: &mut impl Rng) -> String {
    let places = tokens(text);
    let aimed: Vec<&Range<usize>> = (0..places.len())
        .filter(|at| decides(backend, text, &places, *at))
        .map(|at| &places[at])
        .collect();
    let place = if aimed.is_empty() || random.random_range(0..8) == 0 {
        places[random.random_range(0..places.len())].clone()
    } else {
        aimed[random.random_range(0..aimed.len())].clone()
    };
    let other = &text[places[random.random_range(0..places.len())].clone()];
    let token = replaced(&text[place.clone()], other, random);
    [&text[..place.start], &token, &text[place.end..]].concat()
}

/// Whether the token at `at` has a say about frames.
fn decides(backend: Kind, text: &str, places: &[Range<usize>], at: usize) -> bool {
    let word = |back: usize| {
        let place = at.checked_sub(back).and_then(|at| places.get(at));
        place.map_or("", |place| &text[place.clone()])
    };
    let number = word(0).starts_with(|c: char| c.is_ascii_digit());
    match backend {
        Kind::Nft => number,
        Kind::U32 => {
            let key = word(1) == "u32" && word(2) == "match";
            let mask = word(2) == "u32" && word(3) == "match";
            let offset = number && (word(1) == "at" || word(1) == "-" && word(2) == "at");
            let result = matches!(word(0), "flowid" | "action") || word(1) == "link";
            key || mask || offset || result
        }
        // The number of an instruction, and the targets of a comparison (opcodes 0x15 and 0x35).
        Kind::Bpf => {
            let jump = |code: &str| matches!(code, "21" | "53");
            let target = jump(word(1)) && word(2) == "," || jump(word(2)) && word(3) == ",";
            number && (word(4) == "," || target)
        }
        Kind::Flower => {
            let names = ["handle", "pref", "dev"];
            let words = text[..places[at].start].rsplit('\n').next();
            let behind = number && words.is_some_and(|line| line.contains(" flower"));
            let flower = behind && !names.contains(&word(1));
            flower || decides(Kind::U32, text, places, at)
        }
    }
}

/// Another token for `old`: a number near it, another token of the same text, or nothing.
fn replaced(old: &str, other: &str, random: &mut impl Rng) -> String {
    let hex = old.strip_prefix("0x");
    let number = hex.map_or_else(|| old.parse().ok(), |h| u128::from_str_radix(h, 16).ok());
    match (random.random_range(0..8), number) {
        (0..=5, Some(number)) => {
            let width = if hex.is_some() {
                4 * (old.len() - 2)
            } else {
                8
            };
            let changed: u128 = match random.random_range(0..4) {
                0 => number.wrapping_add(1),
                1 => number.saturating_sub(1),
                2 => number ^ (1 << random.random_range(0..width.clamp(1, 127))),
                _ => number / 2,
            };
            if hex.is_some() {
                format!("{changed:#x}")
            } else {
                changed.to_string()
            }
        }
        (6, _) => String::new(),
        _ => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_masks_offsets_and_results_decide() {
        let text =
            "filter add dev v pref 10 handle 1:0:2 u32 ht 1:0: match u32 0x06 0xff at -4 link 2:\n";
        let places = tokens(text);
        let decide = (0..places.len()).filter(|at| decides(Kind::U32, text, &places, *at));
        let words: Vec<&str> = decide.map(|at| &text[places[at].clone()]).collect();
        assert_eq!(words, ["0x06", "0xff", "4", "2"]);
        let numbers = (0..places.len()).filter(|at| decides(Kind::Nft, text, &places, *at));
        assert_eq!(numbers.count(), 10);
    }
}
