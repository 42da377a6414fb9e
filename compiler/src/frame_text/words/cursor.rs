//! The words of a text one after the other, with complaints that say where.

use std::ops::Range;
use std::str::FromStr;

use super::super::{FrameTextError, bytes_of, hexadecimal};

pub(super) type Result<T> = std::result::Result<T, FrameTextError>;

/// A word and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Word<'text> {
    pub(super) text: &'text str,
    pub(super) at: usize,
}

impl Word<'_> {
    pub(super) fn span(self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }

    pub(super) fn wrong(self, what: &str, help: &str) -> FrameTextError {
        let message = format!("`{}` {what}", self.text);
        FrameTextError {
            message,
            help: help.to_owned(),
            span: self.span(),
        }
    }
}

/// The words that are left.
pub(super) struct Words<'text> {
    pub(super) text: &'text str,
    pub(super) at: usize,
}

impl<'text> Words<'text> {
    pub(super) fn peek(&self) -> Option<Word<'text>> {
        let rest = self.text.get(self.at..)?;
        let trimmed = rest.trim_start();
        let at = self.at + rest.len() - trimmed.len();
        let text = trimmed.split_whitespace().next()?;
        Some(Word { text, at })
    }

    pub(super) fn take(&mut self) -> Option<Word<'text>> {
        let word = self.peek()?;
        self.at = word.span().end;
        Some(word)
    }

    /// The next word; if there is none, `wanted` is missing.
    pub(super) fn next(&mut self, wanted: &str, help: &str) -> Result<Word<'text>> {
        let end = self.text.len();
        self.take().ok_or_else(|| FrameTextError {
            message: format!("the text ends before {wanted}"),
            help: help.to_owned(),
            span: end..end,
        })
    }

    /// The number behind the option `name`, at most `most`.
    pub(super) fn number<T: TryFrom<u32>>(&mut self, name: &str, most: u32) -> Result<T> {
        let help = format!("{name} takes a number from 0 to {most}, decimal or as 0x...");
        let word = self.next(&format!("the number behind {name}"), &help)?;
        let number = number(word.text).filter(|number| *number <= most);
        let number = number.and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| word.wrong(&format!("is no value of {name}"), &help))
    }

    /// The bytes behind the option `name`.
    pub(super) fn bytes(&mut self, name: &str) -> Result<(Word<'text>, Vec<u8>)> {
        let help = format!("{name} takes hexadecimal digits, two for each byte, without blanks");
        let word = self.next(&format!("the bytes behind {name}"), &help)?;
        if word.text.ends_with("...") {
            let help = "the dots stand for bytes that were left out: give the frame as hexadecimal";
            return Err(word.wrong("does not tell all bytes", help));
        }
        let bytes = hexadecimal(word.text).and_then(|digits| bytes_of(&digits));
        bytes
            .map(|bytes| (word, bytes))
            .ok_or_else(|| word.wrong("is not a run of bytes", &help))
    }

    pub(super) fn mac(&mut self, name: &str) -> Result<[u8; 6]> {
        let help = format!("{name} takes six bytes such as 02:00:00:00:00:01");
        let word = self.next(&format!("the address behind {name}"), &help)?;
        let parts = word.text.split(':').map(|part| match part.len() {
            2 => u8::from_str_radix(part, 16).ok(),
            _ => None,
        });
        let bytes: Option<Vec<u8>> = parts.collect();
        let mac = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
        mac.ok_or_else(|| word.wrong("is no MAC address", &help))
    }

    pub(super) fn end<T: FromStr>(&mut self, what: &str, help: &str) -> Result<(Word<'text>, T)> {
        let word = self.next(what, help)?;
        match word.text.parse() {
            Ok(end) => Ok((word, end)),
            Err(_) => Err(word.wrong(&format!("is not {what}"), help)),
        }
    }

    pub(super) fn arrow(&mut self, help: &str) -> Result<()> {
        let word = self.next("the `>` between the ends", help)?;
        match word.text {
            ">" | "->" => Ok(()),
            _ => Err(word.wrong("stands where the `>` between the ends belongs", help)),
        }
    }
}

pub(super) fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
