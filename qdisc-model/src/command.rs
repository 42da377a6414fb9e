//! What `tc qdisc ... root plug ...` really asks of the kernel, quirks included.
//!
//! From iproute2's `tc/q_plug.c` (one message for all keywords, so the last action wins), from
//! `tc_modify_qdisc` in `net/sched/sch_api.c`, and from runs on 6.1, 6.12 and 7.3 for what happens to
//! the root qdisc that stood there before.

use crate::packet::Packet;
use crate::plug::{
    BUFFER, Device, LIMIT, Plug, Qopt, RELEASE_INDEFINITE, RELEASE_ONE, UnknownAction,
};

/// The verb of a `tc qdisc` call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Create, and fail if a plug is there.
    Add,
    /// Change what is there.
    Change,
    /// Change what is there, or put a new one in its place.
    Replace,
}

/// What stands at the root of a device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Root {
    /// The default qdisc that the kernel made (handle 0).
    Default,
    /// A qdisc of another kind that somebody added.
    Foreign,
    /// A plug.
    Plug(Plug),
}

/// Why `tc` or the kernel refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CommandError {
    /// `tc` knows no such keyword.
    #[error("unknown parameter `{0}`")]
    UnknownWord(String),
    /// `limit` was the last word.
    #[error("`limit` needs a number of bytes")]
    MissingLimit,
    /// The word after `limit` is no size that fits 32 bits.
    #[error("illegal value for `limit`: `{0}`")]
    BadLimit(String),
    /// `-EEXIST`: `add` where somebody has added a plug already.
    #[error("the root qdisc is a plug already")]
    Exists,
    /// `-ENOENT`: nothing there to change or to delete.
    #[error("no qdisc was added at the root")]
    NotFound,
    /// `-EINVAL` from the plug itself.
    #[error(transparent)]
    Refused(#[from] UnknownAction),
}

/// The message that the keywords after `plug` become, or `None` when there are no keywords: then
/// no option attribute is sent at all.
///
/// Each keyword overwrites the action of the one before, but `limit` also leaves its number
/// behind: `limit 100 block` is a `block` that carries 100, which only creation reads.
///
/// # Errors
///
/// What `tc` itself would refuse. It also takes fractions (`1.5k`); this refuses them.
pub fn parse(words: &[&str]) -> Result<Option<Qopt>, CommandError> {
    let mut message = None;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let options: &mut Qopt = message.get_or_insert_default();
        match *word {
            "block" => options.action = BUFFER,
            "release" => options.action = RELEASE_ONE,
            "release_indefinite" => options.action = RELEASE_INDEFINITE,
            "limit" => {
                let size = words.next().ok_or(CommandError::MissingLimit)?;
                options.action = LIMIT;
                options.limit =
                    parse_size(size).ok_or_else(|| CommandError::BadLimit((*size).to_owned()))?;
            }
            other => return Err(CommandError::UnknownWord(other.to_owned())),
        }
    }
    Ok(message)
}

/// `get_size`: bytes, with k, m and g as powers of 1,024, in any case, with or without `b`, and
/// the same with `bit` for an eighth.
fn parse_size(word: &str) -> Option<u32> {
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = word.split_at_checked(digits)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        "kbit" => (1 << 10) / 8,
        "mbit" => (1 << 20) / 8,
        "gbit" => (1 << 30) / 8,
        _ => return None,
    };
    let bytes = number.parse::<u64>().ok()?.checked_mul(factor)?;
    u32::try_from(bytes).ok()
}

impl Root {
    /// Runs `tc qdisc VERB dev ... root plug WORDS`. Returns the packets that were lost with the
    /// qdisc that stood there before: no counter tells of them.
    ///
    /// # Errors
    ///
    /// What `tc` or the kernel refuses; the root is then untouched.
    pub fn tc(
        &mut self,
        verb: Verb,
        words: &[&str],
        device: Device,
    ) -> Result<Vec<Packet>, CommandError> {
        let options = parse(words)?;
        match (verb, &mut *self) {
            (Verb::Add, Self::Plug(_)) => Err(CommandError::Exists),
            (Verb::Change, Self::Default) => Err(CommandError::NotFound),
            (Verb::Change | Verb::Replace, Self::Plug(plug)) => {
                // Without an option attribute the kernel never calls `plug_change`.
                if let Some(options) = options {
                    plug.change(options)?;
                }
                Ok(Vec::new())
            }
            // Over a qdisc of another kind even `change` and `add` make a new plug.
            (Verb::Add | Verb::Replace, Self::Default) | (_, Self::Foreign) => {
                *self = Self::Plug(Plug::init(options, device));
                Ok(Vec::new())
            }
        }
    }

    /// Runs `tc qdisc del dev ... root`. Returns the packets that were lost with it.
    ///
    /// # Errors
    ///
    /// [`CommandError::NotFound`] when only the default qdisc is there.
    pub fn delete(&mut self) -> Result<Vec<Packet>, CommandError> {
        match std::mem::replace(self, Self::Default) {
            Self::Default => Err(CommandError::NotFound),
            Self::Foreign => Ok(Vec::new()),
            Self::Plug(mut plug) => Ok(plug.reset()),
        }
    }
}
