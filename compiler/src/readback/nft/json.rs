//! `nft -j list ruleset` to [`super::ast`].
//!
//! The format is libnftables-json(5), as nft 1.0.6 writes it. The "line" of a fault is the place of
//! the object in the list, from 1 on.

use serde_json::{Map, Value};

use super::ast::{
    Chain, Element, Hook, KeyType, Operator, Part, Right, Rule, Ruleset, Scalar, Set, Source,
    Statement, Table, Verdict,
};
use super::cursor::Fault;
use super::fields::Field;
use super::values::Datatype;

type Object = Map<String, Value>;

/// The objects of a listing.
pub(super) fn objects(text: &str) -> Result<Vec<Value>, Fault> {
    let listing: Value =
        serde_json::from_str(text).map_err(|error| Fault::new(error.line(), error.to_string()))?;
    match listing {
        Value::Object(mut all) => match all.remove("nftables") {
            Some(Value::Array(objects)) => Ok(objects),
            _ => Err(Fault::new(1, "there is no list named `nftables`")),
        },
        _ => Err(Fault::new(1, "this is no listing of nft")),
    }
}

pub(super) fn ruleset(objects: &[Value]) -> Result<Ruleset, Fault> {
    let mut rules = Ruleset::default();
    for (at, object) in objects.iter().enumerate() {
        one(object, at + 1, &mut rules).map_err(|reason| Fault::new(at + 1, reason))?;
    }
    Ok(rules)
}

fn one(object: &Value, line: usize, rules: &mut Ruleset) -> Result<(), String> {
    let (kind, body) = only(object)?;
    if kind == "metainfo" {
        return Ok(());
    }
    let body = body.as_object().ok_or("this is no object of nft")?;
    if word(body, "family")? != "netdev" {
        return match body.get("hook").and_then(Value::as_str) {
            Some("ingress") => Err("a table of another family hooks at ingress too".to_owned()),
            _ => Ok(()),
        };
    }
    if kind == "table" {
        if body.contains_key("flags") {
            return Err("a table with flags is not understood".to_owned());
        }
        rules
            .tables
            .entry(word(body, "name")?.to_owned())
            .or_default();
        return Ok(());
    }
    let table = rules
        .tables
        .get_mut(word(body, "table")?)
        .ok_or("there is no such table")?;
    match kind {
        "chain" => chain(body, line, table),
        "set" | "map" => set(kind == "map", body, line, table),
        "rule" => {
            let statements = rule(body, line)?;
            let chain = table
                .chains
                .get_mut(word(body, "chain")?)
                .ok_or("there is no such chain")?;
            if !statements.is_empty() {
                chain.rules.push(Rule { line, statements });
            }
            Ok(())
        }
        "counter" => Ok(()),
        _ => Err(format!("`{kind}` is not known here")),
    }
}

/// The only entry of an object: `{"accept": null}`
fn only(value: &Value) -> Result<(&str, &Value), String> {
    let object = value.as_object().ok_or("an object is missing")?;
    let mut entries = object.iter();
    match (entries.next(), entries.next()) {
        (Some((kind, body)), None) => Ok((kind, body)),
        _ => Err("an object with one entry is missing".to_owned()),
    }
}

fn word<'json>(object: &'json Object, key: &str) -> Result<&'json str, String> {
    let found = object.get(key).and_then(Value::as_str);
    found.ok_or_else(|| format!("`{key}` is missing"))
}

fn list<'json>(value: &'json Value, what: &str) -> Result<&'json Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("{what} is missing"))
}

/// One word, or a list of words.
fn words(value: &Value) -> Result<Vec<&str>, String> {
    match value {
        Value::String(word) => Ok(vec![word]),
        Value::Array(all) => all
            .iter()
            .map(|word| word.as_str().ok_or_else(|| "a word is missing".to_owned()))
            .collect(),
        _ => Err("a word is missing".to_owned()),
    }
}

