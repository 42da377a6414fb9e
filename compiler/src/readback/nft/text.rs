//! nftables text to [`super::ast`]: what is fed to `nft -f`, and what `nft list ruleset` prints.
//!
//! Grammar after nft(8) and the listings of nft 1.0.6: tables, chains, sets, maps, and the commands
//! that a file of rules is made of. Rules themselves are in [`super::rule_text`].

use super::ast::{Chain, Hook, KeyType, Set, Table};
use super::cursor::{Cursor, Fault};
use super::lex::Token;
use super::values::{Datatype, number};
use super::{Ruleset, rule_text};

/// The ruleset that `text` leaves behind when it is loaded into an empty kernel.
pub(super) fn ruleset(at: &mut Cursor<'_>) -> Result<Ruleset, Fault> {
    let mut rules = Ruleset::default();
    loop {
        at.skip_ends();
        let Some(token) = at.peek() else {
            return Ok(rules);
        };
        match token {
            Token::Word("table") => table(at, &mut rules)?,
            Token::Word("add") => {
                at.next();
                added(at, &mut rules)?;
            }
            Token::Word("delete") => {
                at.next();
                deleted(at, &mut rules)?;
            }
            Token::Word("flush") => {
                at.next();
                flushed(at, &mut rules)?;
            }
            _ => return Err(at.fault("this command is not known here")),
        }
        at.expect_end()?;
    }
}

/// Whether the family that comes next is netdev, and the table's name.
fn table_name<'text>(at: &mut Cursor<'text>) -> Result<(bool, &'text str), Fault> {
    let family = at.word("a family")?;
    if !matches!(family, "netdev" | "ip" | "ip6" | "inet" | "arp" | "bridge") {
        return Err(at.fault("a table needs its family here"));
    }
    Ok((family == "netdev", at.word("a table")?))
}

fn table(at: &mut Cursor<'_>, rules: &mut Ruleset) -> Result<(), Fault> {
    at.keyword("table")?;
    let (netdev, name) = table_name(at)?;
    if !netdev {
        // Other families hook in later; but for one.
        return if at.sign("{") { foreign(at) } else { Ok(()) };
    }
    let table = rules.tables.entry(name.to_owned()).or_default();
    if !at.sign("{") {
        return Ok(());
    }
    while !at.closed()? {
        match at.word("a chain, set or map")? {
            "chain" => chain(at, table)?,
            "set" => set(at, table, false)?,
            "map" => set(at, table, true)?,
            "counter" => {
                at.word("a name")?;
                at.expect_sign("{")?;
                at.skip_block()?;
            }
            "comment" => at.quoted()?,
            _ => return Err(at.fault_behind("this part of a table is not known here")),
        }
    }
    Ok(())
}

/// Skips a table of another family, unless it hangs at the ingress hook too.
fn foreign(at: &mut Cursor<'_>) -> Result<(), Fault> {
    let (body, line) = at.block()?;
    let hooked = body.windows(2).any(|pair| {
        matches!(
            pair,
            [(Token::Word("hook"), _), (Token::Word("ingress"), _)]
        )
    });
    if hooked {
        return Err(at.fault_at(line, "a table of another family hooks at ingress too"));
    }
    Ok(())
}

fn added(at: &mut Cursor<'_>, rules: &mut Ruleset) -> Result<(), Fault> {
    if at.peek() == Some(Token::Word("table")) {
        return table(at, rules);
    }
    let kind = at.word("what to add")?;
    let (netdev, name) = table_name(at)?;
    if !netdev {
        return Err(at.fault("only rules of family netdev are read one by one"));
    }
    let table = rules
        .tables
        .get_mut(name)
        .ok_or_else(|| at.fault_behind("there is no such table"))?;
    match kind {
        "chain" => chain(at, table),
        "set" => set(at, table, false),
        "map" => set(at, table, true),
        "rule" => {
            let name = at.word("a chain")?;
            let chain = table
                .chains
                .get_mut(name)
                .ok_or_else(|| at.fault_behind("there is no such chain"))?;
            chain.rules.extend(rule_text::rule(at)?);
            Ok(())
        }
        "element" => {
            let name = at.word("a set")?;
            let set = table
                .sets
                .get_mut(name)
                .ok_or_else(|| at.fault_behind("there is no such set"))?;
            at.expect_sign("{")?;
            set.elements.extend(rule_text::elements(at, set.is_map)?);
            Ok(())
        }
        _ => Err(at.fault("this command is not known here")),
    }
}

fn deleted(at: &mut Cursor<'_>, rules: &mut Ruleset) -> Result<(), Fault> {
    at.keyword("table")?;
    let (netdev, name) = table_name(at)?;
    if netdev && rules.tables.remove(name).is_none() {
        return Err(at.fault_behind("there is no such table"));
    }
    Ok(())
}

fn flushed(at: &mut Cursor<'_>, rules: &mut Ruleset) -> Result<(), Fault> {
    if at.word("what to flush")? != "ruleset" {
        return Err(at.fault_behind("only `flush ruleset` is known here"));
    }
    match at.peek() {
        None | Some(Token::End) => *rules = Ruleset::default(),
        Some(_) => return Err(at.fault("only the whole ruleset can be flushed here")),
    }
    Ok(())
}

