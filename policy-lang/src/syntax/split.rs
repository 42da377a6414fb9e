//! Cuts a text into statements, before any of them is parsed.
//!
//! A statement ends at a `;` outside brackets, strings and comments, and a gate block at its `}`.
//! So an error in one statement leaves the others readable. Two slips that would swallow the rest
//! of the text are caught here: a missing `;` (a statement keyword where none can stand) and a
//! bracket never closed. Here too are the limits on depth and length, since the parser recurses.

use super::lexeme::{Kind, Lexeme, Lexer};
use super::tree::Comment;
use super::{MAX_DEPTH, MAX_SET_VALUES, MAX_STATEMENT_LEXEMES};
use crate::diagnostic::{Code, Diagnostic, Sink};
use crate::source::{SourceFile, Span};

/// Words that start a statement.
pub(super) const STATEMENTS: [&str; 7] = [
    "buffer", "bypass", "default", "let", "expect", "gate", "allow",
];

/// The text of one statement and the comments around it.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// From the first lexeme to the last, without the `;`.
    pub(super) span: Span,
    /// Comments above.
    pub(super) before: Vec<Comment>,
    /// Whether an empty line stands in front.
    pub(super) gap: bool,
    /// Comments up to the `;`, with their places.
    pub(super) inner: Vec<Span>,
    /// The comment behind it on its last line.
    pub(super) after: Option<String>,
    /// Whether it has been reported already and is not to be parsed.
    pub(super) faulty: bool,
}

/// An open bracket.
#[derive(Debug)]
struct Open {
    span: Span,
    sign: char,
    /// How many `not` stood in front of it.
    nots: usize,
}

/// What is known of the statement being read.
#[derive(Debug, Default)]
struct Progress {
    chunk: Chunk,
    is_gate: bool,
    lexemes: usize,
    /// The last lexeme read.
    last: Span,
    open: Vec<Open>,
    /// Brackets open beyond the depth that is kept in `open`.
    excess: usize,
    /// `not`s read since the last bracket or term.
    nots: usize,
    values: usize,
}

/// Reads statements one by one.
#[derive(Debug)]
pub(super) struct Splitter<'a> {
    source: &'a SourceFile,
    lexer: std::iter::Peekable<Lexer<'a>>,
    /// Where the last statement or comment outside statements ended.
    last_end: usize,
    /// Comments that wait for their statement.
    waiting: Vec<Comment>,
}

/// The text of a comment without its `#`.
pub(super) fn comment_text(source: &SourceFile, span: Span) -> String {
    source
        .slice(Span::new(span.start + 1, span.end))
        .trim_end()
        .to_owned()
}

impl<'a> Splitter<'a> {
    pub(super) fn new(source: &'a SourceFile) -> Self {
        let lexer = Lexer::new(source.text(), 0).peekable();
        Self {
            source,
            lexer,
            last_end: 0,
            waiting: Vec::new(),
        }
    }

    /// The comments behind the last statement.
    pub(super) fn end(self) -> Vec<Comment> {
        self.waiting
    }

    /// The next statement, or `None` at the end of the text.
    pub(super) fn next(&mut self, sink: &mut Sink) -> Option<Chunk> {
        let first = self.skip_to_statement(sink)?;
        let mut now = Progress {
            is_gate: self.text(first) == "gate",
            ..Progress::default()
        };
        now.chunk.span = first.span;
        now.chunk.gap = self.gap(first.span);
        now.chunk.before = std::mem::take(&mut self.waiting);
        let mut comments = Vec::new();
        let mut ended = false;
        while let Some(&lexeme) = self.lexer.peek() {
            if lexeme.kind == Kind::Comment {
                comments.push(lexeme.span);
                self.lexer.next();
                continue;
            }
            if self.starts_another(&mut now, lexeme, sink) {
                break;
            }
            self.lexer.next();
            if lexeme.kind == Kind::Sign(';') && !(now.is_gate && now.open.len() == 1) {
                self.last_end = lexeme.span.end;
                ended = true;
                break;
            }
            now.chunk.span = now.chunk.span.to(lexeme.span);
            self.take(&mut now, lexeme, sink);
            if now.is_gate && now.open.is_empty() && lexeme.kind == Kind::Sign('}') {
                self.last_end = lexeme.span.end;
                if let Some(sign) = self.lexer.next_if(|next| next.kind == Kind::Sign(';')) {
                    self.last_end = sign.span.end;
                }
                ended = true;
                break;
            }
        }
        self.report_unclosed(&mut now, sink);
        self.place_comments(&mut now.chunk, comments, ended);
        Some(now.chunk)
    }