fn chain(body: &Object, line: usize, table: &mut Table) -> Result<(), String> {
    let mut chain = Chain::default();
    if body.contains_key("hook") {
        if word(body, "type")? != "filter" {
            return Err("family netdev has only filter chains".to_owned());
        }
        let devices = body.get("dev").map_or(Ok(Vec::new()), words)?;
        chain.hook = Some(Hook {
            line,
            ingress: match word(body, "hook")? {
                "ingress" => true,
                "egress" => false,
                _ => return Err("family netdev has no such hook".to_owned()),
            },
            devices: devices.into_iter().map(str::to_owned).collect(),
            priority: body
                .get("prio")
                .and_then(Value::as_i64)
                .ok_or("`prio` is missing")?,
            drops_by_default: match word(body, "policy")? {
                "accept" => false,
                "drop" => true,
                _ => return Err("a policy is accept or drop".to_owned()),
            },
        });
    }
    table.chains.insert(word(body, "name")?.to_owned(), chain);
    Ok(())
}

fn set(is_map: bool, body: &Object, line: usize, table: &mut Table) -> Result<(), String> {
    if is_map && word(body, "map")? != "verdict" {
        return Err("only maps to verdicts are understood".to_owned());
    }
    for flag in body.get("flags").map_or(Ok(Vec::new()), words)? {
        if !matches!(flag, "interval" | "constant") {
            return Err("sets with this flag have no fixed meaning".to_owned());
        }
    }
    if body.contains_key("timeout") {
        return Err("sets with a timeout have no fixed meaning".to_owned());
    }
    let types = words(body.get("type").ok_or("`type` is missing")?)?
        .into_iter()
        .map(|name| {
            let (datatype, width) =
                Datatype::named(name).ok_or_else(|| format!("type `{name}` is not known here"))?;
            Ok(KeyType { datatype, width })
        })
        .collect::<Result<_, String>>()?;
    let elements = body
        .get("elem")
        .map_or(Ok(Vec::new()), |all| elements(all, line, is_map))?;
    let set = Set {
        is_map,
        types,
        elements,
    };
    table.sets.insert(word(body, "name")?.to_owned(), set);
    Ok(())
}

