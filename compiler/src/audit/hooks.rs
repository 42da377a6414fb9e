//! `nft list ruleset`, as far as it has to be understood to tell whose rules hang where, and `nft
//! list hooks`. What the rules mean is [`crate::readback::nft`]'s.
//!
//! nft prints a table from `table FAMILY NAME {` to a brace in the first column, and a base chain's
//! hook in one line. Tables of family inet can hook at a device's ingress as well, and flowtables
//! do: they forward packets before any chain sees them.

/// A table as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) family: String,
    pub(super) name: String,
    pub(super) text: String,
    pub(super) hooks: Vec<Hook>,
    /// Whether a rule sends frames to a device that has no name any more: `fwd to 35`.
    pub(super) leads_nowhere: bool,
}

/// A chain or flowtable at a hook of devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hook {
    /// `ingress` or `egress`.
    pub(super) hook: String,
    pub(super) devices: Vec<String>,
    pub(super) flowtable: bool,
}

impl Table {
    /// Whether something of this table hangs at `hook` of `device`.
    pub(super) fn hangs_at(&self, hook: &str, device: &str) -> bool {
        let there = |h: &Hook| h.hook == hook && h.devices.iter().any(|known| known == device);
        self.hooks.iter().any(there)
    }
}

/// Words of a line without nft's punctuation.
fn words(line: &str) -> Vec<&str> {
    line.split(|c: char| c.is_whitespace() || "\",;{}=".contains(c))
        .filter(|word| !word.is_empty())
        .collect()
}

/// The word behind `key`.
fn behind<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| *word == key)?;
    words.get(at + 1).copied()
}

/// The devices that a line names: behind `device` or `devices`, up to the priority.
fn devices(words: &[&str]) -> Vec<String> {
    words
        .iter()
        .skip_while(|word| !matches!(**word, "device" | "devices"))
        .skip(1)
        .take_while(|word| **word != "priority")
        .map(|word| (*word).to_owned())
        .collect()
}

/// The tables of a listing.
pub(super) fn tables(text: &str) -> Vec<Table> {
    let mut all: Vec<Table> = Vec::new();
    let mut open = false;
    let mut flowtable = false;
    for line in text.lines() {
        let words = words(line);
        if let (false, ["table", family, name, ..]) =
            (line.starts_with([' ', '\t']), words.as_slice())
        {
            all.push(Table {
                family: (*family).to_owned(),
                name: (*name).to_owned(),
                text: String::new(),
                hooks: Vec::new(),
                leads_nowhere: false,
            });
            open = true;
        }
        let Some(table) = all.last_mut().filter(|_| open) else {
            continue;
        };
        table.text.push_str(line);
        table.text.push('\n');
        match words.first() {
            Some(&"flowtable") => flowtable = true,
            Some(&"chain") => flowtable = false,
            _ => {}
        }
        if let Some(hook) = behind(&words, "hook").filter(|_| !line.contains("comment")) {
            table.hooks.push(Hook {
                hook: hook.to_owned(),
                devices: devices(&words),
                flowtable,
            });
        } else if flowtable
            && words.first() == Some(&"devices")
            && let Some(hook) = table.hooks.last_mut()
        {
            hook.devices.extend(devices(&words));
        }
        let to = words.windows(3).filter_map(|three| match three {
            ["fwd", "to", device] => Some(*device),
            _ => None,
        });
        let nameless = |device: &str| device.bytes().all(|digit| digit.is_ascii_digit());
        // A device's name stands in quotes, also if it is a number.
        if to
            .into_iter()
            .any(|device| nameless(device) && !line.contains(&format!("\"{device}\"")))
        {
            table.leads_nowhere = true;
        }
        if line.starts_with('}') {
            open = false;
        }
    }
    all
}

/// The tables whose chains the kernel says are hooked at the ingress of a device: what `nft list
/// hooks netdev device NAME` prints (`of_device`), and `nft list hooks` (`all`).
///
/// `None` if it can't be asked: without CONFIG_NETFILTER_NETLINK_HOOK both print nothing. A kernel
/// on which nothing at all is hooked looks the same.
pub(super) fn hooked(
    of_device: Option<&str>,
    all: Option<&str>,
    device: &str,
) -> Option<Vec<String>> {
    let text = of_device?;
    let silent = |text: &str| text.trim().is_empty();
    if silent(text) && all.is_none_or(silent) {
        return None;
    }
    let mut at_ingress = false;
    let mut tables = Vec::new();
    for line in text.lines() {
        let words = words(line);
        if let Some(hook) = behind(&words, "hook") {
            at_ingress =
                hook == "ingress" && behind(&words, "device").is_none_or(|named| named == device);
        }
        let at = words.iter().position(|word| *word == "chain");
        if let (true, Some(at)) = (at_ingress, at)
            && let Some(table) = words.get(at + 2)
        {
            tables.push((*table).to_owned());
        }
    }
    Some(tables)
}
