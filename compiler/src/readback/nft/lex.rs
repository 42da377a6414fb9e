//! nft's text cut into words and signs, after the notation of nft(8).
//!
//! The end of a line is a token, because it ends a rule. Comments and joined lines are gone.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_while, take_while1};
use nom::character::complete::one_of;
use nom::combinator::{opt, recognize, verify};
use nom::error::Error;
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'text> {
    /// A name, number, address, range or prefix.
    Word(&'text str),
    /// What stood in double quotes.
    Quoted(&'text str),
    /// Punctuation or an operator.
    Sign(&'text str),
    /// The end of a line, or a semicolon.
    End,
}

/// A token and the line it stands in, from 1 on.
pub(super) type Placed<'text> = (Token<'text>, usize);

/// All tokens of `text`; or the line where something stands that is none.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed<'_>>, usize> {
    let (mut rest, mut line) = (text, 1);
    let mut found = Vec::new();
    loop {
        let (after, skipped) = blank(rest).map_err(|_| line)?;
        line += skipped.matches('\n').count();
        if after.is_empty() {
            return Ok(found);
        }
        let (next, token) = token(after).map_err(|_| line)?;
        found.push((token, line));
        if after.starts_with('\n') {
            line += 1;
        }
        rest = next;
    }
}

/// Spaces, comments up to the end of their line, and line ends behind a backslash.
fn blank(text: &str) -> IResult<&str, &str> {
    let spaces = take_while1(|c| matches!(c, ' ' | '\t' | '\r'));
    let comment = recognize((tag("#"), take_till(|c| c == '\n')));
    let joined = tag("\\\n");
    recognize(nom::multi::many0_count(alt((spaces, comment, joined)))).parse(text)
}

fn token(text: &str) -> IResult<&str, Token<'_>> {
    let end = one_of("\n;").map(|_| Token::End);
    let quoted = delimited(tag("\""), take_till(|c| matches!(c, '"' | '\n')), tag("\""));
    let double = alt((
        tag("=="),
        tag("!="),
        tag("<="),
        tag(">="),
        tag("<<"),
        tag(">>"),
    ));
    let single = recognize(one_of("{},=@&<>!()|^.*:$"));
    alt((
        end,
        quoted.map(Token::Quoted),
        word.map(Token::Word),
        double.map(Token::Sign),
        single.map(Token::Sign),
    ))
    .parse(text)
}

/// A word has no colon at its end, where it separates a key from its verdict; `::` is an address.
fn word(text: &str) -> IResult<&str, &str> {
    let start = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '+');
    let inner = |c: char| start(c) || matches!(c, '.' | ':' | '/');
    let begun = preceded(opt(tag("::")), take_while(inner));
    let (_, run) = verify(recognize(begun), |run: &str| {
        run.starts_with("::") || run.starts_with(start)
    })
    .parse(text)?;
    let kept = match run.strip_suffix(':') {
        Some(key) if !key.ends_with(':') => key,
        _ => run,
    };
    let at = kept.len();
    match (text.get(at..), text.get(..at)) {
        (Some(rest), Some(kept)) => Ok((rest, kept)),
        _ => Err(nom::Err::Error(Error::new(
            text,
            nom::error::ErrorKind::Eof,
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_colons_and_lines_are_told_apart() {
        let found = tokens("a-b 5: x # y\n::1 : fe80:: \\\n ; @nh,72,8 \"q # r\"").unwrap();
        let expected = [
            (Token::Word("a-b"), 1),
            (Token::Word("5"), 1),
            (Token::Sign(":"), 1),
            (Token::Word("x"), 1),
            (Token::End, 1),
            (Token::Word("::1"), 2),
            (Token::Sign(":"), 2),
            (Token::Word("fe80::"), 2),
            (Token::End, 3),
            (Token::Sign("@"), 3),
            (Token::Word("nh"), 3),
            (Token::Sign(","), 3),
            (Token::Word("72"), 3),
            (Token::Sign(","), 3),
            (Token::Word("8"), 3),
            (Token::Quoted("q # r"), 3),
        ];
        assert_eq!(found, expected);
        assert_eq!(tokens("a\n\"open\n"), Err(2));
    }
}
