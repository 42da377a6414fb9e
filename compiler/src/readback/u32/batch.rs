//! tc batch files: one command a line, as `tc -batch` takes them.
//!
//! Follows `do_batch` and `makeargs` of iproute2's `lib/utils.c`, `tc/tc_filter.c`, `tc/f_u32.c`
//! (`pack_key` and its callers), `tc/f_bpf.c`, `tc/m_mirred.c` and `tc/m_gact.c`.

use super::ast::{Action, ETH_P_ALL, Filters, FlowerFilter, HashKey, Key, Knode, Source};
use super::flower::{Keys, Of};
use super::load::{Add, Body, Loader};
use super::words::{Handle, Read, Words, class, device, hexadecimal, number, offset, protocol};
use crate::readback::ReadbackError;
use crate::readback::bpf::Program;

/// The most keys of one rule.
const MAX_KEYS: usize = 128;

/// `TC_ACT_EXT_VAL_MASK` of `linux/pkt_cls.h`.
const MAX_CHAIN: u32 = (1 << 28) - 1;

/// The filters on the ingress of `wanted` once the batch is loaded.
pub(super) fn filters(text: &str, wanted: &str) -> Result<Filters, ReadbackError> {
    let mut loader = Loader::default();
    for (at, line) in text.lines().enumerate() {
        let source = Source {
            line: at + 1,
            text: line.trim().to_owned(),
        };
        command(&source, wanted)
            .and_then(|add| add.map_or(Ok(()), |add| loader.add(add)))
            .map_err(|reason| source.refuse(reason))?;
    }
    Ok(loader.finish())
}

/// What a line adds to the ingress of `wanted`, if anything.
fn command(source: &Source, wanted: &str) -> Read<Option<Add>> {
    // tc cuts a line at `#` wherever it stands.
    let line = source.text.split('#').next().unwrap_or_default();
    if has_quotes(line) {
        return Err("quotes and line continuations are not understood".to_owned());
    }
    let mut words = Words::new(line);
    match (words.next(), words.next()) {
        (None, _) => Ok(None),
        (Some("filter"), Some("add")) => filter(words, source, wanted),
        (Some("qdisc"), Some("add")) => qdisc(words, wanted).map(|()| None),
        (Some(object), verb) => {
            let verb = verb.unwrap_or_default();
            Err(format!("`{object} {verb}` is not understood"))
        }
    }
}

/// Whether there are quotes or backslashes other than those around one program.
fn has_quotes(line: &str) -> bool {
    let odd = |text: &str| text.contains(['\'', '"', '\\']);
    match line.split_once(" bytecode \"") {
        None => odd(line),
        Some((before, rest)) => match rest.split_once('"') {
            None => true,
            Some((program, behind)) => odd(before) || odd(program) || odd(behind),
        },
    }
}

/// A qdisc only matters here if it takes the place of the hook.
fn qdisc(mut words: Words<'_>, wanted: &str) -> Read<()> {
    let (mut on, mut hook) = (None, false);
    while let Some(word) = words.next() {
        match word {
            "dev" => on = Some(words.value("dev", device)?),
            "clsact" | "ingress" => hook = true,
            _ => {}
        }
    }
    match on {
        Some(on) if on != wanted || hook => Ok(()),
        Some(_) => Err("this qdisc is not the ingress hook".to_owned()),
        None => Err("no device is named".to_owned()),
    }
}

fn filter(mut words: Words<'_>, source: &Source, wanted: &str) -> Read<Option<Add>> {
    let (mut on, mut hook) = (None, None);
    let (mut pref, mut of, mut handle, mut chain) = (None, None, None, None);
    let kind = loop {
        let word = words
            .next()
            .ok_or_else(|| "no classifier is named".to_owned())?;
        match word {
            "dev" => once(&mut on, word, words.value(word, device)?)?,
            "ingress" => once(&mut hook, word, true)?,
            "egress" => once(&mut hook, word, false)?,
            "parent" => {
                let ingress = matches!(words.value(word, class)?, (0xffff, 0 | 0xfff2));
                once(&mut hook, word, ingress)?;
            }
            "pref" | "prio" | "preference" | "priority" => {
                let read = |text| number(text).and_then(|n| u16::try_from(n).ok());
                once(&mut pref, word, words.value(word, read)?)?;
            }
            "protocol" | "proto" => once(&mut of, word, words.value(word, protocol)?)?,
            "handle" => once(&mut handle, word, words.value(word, Some)?)?,
            "chain" => {
                // The upper bits of an action's answer hold no more.
                let read = |text| number(text).filter(|&chain| chain <= MAX_CHAIN);
                once(&mut chain, word, words.value(word, read)?)?;
            }
            "u32" | "matchall" | "bpf" | "flower" => break word,
            _ => return Err(format!("`{word}` is not understood")),
        }
    };
    if on.ok_or_else(|| "no device is named".to_owned())? != wanted {
        return Ok(None);
    }
    if hook != Some(true) {
        return Err("the filter is not on the ingress hook".to_owned());
    }
    let pref = pref
        .filter(|&pref| pref != 0)
        .ok_or_else(|| "no preference is given, and the kernel would choose".to_owned())?;
    let body = match kind {
        "u32" => u32_body(words, source, handle)?,
        "bpf" => bpf(words, source)?,
        "flower" => flower(words, source, of.unwrap_or(ETH_P_ALL), handle)?,
        _ => matchall(words, source)?,
    };
    Ok(Some(Add {
        chain: chain.unwrap_or(0),
        pref,
        protocol: of.unwrap_or(ETH_P_ALL),
        body,
    }))
}

