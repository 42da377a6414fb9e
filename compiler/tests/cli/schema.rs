//! What `--json` prints is what `docs/schema/` says, and the schemas leave nothing open.
//!
//! The checker below knows the part of JSON Schema (draft 2020-12) that the schemas use and refuses
//! any other keyword, so nothing in them goes unchecked. A validator made by others was tried once
//! on the same files; it would bring thirty crates.

use std::fs;

use serde_json::{Map, Value};

use crate::program::{root, run_with};

/// A schema of the repository.
struct Schema(Value);

impl Schema {
    fn load(name: &str) -> Self {
        let path = root().join("docs/schema").join(name);
        let text = fs::read_to_string(&path).unwrap();
        let schema: Value = serde_json::from_str(&text).unwrap();
        let draft = "https://json-schema.org/draft/2020-12/schema";
        assert_eq!(schema["$schema"], draft);
        Self(schema)
    }

    /// What is wrong with `value`, each with its place.
    fn faults(&self, value: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        self.check(&self.0, value, "", &mut faults);
        faults
    }

    fn check(&self, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
        for (keyword, wanted) in schema.as_object().unwrap() {
            let fine = match keyword.as_str() {
                "$schema" | "title" | "description" | "$defs" | "properties" => true,
                "$ref" => {
                    let pointer = wanted.as_str().unwrap().strip_prefix('#').unwrap();
                    let target = self.0.pointer(pointer).expect(pointer);
                    self.check(target, value, place, faults);
                    true
                }
                "const" => value == wanted,
                "enum" => wanted.as_array().unwrap().contains(value),
                "anyOf" => wanted.as_array().unwrap().iter().any(|schema| {
                    let mut inner = Vec::new();
                    self.check(schema, value, place, &mut inner);
                    inner.is_empty()
                }),
                "type" => match wanted {
                    Value::Array(names) => names.iter().any(|name| is(value, name)),
                    name => is(value, name),
                },
                "minimum" => value.as_f64().is_none_or(|n| n >= wanted.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|n| n <= wanted.as_f64().unwrap()),
                "minLength" => length(value).is_none_or(|n| n >= wanted.as_u64().unwrap()),
                "maxLength" => length(value).is_none_or(|n| n <= wanted.as_u64().unwrap()),
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(wanted, item, &format!("{place}/{index}"), faults);
                    }
                    true
                }
                "required" => value.as_object().is_none_or(|object| {
                    let mut names = wanted.as_array().unwrap().iter();
                    names.all(|name| object.contains_key(name.as_str().unwrap()))
                }),
                "additionalProperties" => {
                    self.members(schema, wanted, value, place, faults);
                    true
                }
                other => panic!("`{other}` in a schema: the checker does not know it"),
            };
            if !fine {
                faults.push(format!("{place}: not as `{keyword}` says"));
            }
        }
    }

    /// The members of an object, those that the schema names and the others.
    fn members(
        &self,
        schema: &Value,
        others: &Value,
        value: &Value,
        place: &str,
        faults: &mut Vec<String>,
    ) {
        let none = Map::new();
        let named = schema["properties"].as_object().unwrap_or(&none);
        for (name, member) in value.as_object().into_iter().flatten() {
            let place = format!("{place}/{name}");
            match (named.get(name), others) {
                (Some(schema), _) => self.check(schema, member, &place, faults),
                (None, Value::Bool(false)) => faults.push(format!("{place}: not in the schema")),
                (None, schema) => self.check(schema, member, &place, faults),
            }
        }
    }
}

fn is(value: &Value, name: &Value) -> bool {
    match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("no type is called `{other}`"),
    }
}

fn length(value: &Value) -> Option<u64> {
    value.as_str().map(|text| text.chars().count() as u64)
}

fn printed(args: &[&str], input: &[u8]) -> Value {
    printed_with(0, args, input)
}

fn printed_with(code: i32, args: &[&str], input: &[u8]) -> Value {
    let out = run_with(&[args, &["--json"]].concat(), input)
        .exits(code)
        .out;
    serde_json::from_str(&out).unwrap()
}