    fn text(&self, lexeme: Lexeme) -> &'a str {
        self.source.slice(lexeme.span)
    }

    /// Whether an empty line parts `span` from what came before it.
    fn gap(&self, span: Span) -> bool {
        let between = self.source.slice(Span::new(self.last_end, span.start));
        self.last_end > 0 && between.bytes().filter(|&byte| byte == b'\n').count() > 1
    }

    /// Passes comments and stray `;`, up to the first lexeme of a statement.
    fn skip_to_statement(&mut self, sink: &mut Sink) -> Option<Lexeme> {
        loop {
            let lexeme = *self.lexer.peek()?;
            match lexeme.kind {
                Kind::Comment => {
                    let gap = self.gap(lexeme.span);
                    self.waiting.push(Comment {
                        gap,
                        text: comment_text(self.source, lexeme.span),
                    });
                }
                Kind::Sign(';') => sink.push(
                    Diagnostic::new(Code::EmptyStatement, "empty statement", lexeme.span)
                        .label("this `;` ends nothing")
                        .fix("delete the `;`", lexeme.span, ""),
                ),
                _ => return Some(lexeme),
            }
            if sink.is_full() {
                return None;
            }
            self.last_end = lexeme.span.end;
            self.lexer.next();
        }
    }

    /// Whether this lexeme belongs to the next statement although the current one has not ended.
    fn starts_another(&self, now: &mut Progress, lexeme: Lexeme, sink: &mut Sink) -> bool {
        if now.lexemes == 0 || lexeme.kind != Kind::Word {
            return false;
        }
        let word = self.text(lexeme);
        if !STATEMENTS.contains(&word) {
            return false;
        }
        if !now.open.is_empty() {
            // In brackets a keyword at the start of a line says that the bracket was forgotten.
            let line = self.source.text().get(..lexeme.span.start).unwrap_or("");
            return line.trim_end_matches([' ', '\t', '\r']).ends_with('\n');
        }
        let head = self.source.slice(now.chunk.span);
        if matches!(head, "let" | "default" | "expect" | "allow") {
            return false;
        }
        let end = now.chunk.span.end;
        if !now.chunk.faulty {
            sink.push(
                Diagnostic::new(Code::MissingSemicolon, "missing `;`", now.last)
                    .label("the statement ends here")
                    .also(lexeme.span, format!("`{word}` starts the next one"))
                    .fix("add `;`", Span::at(end), ";"),
            );
        }
        true
    }

    /// Accounts for one lexeme of the statement.
    fn take(&self, now: &mut Progress, lexeme: Lexeme, sink: &mut Sink) {
        now.lexemes += 1;
        now.last = lexeme.span;
        if now.lexemes == MAX_STATEMENT_LEXEMES + 1 {
            let message = format!("statement of more than {MAX_STATEMENT_LEXEMES} words and signs");
            Self::fault(
                now,
                sink,
                Diagnostic::new(Code::StatementTooLong, message, lexeme.span)
                    .help("split it into several statements"),
            );
        }
        match lexeme.kind {
            Kind::Sign(sign @ ('(' | '{')) => Self::open(now, lexeme, sign, sink),
            Kind::Sign(sign @ (')' | '}')) => Self::close(now, lexeme, sign, sink),
            Kind::Sign(',') => {
                now.values += 1;
                if now.values == MAX_SET_VALUES {
                    let message = format!("set of more than {MAX_SET_VALUES} values");
                    Self::fault(
                        now,
                        sink,
                        Diagnostic::new(Code::SetTooLarge, message, lexeme.span)
                            .help("join neighbouring values to ranges or prefixes"),
                    );
                }
            }
            Kind::String { closed: false } => Self::fault(
                now,
                sink,
                Diagnostic::new(Code::UnterminatedString, "string never closed", lexeme.span)
                    .label("the line ends before the closing `\"`"),
            ),
            Kind::Word if self.text(lexeme) == "not" => {
                now.nots += 1;
                Self::check_depth(now, lexeme.span, sink);
            }
            _ => now.nots = 0,
        }
    }

    fn fault(now: &mut Progress, sink: &mut Sink, diagnostic: Diagnostic) {
        if !now.chunk.faulty {
            sink.push(diagnostic);
        }
        now.chunk.faulty = true;
    }

    fn depth(now: &Progress) -> usize {
        now.open.iter().map(|open| 1 + open.nots).sum::<usize>() + now.nots
    }

    fn check_depth(now: &mut Progress, span: Span, sink: &mut Sink) {
        if Self::depth(now) > MAX_DEPTH {
            let message = format!("nesting deeper than {MAX_DEPTH}");
            Self::fault(
                now,
                sink,
                Diagnostic::new(Code::TooDeep, message, span)
                    .help("give a part of it a name with `let`"),
            );
        }
    }

    fn open(now: &mut Progress, lexeme: Lexeme, sign: char, sink: &mut Sink) {
        if now.open.is_empty() {
            now.values = 0;
        }
        if now.open.len() > MAX_DEPTH {
            now.excess += 1;
            return;
        }
        now.open.push(Open {
            span: lexeme.span,
            sign,
            nots: std::mem::take(&mut now.nots),
        });
        Self::check_depth(now, lexeme.span, sink);
    }

    fn close(now: &mut Progress, lexeme: Lexeme, sign: char, sink: &mut Sink) {
        now.nots = 0;
        if now.excess > 0 {
            now.excess -= 1;
            return;
        }
        let wanted = if sign == ')' { '(' } else { '{' };
        let opened = now.open.pop();
        let diagnostic = match &opened {
            Some(open) if open.sign == wanted => return,
            Some(open) => {
                let other = if open.sign == '(' { ')' } else { '}' };
                let message = format!("expected `{other}`, found `{sign}`");
                Diagnostic::new(Code::UnexpectedClose, message, lexeme.span)
                    .also(open.span, "to close this")
            }
            None => {
                let message = format!("`{sign}` closes nothing");
                Diagnostic::new(Code::UnexpectedClose, message, lexeme.span)
            }
        };
        Self::fault(now, sink, diagnostic);
    }

    fn report_unclosed(&self, now: &mut Progress, sink: &mut Sink) {
        if let Some(Open { span, sign, .. }) = now.open.pop() {
            let closer = if sign == '(' { ')' } else { '}' };
            Self::fault(
                now,
                sink,
                Diagnostic::new(Code::Unclosed, format!("`{sign}` is never closed"), span)
                    .label("opened here")
                    .help(format!("add `{closer}` before the statement ends")),
            );
        }
    }

    /// Sorts the comments met while reading a statement: in it, behind it, or in front of the next.
    fn place_comments(&mut self, chunk: &mut Chunk, comments: Vec<Span>, ended: bool) {
        let mut behind = Vec::new();
        for span in comments {
            if ended || span.start < chunk.span.end {
                chunk.inner.push(span);
            } else {
                behind.push(span);
            }
        }
        if !ended {
            self.last_end = chunk.span.end;
        }
        if behind.is_empty() {
            behind.extend(
                self.lexer
                    .next_if(|next| next.kind == Kind::Comment)
                    .map(|c| c.span),
            );
        }
        for span in behind {
            let between = self.source.slice(Span::new(self.last_end, span.start));
            let text = comment_text(self.source, span);
            if chunk.after.is_none() && !between.contains('\n') {
                chunk.after = Some(text);
            } else {
                let gap = self.gap(span);
                self.waiting.push(Comment { gap, text });
            }
            self.last_end = span.end;
        }
    }
}