fn chain(at: &mut Cursor<'_>, table: &mut Table) -> Result<(), Fault> {
    let name = at.word("a chain")?.to_owned();
    let mut chain = table.chains.remove(&name).unwrap_or_default();
    if at.sign("{") {
        while !at.closed()? {
            match at.peek() {
                Some(Token::Word("type")) => chain.hook = Some(hook(at)?),
                Some(Token::Word("policy")) => policy(at, &mut chain)?,
                Some(Token::Word("comment")) => {
                    at.next();
                    at.quoted()?;
                }
                _ => chain.rules.extend(rule_text::rule(at)?),
            }
        }
    }
    table.chains.insert(name, chain);
    Ok(())
}

fn policy(at: &mut Cursor<'_>, chain: &mut Chain) -> Result<(), Fault> {
    at.keyword("policy")?;
    let drops = match at.word("a policy")? {
        "accept" => false,
        "drop" => true,
        _ => return Err(at.fault_behind("a policy is accept or drop")),
    };
    let Some(hook) = chain.hook.as_mut() else {
        return Err(at.fault_behind("only a chain at a hook has a policy"));
    };
    hook.drops_by_default = drops;
    Ok(())
}

/// `type filter hook ingress device "vif1.0" priority filter - 5`
fn hook(at: &mut Cursor<'_>) -> Result<Hook, Fault> {
    let line = at.line();
    at.keyword("type")?;
    at.keyword("filter")?;
    at.keyword("hook")?;
    let ingress = match at.word("a hook")? {
        "ingress" => true,
        "egress" => false,
        _ => return Err(at.fault_behind("family netdev has no such hook")),
    };
    let mut devices = Vec::new();
    if at.peek() == Some(Token::Word("devices")) {
        at.next();
        at.expect_sign("=")?;
        at.expect_sign("{")?;
        while !at.closed()? {
            devices.push(at.name("a device")?.to_owned());
            at.sign(",");
        }
    } else {
        at.keyword("device")?;
        devices.push(at.name("a device")?.to_owned());
    }
    at.keyword("priority")?;
    Ok(Hook {
        line,
        ingress,
        devices,
        priority: priority(at)?,
        drops_by_default: false,
    })
}

fn priority(at: &mut Cursor<'_>) -> Result<i64, Fault> {
    let integer = |word: &str| {
        let (sign, digits) = word.strip_prefix('-').map_or((1, word), |rest| (-1, rest));
        let size = i64::try_from(number(digits)?).ok()?;
        Some(sign * size)
    };
    let word = at.word("a priority")?;
    let found = if word == "filter" {
        match at.peek() {
            Some(Token::Word(sign @ ("+" | "-"))) => {
                at.next();
                let offset = integer(at.word("a number")?);
                offset.map(|offset| if sign == "-" { -offset } else { offset })
            }
            _ => Some(0),
        }
    } else {
        integer(word)
    };
    found.ok_or_else(|| at.fault_behind("this priority is not known here"))
}

fn set(at: &mut Cursor<'_>, table: &mut Table, is_map: bool) -> Result<(), Fault> {
    let name = at.word("a set")?.to_owned();
    let mut set = Set {
        is_map,
        types: Vec::new(),
        elements: Vec::new(),
    };
    at.expect_sign("{")?;
    while !at.closed()? {
        match at.word("a property of a set")? {
            "type" => {
                set.types = types(at)?;
                answers(at, is_map)?;
            }
            "typeof" => {
                set.types = rule_text::key(at)?
                    .iter()
                    .map(|part| KeyType {
                        datatype: part.field.datatype(),
                        width: Some(part.field.width()),
                    })
                    .collect();
                answers(at, is_map)?;
            }
            "flags" => flags(at)?,
            "elements" => {
                at.expect_sign("=")?;
                at.expect_sign("{")?;
                set.elements.extend(rule_text::elements(at, is_map)?);
            }
            "size" | "policy" => {
                at.word("a value")?;
            }
            "comment" => at.quoted()?,
            "auto-merge" | "counter" => {}
            _ => return Err(at.fault_behind("this property of a set is not known here")),
        }
    }
    if set.types.is_empty() {
        return Err(at.fault_behind("the set has no type"));
    }
    match table.sets.insert(name, set) {
        None => Ok(()),
        Some(_) => Err(at.fault_behind("the set is declared twice")),
    }
}

fn types(at: &mut Cursor<'_>) -> Result<Vec<KeyType>, Fault> {
    let mut types = Vec::new();
    loop {
        let (datatype, width) = Datatype::named(at.word("a type")?)
            .ok_or_else(|| at.fault_behind("this type is not known here"))?;
        types.push(KeyType { datatype, width });
        if !at.sign(".") {
            return Ok(types);
        }
    }
}

/// `: verdict` behind the key type of a map.
fn answers(at: &mut Cursor<'_>, is_map: bool) -> Result<(), Fault> {
    if is_map {
        at.expect_sign(":")?;
        at.keyword("verdict")?;
    }
    Ok(())
}

fn flags(at: &mut Cursor<'_>) -> Result<(), Fault> {
    loop {
        // Others make the contents change while packets pass.
        if !matches!(at.word("a flag")?, "interval" | "constant") {
            return Err(at.fault_behind("sets with this flag have no fixed meaning"));
        }
        if !at.sign(",") {
            return Ok(());
        }
    }
}
