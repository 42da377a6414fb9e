//! flower filters as `tc filter show` prints them: a line for each key (`flower_print_opt` of iproute2's
//! `tc/f_flower.c`).

use super::super::ast::{Action, Filters, FlowerFilter, Source};
use super::super::flower::{Keys, Of};
use super::super::words::{Read, Words, protocol};

/// A filter whose keys are being read.
#[derive(Clone, Debug)]
pub(super) struct Flower {
    chain: u32,
    pref: u16,
    handle: u32,
    of: Of,
    keys: Keys,
}

impl Flower {
    pub(super) fn new(chain: u32, (pref, outer): (u16, u16), handle: u32) -> Self {
        Self {
            chain,
            pref,
            handle,
            of: Of { outer, inner: None },
            keys: Keys::default(),
        }
    }

    /// Reads one line of keys, if it is one.
    pub(super) fn key(&mut self, word: &str, words: &mut Words<'_>) -> Read<bool> {
        // A few are not listed by the word that sets them.
        let word = match word {
            "icmp_type" => "type",
            "icmp_code" => "code",
            "type" | "code" => return Ok(false),
            word => word,
        };
        match word {
            "vlan_ethtype" if self.of.inner.is_none() => {
                self.of.inner = Some(Of::read_inner(words)?);
                Ok(true)
            }
            "eth_type" => {
                let listed = words.value(word, protocol)?;
                match listed == self.of.network() {
                    true => Ok(true),
                    false => Err("this is not the protocol of the filter".to_owned()),
                }
            }
            _ => self.keys.read(word, words, self.of),
        }
    }

    /// Puts the filter whose lines have all been read in its place.
    pub(super) fn add(
        self,
        filters: &mut Filters,
        source: Source,
        action: Option<Action>,
    ) -> Read<()> {
        let action =
            action.ok_or_else(|| "`continue` behind flower is not understood".to_owned())?;
        let place = (self.pref, self.of.outer);
        let filter = FlowerFilter {
            source,
            keys: self.keys.finish(self.of)?,
        };
        filters.add_flower(self.chain, place, self.handle, filter, &action)
    }
}