fn elements(all: &Value, line: usize, is_map: bool) -> Result<Vec<Element>, String> {
    let all = match all {
        Value::Array(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    all.iter()
        .map(|element| {
            let (key, answer) = match (is_map, element.as_array().map(Vec::as_slice)) {
                (true, Some([key, answer])) => (key, Some(answer)),
                (true, _) => return Err("an element of a map has two parts".to_owned()),
                (false, _) => (element, None),
            };
            Ok(Element {
                line,
                key: element_key(key)?,
                verdict: answer.map(element_verdict).transpose()?,
            })
        })
        .collect()
}

fn element_key(key: &Value) -> Result<Option<Vec<Scalar>>, String> {
    // Comments and counters stand around the value.
    let key = match only(key) {
        Ok(("elem", body)) => {
            let body = body.as_object().ok_or("an object is missing")?;
            if let Some(other) = body
                .keys()
                .find(|key| !matches!(key.as_str(), "val" | "comment" | "counter"))
            {
                return Err(format!("an element with `{other}` is not understood"));
            }
            body.get("val").ok_or("`val` is missing")?
        }
        _ => key,
    };
    if key.as_str() == Some("*") {
        return Ok(None);
    }
    let parts = match only(key) {
        Ok(("concat", parts)) => list(parts, "a key")?
            .iter()
            .map(scalar)
            .collect::<Result<_, _>>(),
        _ => scalar(key).map(|one| vec![one]),
    };
    parts.map(Some)
}

fn element_verdict(answer: &Value) -> Result<Verdict, String> {
    verdict(answer)?.ok_or_else(|| "a verdict is missing".to_owned())
}

/// A verdict, if `statement` is one.
fn verdict(statement: &Value) -> Result<Option<Verdict>, String> {
    let (kind, body) = only(statement)?;
    let target = || {
        let body = body.as_object().ok_or("an object is missing")?;
        word(body, "target").map(str::to_owned)
    };
    Ok(Some(match kind {
        "accept" => Verdict::Accept,
        "drop" => Verdict::Drop,
        "continue" => Verdict::Continue,
        "return" => Verdict::Return,
        "jump" => Verdict::Jump(target()?),
        "goto" => Verdict::Goto(target()?),
        _ => return Ok(None),
    }))
}

fn rule(body: &Object, line: usize) -> Result<Vec<Statement>, String> {
    let statements = body.get("expr").ok_or("`expr` is missing")?;
    let mut found = Vec::new();
    for statement in list(statements, "a statement")? {
        if let Some(verdict) = verdict(statement)? {
            found.push(Statement::Verdict(verdict));
            continue;
        }
        let (kind, body) = only(statement)?;
        if kind == "counter" {
            continue;
        }
        let body = body.as_object().ok_or("an object is missing")?;
        let part = |key: &str| body.get(key).ok_or_else(|| format!("`{key}` is missing"));
        found.push(match kind {
            "match" => {
                let operator = Operator::of(word(body, "op")?);
                Statement::comparison(
                    key(part("left")?)?,
                    operator.ok_or("this operator is not known here")?,
                    right(part("right")?, line)?,
                )
            }
            "vmap" => Statement::Map {
                key: key(part("key")?)?,
                map: source(part("data")?, line, true)?.ok_or("the map is missing")?,
            },
            "fwd" if body.len() == 1 => Statement::Forward(word(body, "dev")?.to_owned()),
            _ => return Err(format!("`{kind}` is not known here")),
        });
    }
    Ok(found)
}

fn source(value: &Value, line: usize, is_map: bool) -> Result<Option<Source>, String> {
    if let Some(name) = value.as_str().and_then(|word| word.strip_prefix('@')) {
        return Ok(Some(Source::Named(name.to_owned())));
    }
    match only(value) {
        Ok(("set", all)) => Ok(Some(Source::Anonymous(elements(all, line, is_map)?))),
        _ => Ok(None),
    }
}

fn right(value: &Value, line: usize) -> Result<Right, String> {
    match source(value, line, false)? {
        Some(set) => Ok(Right::Set(set)),
        None => scalar(value).map(Right::Value),
    }
}

fn key(value: &Value) -> Result<Vec<Part>, String> {
    match only(value)? {
        ("concat", parts) => list(parts, "a key")?.iter().map(part).collect(),
        _ => Ok(vec![part(value)?]),
    }
}

fn part(value: &Value) -> Result<Part, String> {
    let (kind, body) = only(value)?;
    if kind == "&" {
        return match list(body, "a mask")?.as_slice() {
            [left, mask] => Ok(Part {
                field: field(left)?,
                mask: Some(atom(mask)?),
            }),
            _ => Err("a mask is missing".to_owned()),
        };
    }
    Ok(Part {
        field: field(value)?,
        mask: None,
    })
}

fn field(value: &Value) -> Result<Field, String> {
    let (kind, body) = only(value)?;
    let body = body.as_object().ok_or("an object is missing")?;
    let integer = |key: &str| {
        let found = body.get(key).and_then(Value::as_u64);
        found
            .and_then(|value| u32::try_from(value).ok())
            .ok_or_else(|| format!("`{key}` is missing"))
    };
    match kind {
        "meta" => Field::meta(word(body, "key")?),
        "payload" if body.contains_key("base") => Field::raw(
            word(body, "base")?,
            integer("offset")? as usize,
            integer("len")?,
        ),
        "payload" => Field::typed(word(body, "protocol")?, word(body, "field")?),
        _ => Err(format!("`{kind}` is not known here")),
    }
}

fn scalar(value: &Value) -> Result<Scalar, String> {
    if let Ok((kind, body)) = only(value) {
        return match kind {
            "range" => match list(body, "a range")?.as_slice() {
                [low, high] => Ok(Scalar::Range(atom(low)?, atom(high)?)),
                _ => Err("a range has two ends".to_owned()),
            },
            "prefix" => {
                let body = body.as_object().ok_or("an object is missing")?;
                let length = body.get("len").and_then(Value::as_u64);
                let length = length.and_then(|length| u32::try_from(length).ok());
                Ok(Scalar::Prefix(
                    atom(body.get("addr").ok_or("`addr` is missing")?)?,
                    length.ok_or("`len` is missing")?,
                ))
            }
            _ => Err(format!("`{kind}` is not known here")),
        };
    }
    atom(value).map(Scalar::Exact)
}

fn atom(value: &Value) -> Result<String, String> {
    match value {
        Value::String(word) => Ok(word.clone()),
        Value::Number(number) if number.is_u64() => Ok(number.to_string()),
        _ => Err("a value is missing".to_owned()),
    }
}