fn once<T>(slot: &mut Option<T>, word: &str, value: T) -> Read<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("`{word}` or its like is given twice")),
    }
}

fn u32_body(mut words: Words<'_>, source: &Source, handle: Option<&str>) -> Read<Body> {
    let read_handle =
        |text: &str| Handle::read(text).ok_or_else(|| format!("`{text}` is no handle"));
    let handle = handle.map(read_handle).transpose()?;
    let mut keys = Vec::new();
    let (mut flow, mut divisor, mut link, mut ht, mut hash, mut action) =
        (None, None, None, None, None, None);
    while let Some(word) = words.next() {
        match word {
            "match" => pack(&mut keys, match_of(&mut words)?)?,
            "flowid" | "classid" => once(&mut flow, word, words.value(word, class)?)?,
            "divisor" => {
                let buckets = words.value(word, |text| {
                    let buckets = u16::try_from(number(text)?).ok()?;
                    (buckets.is_power_of_two() && buckets <= 256).then_some(buckets)
                })?;
                once(&mut divisor, word, buckets)?;
            }
            "link" => {
                let table = words.value(word, |text| Handle::read(text)?.table_only())?;
                once(&mut link, word, table)?;
            }
            "ht" => {
                let table = words.value(word, |text| {
                    Handle::read(text).filter(|ht| ht.node == 0 && ht.table != 0)
                })?;
                once(&mut ht, word, table)?;
            }
            "hashkey" => once(&mut hash, word, hash_key(&mut words)?)?,
            "action" => once(&mut action, word, action_of(&mut words)?)?,
            "skip_hw" => {}
            _ => return Err(format!("`{word}` is not understood")),
        }
    }
    if let Some(buckets) = divisor {
        let id = handle
            .map(|handle| handle.table_only().filter(|&id| id != 0).ok_or(handle))
            .transpose()
            .map_err(|_| "a table's handle names a table and nothing else".to_owned())?;
        let alone = keys.is_empty() && flow.is_none() && link.is_none() && ht.is_none();
        if !alone || hash.is_some() || action.is_some() {
            return Err("`divisor` makes a table, which takes nothing else".to_owned());
        }
        return Ok(Body::Table { id, buckets });
    }
    if keys.is_empty() {
        return Err("a rule needs a `match`".to_owned());
    }
    Ok(Body::Knode {
        handle,
        ht,
        knode: Knode {
            source: source.clone(),
            keys,
            link,
            hash: hash.unwrap_or_default(),
            // tc marks a rule as final if it has a class or an action.
            action: action.unwrap_or_else(|| flow.map(|_| Action::Pass)),
        },
    })
}

/// `u32|u16|u8 VALUE MASK [at OFFSET]`, as the aligned word that tc makes of it.
fn match_of(words: &mut Words<'_>) -> Read<Key> {
    let width = words.next().unwrap_or_default();
    let bits = match width {
        "u32" => 32,
        "u16" => 16,
        "u8" => 8,
        _ => return Err(format!("`match {width}` is not understood")),
    };
    let fits = |n: &u32| u64::from(*n) < 1 << bits;
    let value = words.value(width, |text| number(text).filter(fits))?;
    let mask = words.value(width, |text| hexadecimal(text).filter(fits))?;
    let mut at = 0;
    if words.peek() == Some("at") {
        words.next();
        at = words.value("at", offset)?;
    }
    let byte = at.rem_euclid(4);
    let shift = match bits {
        8 => 24 - 8 * byte,
        // A half word is the upper one only at the start of a word: tc takes 1 and 3 for 2.
        16 if byte == 0 => 16,
        16 => 0,
        _ if byte == 0 => 0,
        _ => return Err(format!("offset {at} is not a multiple of 4")),
    };
    Ok(Key {
        offset: at - byte,
        mask: mask << shift,
        value: (value & mask) << shift,
    })
}

