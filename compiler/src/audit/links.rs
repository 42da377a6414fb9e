//! Devices and queues: `ip -j -d -s link show` and `tc -j -s qdisc show`.
//!
//! The members are those that iproute2 writes (ip/ipaddress.c, tc/tc_qdisc.c); none but the name is
//! taken for granted.

use serde_json::Value;

use super::listing::BadListing;

/// A network device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) name: String,
    pub(super) up: bool,
    /// What `ip link add` calls its type.
    pub(super) kind: Option<String>,
    pub(super) alias: Option<String>,
    /// Whether an XDP program is attached.
    pub(super) xdp: bool,
}

/// A queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Qdisc {
    pub(super) device: String,
    pub(super) kind: String,
    pub(super) root: bool,
    /// Whether its filters are shared with other devices.
    pub(super) shared: bool,
    pub(super) sent_packets: u64,
    pub(super) held_packets: u64,
    pub(super) held_bytes: u64,
    pub(super) dropped: u64,
}

fn objects(text: &str, command: &'static str) -> Result<Vec<Value>, BadListing> {
    let bad = |reason: String| BadListing::Output { command, reason };
    // With nothing to list, some versions print nothing.
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    match serde_json::from_str(text).map_err(|error| bad(error.to_string()))? {
        Value::Array(all) => Ok(all),
        _ => Err(bad(String::from("this is no list"))),
    }
}

fn word(object: &Value, key: &str) -> Option<String> {
    object.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn number(object: &Value, key: &str) -> u64 {
    object.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// The devices.
pub(super) fn links(text: &str) -> Result<Vec<Link>, BadListing> {
    let all = objects(text, "ip link show")?;
    Ok(all
        .iter()
        .filter_map(|object| {
            let flags = object.get("flags").and_then(Value::as_array);
            Some(Link {
                name: word(object, "ifname")?,
                up: flags.is_some_and(|flags| flags.iter().any(|flag| flag == "UP")),
                kind: object
                    .get("linkinfo")
                    .and_then(|info| word(info, "info_kind")),
                alias: word(object, "ifalias"),
                xdp: object.get("xdp").is_some_and(|xdp| !xdp.is_null()),
            })
        })
        .collect())
}

/// tc says of options that it does not know `[Unknown qdisc, optlen=296] `, in the midst of JSON
/// (`print_noqopt` in tc/tc.c). Our module's are such.
fn without_unknown(text: &str) -> String {
    const UNKNOWN: &str = "[Unknown qdisc, optlen=";
    let mut parts = text.split(UNKNOWN);
    let mut known = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|digit: char| digit.is_ascii_digit());
        match rest.strip_prefix(']') {
            Some(rest) => known.push_str(rest),
            // Something else that begins alike is left for the reader to stumble on.
            None => known.extend([UNKNOWN, part]),
        }
    }
    known
}

/// The queues; `of` is the device if the listing is about one only.
pub(super) fn qdiscs(text: &str, of: Option<&str>) -> Result<Vec<Qdisc>, BadListing> {
    let all = objects(&without_unknown(text), "tc qdisc show")?;
    Ok(all
        .iter()
        .filter_map(|object| {
            Some(Qdisc {
                device: word(object, "dev").or_else(|| of.map(str::to_owned))?,
                kind: word(object, "kind")?,
                root: object.get("root").and_then(Value::as_bool) == Some(true),
                shared: object.get("ingress_block").is_some(),
                sent_packets: number(object, "packets"),
                held_packets: number(object, "qlen"),
                held_bytes: number(object, "backlog"),
                dropped: number(object, "drops"),
            })
        })
        .collect())
}
