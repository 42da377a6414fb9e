//! Names of network devices, checked so that none can become anything else in a script.

use std::fmt;

/// The name of a network device: 1 to 15 bytes of letters, digits, `.`, `_` and `-`.
///
/// The kernel allows more (`dev_valid_name` in net/core/dev.c), but nothing outside of this set is
/// ever needed, and inside it no shell, tc or nft syntax can hide. It does not start with `-`,
/// so it can't be read as an option.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device(String);

/// A text is not a device name that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a usable device name: {reason}", .name.escape_debug())]
pub struct BadDevice {
    /// The text.
    pub name: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Device {
    /// Longest name in bytes: IFNAMSIZ less the closing zero.
    pub const MAX_LEN: usize = 15;

    /// Checks a name.
    ///
    /// # Errors
    ///
    /// [`BadDevice`] with the reason.
    pub fn new(name: &str) -> Result<Self, BadDevice> {
        let bad = |reason| {
            Err(BadDevice {
                name: name.to_owned(),
                reason,
            })
        };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match name {
            "" => bad("it is empty"),
            "." | ".." => bad("the kernel does not allow it"),
            _ if name.len() > Self::MAX_LEN => bad("it is longer than 15 bytes"),
            _ if name.starts_with('-') => bad("it starts with `-`, like an option"),
            _ if !name.chars().all(allowed) => {
                bad("only letters, digits, `.`, `_` and `-` are allowed")
            }
            _ => Ok(Self(name.to_owned())),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as an identifier of letters, digits and `_` only; different for different names.
    #[must_use]
    pub fn identifier(&self) -> String {
        self.0.chars().fold(String::new(), |mut id, c| {
            if c.is_ascii_alphanumeric() {
                id.push(c);
            } else {
                id.push_str(&format!("_{:02x}", u32::from(c)));
            }
            id
        })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        let names = [
            "",
            ".",
            "..",
            "-rf",
            "a b",
            "a;reboot",
            "$(id)",
            "`id`",
            "a/b",
            "a\nb",
            "a\"b",
            "a'b",
            "é",
            "0123456789abcdef",
        ];
        for name in names {
            assert!(Device::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn identifiers_tell_names_apart() {
        let ids = ["a.b", "a-b", "a_b", "a_2eb"].map(|n| Device::new(n).unwrap().identifier());
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