/// Adds a key the way tc does: it joins an earlier one of the same word, in that one's place.
fn pack(keys: &mut Vec<Key>, key: Key) -> Read<()> {
    let full = keys.len() == MAX_KEYS;
    match keys.iter_mut().find(|known| known.offset == key.offset) {
        Some(known) if (known.value ^ key.value) & known.mask & key.mask != 0 => Err(format!(
            "two matches at {} contradict each other",
            key.offset
        )),
        Some(known) => {
            known.value |= key.value;
            known.mask |= key.mask;
            Ok(())
        }
        None if full => Err(format!("a rule has at most {MAX_KEYS} keys")),
        None => {
            keys.push(key);
            Ok(())
        }
    }
}

fn hash_key(words: &mut Words<'_>) -> Read<HashKey> {
    let mut hash = HashKey::default();
    while let Some(word @ ("mask" | "at")) = words.peek() {
        words.next();
        if word == "mask" {
            hash.mask = words.value(word, hexadecimal)?;
        } else {
            hash.offset = words.value(word, |text| offset(text).filter(|at| at % 4 == 0))?;
        }
    }
    Ok(hash)
}

fn flower(mut words: Words<'_>, source: &Source, outer: u16, handle: Option<&str>) -> Read<Body> {
    let handle = handle
        .and_then(number)
        .filter(|&handle| handle != 0)
        .ok_or_else(|| "no handle is given, and the kernel would choose".to_owned())?;
    let mut of = Of { outer, inner: None };
    let (mut keys, mut action) = (Keys::default(), None);
    while let Some(word) = words.next() {
        if word == "vlan_ethtype" {
            once(&mut of.inner, word, Of::read_inner(&mut words)?)?;
        } else if word == "action" {
            once(&mut action, word, action_of(&mut words)?)?;
        } else if !keys.read(word, &mut words, of)? {
            return Err(format!("`{word}` is not understood"));
        }
    }
    // Without an action the classifier answers "ok".
    let action = action
        .unwrap_or(Some(Action::Pass))
        .ok_or_else(|| "`continue` behind flower is not understood".to_owned())?;
    Ok(Body::Flower {
        handle,
        filter: FlowerFilter {
            source: source.clone(),
            keys: keys.finish(of)?,
        },
        action,
    })
}

fn matchall(mut words: Words<'_>, source: &Source) -> Read<Body> {
    let (mut flow, mut action) = (None, None);
    while let Some(word) = words.next() {
        match word {
            "flowid" | "classid" => once(&mut flow, word, words.value(word, class)?)?,
            "action" => once(&mut action, word, action_of(&mut words)?)?,
            "skip_hw" => {}
            _ => return Err(format!("`{word}` is not understood")),
        }
    }
    // Without an action the classifier answers "ok".
    let action = action.unwrap_or(Some(Action::Pass));
    Ok(Body::Matchall(source.clone(), action))
}

/// A classic program. `run` and `direct-action`, which lets frames pass behind whose end a load lies, are
/// not understood.
fn bpf(mut words: Words<'_>, source: &Source) -> Read<Body> {
    let (mut program, mut flow, mut action) = (None, None, None);
    while let Some(word) = words.next() {
        match word {
            "bytecode" => {
                let text = words.quoted(word, '"')?;
                once(&mut program, word, Program::read(text)?)?;
            }
            "flowid" | "classid" => once(&mut flow, word, words.value(word, class)?)?,
            "action" => once(&mut action, word, action_of(&mut words)?)?,
            _ => return Err(format!("`{word}` is not understood")),
        }
    }
    let program = program.ok_or_else(|| "there is no `bytecode`".to_owned())?;
    // Without an action the classifier answers "ok".
    let action = action.unwrap_or(Some(Action::Pass));
    Ok(Body::Bpf(source.clone(), program, action))
}

/// One action; `None` if it lets the walk go on.
fn action_of(words: &mut Words<'_>) -> Read<Option<Action>> {
    let action = match words.next().unwrap_or_default() {
        "pass" | "ok" => Some(Action::Pass),
        "drop" | "shot" => Some(Action::Drop),
        "continue" => None,
        "goto" => match words.next() {
            Some("chain") => Some(Action::Goto(words.value("chain", |text| {
                number(text).filter(|chain| (1..=MAX_CHAIN).contains(chain))
            })?)),
            _ => return Err("only `goto chain` is understood".to_owned()),
        },
        "mirred" => match (words.next(), words.next(), words.next()) {
            (Some("egress"), Some("redirect"), Some("dev")) => {
                Some(Action::Redirect(words.value("dev", device)?))
            }
            _ => return Err("only `mirred egress redirect dev` is understood".to_owned()),
        },
        other => return Err(format!("the action `{other}` is not understood")),
    };
    match words.peek() {
        // Whatever else stands behind an action, tc reads as a further action.
        None | Some("flowid" | "classid") => Ok(action),
        Some(word) => Err(format!("`{word}` behind an action is not understood")),
    }
}
