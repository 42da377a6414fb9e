//! Names of network devices, checked so that none can become anything else in a script.

use std::fmt;

use sha2::{Digest, Sha256};

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

    /// The interface that holds the frames of `vif` unless the operator names another: `ifb-` and
    /// the name of the vif, or of a hash of it where that would be too long.
    #[must_use]
    pub fn ifb_for(vif: &Self) -> Self {
        let plain = format!("ifb-{vif}");
        if plain.len() <= Self::MAX_LEN {
            return Self(plain);
        }
        let hash = Sha256::digest(vif.0.as_bytes());
        let digits: String = hash
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self(format!("ifb-{digits}"))
    }

    /// A vif and an IFB whose real names come later: a proof about rules does not depend on what
    /// devices are called, as long as they are two.
    #[must_use]
    pub fn stand_ins() -> (Self, Self) {
        (
            Self("vif-stands-here".to_owned()),
            Self("ifb-stands-here".to_owned()),
        )
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
    fn the_usual_ifb_is_a_device() {
        let ifb = |vif| Device::ifb_for(&Device::new(vif).unwrap());
        assert_eq!(ifb("vif1.0").as_str(), "ifb-vif1.0");
        assert_eq!(ifb("vif1234.567").as_str(), "ifb-vif1234.567");
        // printf vif12345.6789 | sha256sum
        assert_eq!(ifb("vif12345.6789").as_str(), "ifb-40aa788c");
        assert_ne!(ifb("vif12345.6789"), ifb("vif12345.6788"));
        assert_eq!(
            Device::new(ifb("vif12345.6789").as_str()),
            Ok(ifb("vif12345.6789"))
        );
    }

    #[test]
    fn stand_ins_are_devices() {
        let (vif, ifb) = Device::stand_ins();
        assert_eq!(Device::new(vif.as_str()), Ok(vif.clone()));
        assert_eq!(Device::new(ifb.as_str()), Ok(ifb.clone()));
        assert_ne!(vif, ifb);
    }

    #[test]
    fn identifiers_tell_names_apart() {
        let ids = ["a.b", "a-b", "a_b", "a_2eb"].map(|n| Device::new(n).unwrap().identifier());
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
