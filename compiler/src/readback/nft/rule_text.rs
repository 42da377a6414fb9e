//! One rule, key or list of elements of nftables text, to [`super::ast`].

use super::ast::{Element, Operator, Part, Right, Rule, Scalar, Source, Statement, Verdict};
use super::cursor::{Cursor, Fault};
use super::fields::Field;
use super::lex::Token;
use super::values;

/// A rule up to the end of its line. A rule that only counts or comments is none.
pub(super) fn rule(at: &mut Cursor<'_>) -> Result<Option<Rule>, Fault> {
    let line = at.line();
    let mut statements = Vec::new();
    loop {
        match at.peek() {
            Some(Token::Word(word)) => statements.extend(statement(at, word)?),
            // Raw payload starts with a sign.
            Some(Token::Sign("@")) => statements.push(comparison(at)?),
            None | Some(Token::End | Token::Sign("}")) => break,
            Some(_) => return Err(at.fault("this statement is not known here")),
        }
    }
    Ok((!statements.is_empty()).then_some(Rule { line, statements }))
}

fn statement(at: &mut Cursor<'_>, word: &str) -> Result<Option<Statement>, Fault> {
    if let Some(verdict) = verdict(at)? {
        return Ok(Some(Statement::Verdict(verdict)));
    }
    match word {
        "counter" => counter(at)?,
        "comment" => {
            at.next();
            at.quoted()?;
        }
        "fwd" => {
            at.next();
            at.keyword("to")?;
            return Ok(Some(Statement::Forward(at.name("a device")?.to_owned())));
        }
        _ => return comparison(at).map(Some),
    }
    Ok(None)
}

fn counter(at: &mut Cursor<'_>) -> Result<(), Fault> {
    at.keyword("counter")?;
    match at.peek() {
        Some(Token::Word("name")) => {
            at.next();
            at.name("a counter")?;
        }
        Some(Token::Word("packets")) => {
            at.next();
            at.word("a number")?;
            at.keyword("bytes")?;
            at.word("a number")?;
        }
        _ => {}
    }
    Ok(())
}

/// A verdict, if one comes next.
fn verdict(at: &mut Cursor<'_>) -> Result<Option<Verdict>, Fault> {
    let Some(Token::Word(word)) = at.peek() else {
        return Ok(None);
    };
    let simple = match word {
        "accept" => Verdict::Accept,
        "drop" => Verdict::Drop,
        "continue" => Verdict::Continue,
        "return" => Verdict::Return,
        "jump" | "goto" => {
            at.next();
            let chain = at.word("a chain")?.to_owned();
            return Ok(Some(if word == "jump" {
                Verdict::Jump(chain)
            } else {
                Verdict::Goto(chain)
            }));
        }
        _ => return Ok(None),
    };
    at.next();
    Ok(Some(simple))
}

fn comparison(at: &mut Cursor<'_>) -> Result<Statement, Fault> {
    let key = key(at)?;
    if at.peek() == Some(Token::Word("vmap")) {
        at.next();
        let map = source(at, true)?.ok_or_else(|| at.fault("the map is missing"))?;
        return Ok(Statement::Map { key, map });
    }
    let operator = match at.peek() {
        Some(Token::Sign(sign)) => Operator::of(sign),
        _ => None,
    };
    if operator.is_some() {
        at.next();
    }
    let right = match source(at, false)? {
        Some(set) => Right::Set(set),
        None => Right::Value(scalar(at)?),
    };
    let operator = operator.unwrap_or(Operator::Equal);
    Ok(Statement::comparison(key, operator, right))
}

/// A set or map, if one comes next.
fn source(at: &mut Cursor<'_>, is_map: bool) -> Result<Option<Source>, Fault> {
    if at.sign("@") {
        return Ok(Some(Source::Named(at.word("a set")?.to_owned())));
    }
    if at.sign("{") {
        return Ok(Some(Source::Anonymous(elements(at, is_map)?)));
    }
    Ok(None)
}

/// The parts of a key: `ip saddr . @nh,176,16 & 0xfff0`
pub(super) fn key(at: &mut Cursor<'_>) -> Result<Vec<Part>, Fault> {
    let mut parts = Vec::new();
    loop {
        let field = field(at)?;
        let mask = if at.sign("&") {
            Some(at.word("a mask")?.to_owned())
        } else {
            None
        };
        parts.push(Part { field, mask });
        if !at.sign(".") {
            return Ok(parts);
        }
    }
}

fn field(at: &mut Cursor<'_>) -> Result<Field, Fault> {
    let found = if at.sign("@") {
        let base = at.word("a base")?;
        at.expect_sign(",")?;
        let bit = integer(at)?;
        at.expect_sign(",")?;
        let width = integer(at)?;
        Field::raw(base, bit as usize, width)
    } else {
        match at.word("something to compare")? {
            "meta" => Field::meta(at.word("a key of meta")?),
            protocol => match at.peek() {
                Some(Token::Word(name)) => {
                    at.next();
                    Field::typed(protocol, name)
                }
                _ => Err(format!("`{protocol}` is not known here")),
            },
        }
    };
    found.map_err(|reason| at.fault_behind(reason))
}

fn integer(at: &mut Cursor<'_>) -> Result<u32, Fault> {
    let value = values::number(at.word("a number")?);
    value
        .and_then(|value| u32::try_from(value).ok())
        .ok_or_else(|| at.fault_behind("this number is not understood"))
}

fn scalar(at: &mut Cursor<'_>) -> Result<Scalar, Fault> {
    let word = at.word("a value")?;
    values::scalar(word).ok_or_else(|| at.fault_behind(format!("`{word}` is not understood")))
}

/// The elements of a set or map up to the closing brace; the opening one is already taken.
pub(super) fn elements(at: &mut Cursor<'_>, is_map: bool) -> Result<Vec<Element>, Fault> {
    let mut elements = Vec::new();
    while !at.closed()? {
        let line = at.line();
        let key = if at.sign("*") {
            None
        } else {
            let mut parts = vec![scalar(at)?];
            while at.sign(".") {
                parts.push(scalar(at)?);
            }
            Some(parts)
        };
        loop {
            match at.peek() {
                Some(Token::Word("counter")) => counter(at)?,
                Some(Token::Word("comment")) => {
                    at.next();
                    at.quoted()?;
                }
                _ => break,
            }
        }
        let verdict = if is_map {
            at.expect_sign(":")?;
            let found = verdict(at)?;
            Some(found.ok_or_else(|| at.fault("a verdict is missing"))?)
        } else {
            None
        };
        elements.push(Element { line, key, verdict });
        at.skip_ends();
        if !at.sign(",") && at.peek() != Some(Token::Sign("}")) {
            return Err(at.fault("this part of an element is not known here"));
        }
    }
    Ok(elements)
}
