//! Which tool's notation a text of rules is in, and what the rules mean.
//!
//! `verify` takes rules of any origin: what `nft -f` or `tc -batch` loads, and what `nft list
//! ruleset` (with or without `-j`) and `tc filter show` print. The first statement tells which it
//! is (nft(8), tc(8)). A text whose first statement tells nothing is named, not tried.

use std::fmt;

use policy_lang::{Space, SpaceFull};

use crate::backend::Kind;
use crate::device::Device;
use crate::readback::{self, Outcome, ReadbackError, Step};
use crate::verify::MaybeFull;

/// A notation that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// What `nft -f` loads and `nft list ruleset` prints.
    Nft,
    /// What `nft -j list ruleset` prints.
    NftJson,
    /// What `tc -batch` loads.
    TcBatch,
    /// What `tc filter show dev DEVICE ingress` prints.
    TcListing,
}

/// The first statement of a text is of no notation that is known here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoNotation {
    /// There is no statement.
    #[error("there is no rule in it")]
    Empty,
    /// There is one.
    #[error("line {line}: neither a statement of nft nor a line of tc: `{text}`")]
    Unknown {
        /// The line, from 1 on.
        line: usize,
        /// Its text, or its beginning.
        text: String,
    },
}

impl Notation {
    /// The notation of a text, by its first statement.
    ///
    /// # Errors
    ///
    /// [`NoNotation`] if there is no statement, or one that no tool writes.
    pub fn of(text: &str) -> Result<Self, NoNotation> {
        let lines = text.lines().enumerate();
        let mut said = lines
            .map(|(at, line)| (at + 1, line.trim()))
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let (line, first) = said.next().ok_or(NoNotation::Empty)?;
        let mut words = first.split_whitespace();
        match (words.next().unwrap_or_default(), words.next()) {
            (word, _) if word.starts_with('{') => Ok(Self::NftJson),
            ("filter", Some("protocol" | "parent" | "block" | "chain")) => Ok(Self::TcListing),
            ("filter" | "qdisc", _) => Ok(Self::TcBatch),
            ("table" | "add" | "create" | "delete" | "destroy" | "flush" | "define", _) => {
                Ok(Self::Nft)
            }
            _ => Err(NoNotation::Unknown {
                line,
                text: first.chars().take(80).collect(),
            }),
        }
    }

    /// What rules in this notation do to the frames that `vif` receives.
    ///
    /// # Errors
    ///
    /// [`ReadbackError`]: a line that is not understood, or sets that outgrow `space`.
    pub fn read(self, space: &Space, text: &str, vif: &Device) -> Result<Outcome, ReadbackError> {
        match self {
            Self::Nft => readback::nft::read_text(space, text, vif.as_str()),
            Self::NftJson => readback::nft::read_json(space, text, vif.as_str()),
            Self::TcBatch => readback::u32::read_batch(space, text, vif.as_str()),
            Self::TcListing => readback::u32::read_listing(space, text),
        }
    }
}

impl Notation {
    /// The notation that the rules of a back end are in.
    #[must_use]
    pub fn made_by(backend: Kind) -> Self {
        match backend {
            Kind::Nft => Self::Nft,
            Kind::U32 | Kind::Flower | Kind::Bpf => Self::TcBatch,
        }
    }

    /// The rules that lead to what becomes of `frame`; the last of them decides. Empty if none does.
    ///
    /// # Errors
    ///
    /// As [`Notation::read`].
    pub fn trace(
        self,
        space: &Space,
        text: &str,
        vif: &Device,
        frame: &[u8],
    ) -> Result<Vec<Step>, ReadbackError> {
        let vif = vif.as_str();
        match self {
            Self::Nft => readback::nft::trace_text(space, text, vif, frame),
            Self::NftJson => readback::nft::trace_json(space, text, vif, frame),
            Self::TcBatch => readback::u32::trace_batch(space, text, vif, frame),
            Self::TcListing => readback::u32::trace_listing(space, text, frame),
        }
    }

    /// What rules in this notation do, as functions of SMT-LIB: see [`crate::smt`].
    ///
    /// # Errors
    ///
    /// As [`Notation::read`], but for rules that only that refuses.
    pub(crate) fn smt(
        self,
        text: &str,
        vif: &Device,
        ifb: &Device,
    ) -> Result<String, ReadbackError> {
        let (vif, ifb) = (vif.as_str(), ifb.as_str());
        match self {
            Self::Nft => readback::nft::smt_text(text, vif, ifb),
            Self::NftJson => readback::nft::smt_json(text, vif, ifb),
            Self::TcBatch => readback::u32::smt_batch(text, vif, ifb),
            Self::TcListing => readback::u32::smt_listing(text, ifb),
        }
    }
}

impl fmt::Display for Notation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nft => "nft rules",
            Self::NftJson => "a JSON listing of nft",
            Self::TcBatch => "a tc batch",
            Self::TcListing => "a listing of tc filters",
        })
    }
}

impl MaybeFull for ReadbackError {
    fn is_full(&self) -> bool {
        matches!(self, Self::Full(SpaceFull::Nodes(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_statement_tells() {
        let of = Notation::of;
        assert_eq!(of("# a\n\ntable netdev a {}"), Ok(Notation::Nft));
        assert_eq!(of("flush ruleset"), Ok(Notation::Nft));
        assert_eq!(of("{\"nftables\": []}"), Ok(Notation::NftJson));
        assert_eq!(of("filter add dev a"), Ok(Notation::TcBatch));
        assert_eq!(of("qdisc add dev a clsact"), Ok(Notation::TcBatch));
        assert_eq!(
            of("filter protocol all pref 1 u32"),
            Ok(Notation::TcListing)
        );
        assert_eq!(of(" # only\n"), Err(NoNotation::Empty));
        let unknown = of("\n-A FORWARD -j DROP").unwrap_err();
        assert!(matches!(unknown, NoNotation::Unknown { line: 2, .. }));
    }
}
