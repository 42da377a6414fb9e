//! Lines of text, indented, and numbers of rules in words.

use std::collections::BTreeSet;

/// Numbers of policy rules as they are counted by people: `rules 3-5, 9`.
pub(super) fn rule_numbers(sources: &BTreeSet<usize>) -> String {
    /// Of so many ranges, the rest is only counted.
    const SHOWN: usize = 12;
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for number in sources.iter().map(|source| source + 1) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let word = if sources.len() == 1 { "rule" } else { "rules" };
    let shown: Vec<String> = ranges
        .iter()
        .take(SHOWN)
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    let hidden: usize = ranges
        .iter()
        .skip(SHOWN)
        .map(|(first, last)| last - first + 1)
        .sum();
    let more = if hidden > 0 {
        format!(" and {hidden} more")
    } else {
        String::new()
    };
    format!("{word} {}{more}", shown.join(", "))
}

/// Indented lines.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) written: String,
    pub(super) depth: usize,
}

impl Text {
    pub(super) fn line(&mut self, line: &str) {
        for _ in 0..self.depth {
            self.written.push_str("    ");
        }
        self.written.push_str(line);
        self.written.push('\n');
    }

    pub(super) fn blank(&mut self) {
        self.written.push('\n');
    }

    pub(super) fn comment(&mut self, text: &str) {
        self.line(&format!("# {text}"));
    }

    pub(super) fn open(&mut self, line: &str) {
        self.line(line);
        self.depth += 1;
    }

    pub(super) fn close(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.line("}");
    }
}
