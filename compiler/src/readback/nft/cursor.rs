//! A place in a list of tokens, and faults that know their line.

use super::lex::{Placed, Token};

/// What is not understood, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) reason: String,
}

impl Fault {
    pub(super) fn new(line: usize, reason: impl Into<String>) -> Self {
        Self {
            line,
            reason: reason.into(),
        }
    }
}

pub(super) struct Cursor<'text> {
    tokens: &'text [Placed<'text>],
    at: usize,
}

impl<'text> Cursor<'text> {
    pub(super) fn new(tokens: &'text [Placed<'text>]) -> Self {
        Self { tokens, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<Token<'text>> {
        self.tokens.get(self.at).map(|(token, _)| *token)
    }

    pub(super) fn next(&mut self) -> Option<Token<'text>> {
        let token = self.peek();
        self.at += 1;
        token
    }

    /// The line of what comes next, or of the last token.
    pub(super) fn line(&self) -> usize {
        let here = self.tokens.get(self.at).or_else(|| self.tokens.last());
        here.map_or(1, |(_, line)| *line)
    }

    /// A fault in what comes next.
    pub(super) fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault::new(self.line(), reason)
    }

    /// A fault in what was just taken.
    pub(super) fn fault_behind(&self, reason: impl Into<String>) -> Fault {
        let taken = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        Fault::new(taken.map_or(1, |(_, line)| *line), reason)
    }

    pub(super) fn fault_at(&self, line: usize, reason: &str) -> Fault {
        Fault::new(line, reason)
    }

    pub(super) fn skip_ends(&mut self) {
        while self.peek() == Some(Token::End) {
            self.at += 1;
        }
    }

    /// The end of a statement, which a closing brace or the end of the text is as well.
    pub(super) fn expect_end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None | Some(Token::End | Token::Sign("}")) => Ok(()),
            Some(_) => Err(self.fault("something stands behind the end of the statement")),
        }
    }

    /// Whether a closing brace comes next, which is then taken.
    pub(super) fn closed(&mut self) -> Result<bool, Fault> {
        self.skip_ends();
        match self.peek() {
            None => Err(self.fault("a closing brace is missing")),
            Some(Token::Sign("}")) => {
                self.at += 1;
                Ok(true)
            }
            Some(_) => Ok(false),
        }
    }

    /// Whether `sign` comes next, which is then taken.
    pub(super) fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(next)) if next == sign);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect_sign(&mut self, sign: &str) -> Result<(), Fault> {
        if self.sign(sign) {
            Ok(())
        } else {
            Err(self.fault(format!("`{sign}` is missing")))
        }
    }

    pub(super) fn word(&mut self, what: &str) -> Result<&'text str, Fault> {
        match self.peek() {
            Some(Token::Word(word)) => {
                self.at += 1;
                Ok(word)
            }
            _ => Err(self.fault(format!("{what} is missing"))),
        }
    }

    /// A word, in quotes or not.
    pub(super) fn name(&mut self, what: &str) -> Result<&'text str, Fault> {
        match self.peek() {
            Some(Token::Quoted(name)) => {
                self.at += 1;
                Ok(name)
            }
            _ => self.word(what),
        }
    }

    pub(super) fn keyword(&mut self, word: &str) -> Result<(), Fault> {
        if self.peek() == Some(Token::Word(word)) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.fault(format!("`{word}` is missing")))
        }
    }

    /// Skips a comment's text.
    pub(super) fn quoted(&mut self) -> Result<(), Fault> {
        self.name("a text").map(|_| ())
    }

    /// The tokens up to the brace that closes a block whose opening one was just taken.
    pub(super) fn block(&mut self) -> Result<(&'text [Placed<'text>], usize), Fault> {
        let (start, line) = (self.at, self.line());
        let mut depth = 1_usize;
        while let Some(token) = self.next() {
            match token {
                Token::Sign("{") => depth += 1,
                Token::Sign("}") => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let body = self.tokens.get(start..self.at - 1).unwrap_or_default();
                return Ok((body, line));
            }
        }
        Err(Fault::new(line, "a closing brace is missing"))
    }

    pub(super) fn skip_block(&mut self) -> Result<(), Fault> {
        self.block().map(|_| ())
    }
}
