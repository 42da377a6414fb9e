//! The lines below a filter: its keys, how it hashes, and its action.

use super::super::ast::{Action, HashKey, Key};
use super::super::words::{
    Read, Words, decimal, device, hexadecimal, number, offset, value_and_mask,
};

/// `VALUE/MASK at OFFSET`, with `-s` followed by ` (success N )`.
pub(super) fn key(mut words: Words<'_>) -> Read<Key> {
    let (value, mask) = words.value("match", value_and_mask)?;
    let offset = at(&mut words)?;
    match words.next() {
        None => {}
        Some("(success") => skip_to_parenthesis(&mut words)?,
        Some(word) => return Err(format!("`{word}` is not understood")),
    }
    Ok(Key {
        offset,
        mask,
        value,
    })
}

/// `mask MASK at OFFSET`.
pub(super) fn hash_key(mut words: Words<'_>) -> Read<HashKey> {
    words.value("hash", |text| (text == "mask").then_some(()))?;
    let mask = words.value("mask", hexadecimal)?;
    let offset = at(&mut words)?;
    end(&mut words)?;
    Ok(HashKey { mask, offset })
}

fn at(words: &mut Words<'_>) -> Read<i32> {
    match words.next() {
        Some("at") => words.value("at", |text| offset(text).filter(|at| at % 4 == 0)),
        _ => Err("no offset is listed".to_owned()),
    }
}

/// `order 1: KIND ...`; `None` if the walk goes on behind it.
pub(super) fn action(mut words: Words<'_>) -> Read<Option<Action>> {
    words.value("action", |text| (text == "order").then_some(()))?;
    words.value("order", |text| decimal(text.strip_suffix(':')?))?;
    let action = match words.next() {
        Some("gact") => {
            words.value("gact", |text| (text == "action").then_some(()))?;
            match words.next() {
                Some("pass") => Some(Action::Pass),
                Some("drop") => Some(Action::Drop),
                Some("continue") => None,
                Some("goto") => {
                    words.value("goto", |text| (text == "chain").then_some(()))?;
                    Some(Action::Goto(words.value("chain", number)?))
                }
                other => {
                    let word = other.unwrap_or_default();
                    return Err(format!("the action `{word}` is not understood"));
                }
            }
        }
        Some("mirred") => {
            for expected in ["(Egress", "Redirect", "to", "device"] {
                words.value("mirred", |text| (text == expected).then_some(()))?;
            }
            let to = words.value("device", |text| device(text.strip_suffix(')')?))?;
            words.value("mirred", |text| (text == "stolen").then_some(()))?;
            Some(Action::Redirect(to))
        }
        _ => return Err("this action is not understood".to_owned()),
    };
    end(&mut words)?;
    Ok(action)
}

pub(super) fn end(words: &mut Words<'_>) -> Read<()> {
    match words.next() {
        None => Ok(()),
        Some(word) => Err(format!("`{word}` is not understood")),
    }
}

/// Counters in parentheses, which must end the line.
pub(super) fn skip_to_parenthesis(words: &mut Words<'_>) -> Read<()> {
    while let Some(word) = words.next() {
        if word.ends_with(')') {
            return end(words);
        }
    }
    Err("a parenthesis is not closed".to_owned())
}