/// Real output of everything that has a schema.
fn outputs() -> Vec<(&'static str, Value)> {
    let voip = "examples/voip.gate";
    let short = ["simulate", voip, "--duration", "3s"];
    let failover = [
        "--failover-at",
        "1s",
        "--codec",
        "opus",
        "--bulk",
        "0",
        "--loss",
        "5%",
    ];
    let late = [
        "--failover-at",
        "2999ms",
        "--silences",
        "--timer",
        "suspend",
    ];
    vec![
        ("simulate.json", printed(&short, b"")),
        (
            "simulate.json",
            printed(&[&short[..], &failover].concat(), b""),
        ),
        ("simulate.json", printed(&[&short[..], &late].concat(), b"")),
        (
            "simulate.json",
            printed(&["simulate", "-", "--duration", "1s"], b"bypass arp;"),
        ),
        ("paper.json", printed(&["simulate", "--paper", "all"], b"")),
        ("paper.json", printed(&["simulate", "--paper", "fig4"], b"")),
        ("tune.json", printed(&super::tune::quick(voip), b"")),
        (
            "tune.json",
            printed(
                &[
                    &super::tune::quick("-")[..],
                    &["--bulk", "0", "--signalling", "0"],
                ]
                .concat(),
                b"default buffer;",
            ),
        ),
        (
            "replay.json",
            printed(&["replay", voip, "-"], &super::replay::call(50)),
        ),
        (
            "replay.json",
            printed(&["replay", voip, "-"], &super::replay::call(1)),
        ),
        (
            "diff.json",
            printed_with(1, &["diff", voip, "-"], b"bypass udp rtp;"),
        ),
        (
            "query.json",
            printed(&["query", voip, "udp", "sport", "media"], b""),
        ),
        (
            "explain.json",
            printed(
                &[
                    "explain",
                    voip,
                    "--why",
                    "udp 10.0.0.2:5060 > 192.0.2.9:17000 rtp",
                    "arp",
                ],
                b"",
            ),
        ),
        (
            "explain.json",
            printed(&["explain", voip, "--pcap", "-"], &super::replay::call(2)),
        ),
        ("verify.json", printed(&["verify", voip], b"")),
        (
            "verify.json",
            printed_with(
                1,
                &["verify", voip, "--rules", "-"],
                b"filter add dev vif1.0 ingress pref 1 protocol ip u32 match u32 0 0 action drop",
            ),
        ),
    ]
}

#[test]
fn output_is_as_the_schema_says() {
    for (name, output) in outputs() {
        assert_eq!(
            Schema::load(name).faults(&output),
            Vec::<String>::new(),
            "{name}"
        );
    }
    // A damaged capture says so within its JSON.
    let damaged = &super::replay::call(50)[..5000];
    let said = run_with(&["replay", "examples/voip.gate", "-", "--json"], damaged).exits(1);
    let said: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        Schema::load("replay.json").faults(&said),
        Vec::<String>::new()
    );
    assert!(said["error"].is_string() && !said["streams"].as_array().unwrap().is_empty());
}

/// Every change of `value` that takes one member away, adds one, or turns a value into an object.
fn damaged(value: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    match value {
        Value::Object(members) => {
            let mut more = members.clone();
            more.insert(String::from("surprise"), Value::Null);
            all.push((String::from("+"), Value::Object(more)));
            for (name, member) in members {
                let mut less = members.clone();
                less.remove(name);
                all.push((format!("-{name}"), Value::Object(less)));
                for (place, changed) in damaged(member) {
                    let mut whole = members.clone();
                    whole.insert(name.clone(), changed);
                    all.push((format!("{name}/{place}"), Value::Object(whole)));
                }
            }
        }
        Value::Array(items) => {
            // What holds for one item holds for the others.
            if let Some((first, rest)) = items.split_first() {
                all.extend(damaged(first).into_iter().map(|(place, changed)| {
                    let whole = std::iter::once(changed).chain(rest.iter().cloned());
                    (format!("0/{place}"), whole.collect())
                }));
            }
        }
        _ => all.push((String::from("{}"), Value::Object(Map::new()))),
    }
    all
}

#[test]
fn the_schemas_notice_whatever_changes() {
    // Figures may be left out, parameters and lengths of bursts have any name.
    let open = ["figures/-fig", "testbed/+", "testbed/-", "/bursts/-"];
    let mut changes = 0;
    for (name, output) in outputs() {
        let schema = Schema::load(name);
        for (place, changed) in damaged(&output) {
            let is_open = open.iter().any(|open| place.contains(open));
            let found = !schema.faults(&changed).is_empty();
            assert!(found || is_open, "{name}: {place} goes unnoticed");
            changes += 1;
        }
    }
    assert!(changes > 1000, "only {changes}");
}

#[test]
fn streams_are_named_by_their_sources() {
    let replayed = printed(
        &["replay", "examples/remus.gate", "-"],
        &super::replay::call(50),
    );
    let stream = &replayed["streams"][0];
    assert_eq!(stream["ssrc"], "0x00000e57");
    for when in ["before", "after"] {
        for name in [
            "packets",
            "lost",
            "max_delta_ms",
            "mean_jitter_ms",
            "max_jitter_ms",
            "mos",
        ] {
            assert!(stream[when][name].is_number(), "{when}.{name}");
        }
    }
}

#[test]
fn the_document_names_every_schema() {
    let text = fs::read_to_string(root().join("docs/json.md")).unwrap();
    let entries = fs::read_dir(root().join("docs/schema")).unwrap();
    let mut count = 0;
    for entry in entries {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(text.contains(&format!("(schema/{name})")), "{name}");
        let format = Schema::load(&name).0["properties"]["schema"]["const"].clone();
        assert!(text.contains(format.as_str().unwrap()), "{format}");
        count += 1;
    }
    assert!(count >= 3, "{count}");
}
