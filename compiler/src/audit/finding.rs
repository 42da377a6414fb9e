//! The kinds of findings of an audit: code, what it means for the frames of the VM, and words.

use serde::Serialize;

use crate::verify::Counterexample;

/// What is at stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Frames that must be held go out at once.
    Leak,
    /// Frames that may pass are held.
    HeldTooMuch,
    /// Frames are dropped.
    Lost,
    /// What happens can't be told.
    Blind,
}

impl Effect {
    /// A few words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Leak => "leak",
            Self::HeldTooMuch => "held too much",
            Self::Lost => "lost",
            Self::Blind => "blind",
        }
    }
}

macro_rules! codes {
    ($($variant:ident $text:literal $effect:ident $why:literal $help:literal)*) => {
        /// A kind of finding. `A01` the vif, `A02` the rules, `A03` the gate.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(
                #[doc = concat!($text, ": ", $why)]
                $variant,
            )*
        }

        impl Code {
            /// Every code, in the order of their texts.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable text, such as `A0101`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// What is at stake.
            #[must_use]
            pub const fn effect(self) -> Effect {
                match self { $(Self::$variant => Effect::$effect),* }
            }

            /// Why it matters.
            #[must_use]
            pub const fn why(self) -> &'static str {
                match self { $(Self::$variant => $why),* }
            }

            /// What to do about it.
            #[must_use]
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help),* }
            }
        }
    };
}

codes! {
    VifMissing "A0101" Leak
        "a vif that was renamed takes no nftables chain with it on newer kernels, and one that was made anew has no rules"
        "name it back, or compile for its new name; then run the script's `apply`"
    Xdp "A0102" Blind
        "an XDP program sees frames before any rule, and may send them on by itself"
        "take it off: `ip link set dev VIF xdp off`"
    SharedBlock "A0103" Blind
        "whoever changes the filters for another device of the block changes them here"
        "give the vif an ingress of its own"
    TableGone "A0201" Leak
        "nothing holds what the VM sends"
        "run the script's `apply`"
    FiltersGone "A0202" Leak
        "nothing holds what the VM sends"
        "run the script's `apply`"
    NotHooked "A0203" Leak
        "the rules are listed, but the kernel never asks them"
        "run the script's `remove`, then `apply`"
    ForeignFilter "A0204" Leak
        "what such a filter lets pass, our rules never see"
        "delete it: `tc filter del dev VIF ingress pref N`"
    ForeignHook "A0205" Blind
        "it can let frames pass before our rules see them, or drop what ours let pass"
        "move it to another hook, or delete it"
    GuardLeft "A0206" HeldTooMuch
        "the guard of a change that broke off holds everything, also what may pass"
        "run the script's `apply`"
    Unfinished "A0207" HeldTooMuch
        "a change of rules broke off, or is going on"
        "run the script's `apply`"
    Leftover "A0208" HeldTooMuch
        "rules of the other back end are there as well, and what either holds is held"
        "run the script's `apply`"
    Leaks "A0209" Leak
        "the running rules let out at once what the policy holds"
        "run the script's `apply`, or find out who changed the rules"
    Differs "A0210" HeldTooMuch
        "the running rules hold back or drop what the policy lets pass, or send it elsewhere"
        "run the script's `apply`, or find out who changed the rules"
    NotUnderstood "A0211" Blind
        "nothing is proved about rules that are not understood"
        "run the script's `apply`, or find out who changed the rules"
    NoIfb "A0301" Lost
        "what should be held has nowhere to go"
        "run the script's `apply`"
    NotOurs "A0302" Lost
        "somebody else has made it, or made it anew: redirects to the old one lead nowhere"
        "run the script's `remove`, then `apply`"
    IfbDown "A0303" Lost
        "what should be held is dropped, and what was held is gone"
        "find out who set it down; then `ip link set dev IFB up`"
    NoPlug "A0304" Leak
        "what is sent to the IFB comes out at once"
        "run the script's `apply`; the replicator must begin a new epoch"
    LeadsNowhere "A0305" Lost
        "the redirect is bound to a device that is gone, not to its name: all that should be held is dropped"
        "run the script's `apply`"
    InFrontOfPlug "A0306" Leak
        "rules at the egress of the IFB see frames before the plug does, and may send them elsewhere"
        "delete them: `tc qdisc del dev IFB clsact`, or the nftables chain"
    DropsAll "A0307" Lost
        "a plug that was added with `block` has the limit 0; the kernel does not show it"
        "set the limit: `tc qdisc change dev IFB root plug limit N`"
    SmallLimit "A0308" Lost
        "a packet that is larger than the limit of the gate is dropped, however often it is sent"
        "set the limit: `epochgate gate --ifb IFB limit N`, or `gate serve --limit N`"
    Open "A0309" Leak
        "everything passes until the next epoch begins, as before the first one"
        "start `epochgate gate --ifb IFB serve`, which closes it, or let the replicator begin an epoch"
    WillOpen "A0310" Leak
        "when no commit comes in time, the gate lets out what no backup has"
        "let it hold on: `epochgate gate --ifb IFB set --late hold`"
    StateUnknown "A0311" Blind
        "whether the module is open, and what it holds, is known only from its dump"
        "audit with `epochgate` on the machine itself, or write the listing where it is installed"
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its kind.
    pub code: Code,
    /// What was seen.
    pub seen: String,
    /// A frame that shows it.
    pub frame: Option<Counterexample>,
}

impl Finding {
    pub(super) fn new(code: Code, seen: impl Into<String>) -> Self {
        Self {
            code,
            seen: seen.into(),
            frame: None,
        }
    }
}
