//! The syntax tree: a policy as it was written, names unresolved and values unread.
//!
//! Its shape is the grammar's (policy.pest), so every tree can be printed and read again. Values
//! keep their spelling, and comments stay with the thing they stand at, because the formatter
//! must give both back.

use crate::source::Span;

/// A whole policy text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct File {
    /// The statements, in order.
    pub statements: Vec<Statement>,
    /// Comments behind the last statement.
    pub end: Vec<Comment>,
}

/// A comment on lines of its own between statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Whether an empty line stands in front of it.
    pub gap: bool,
    /// What follows `#`, without white space at the end.
    pub text: String,
}

/// The comments at a thing inside a statement; texts as in [`Comment`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comments {
    /// Above it, one per line.
    pub before: Vec<String>,
    /// Behind it on its line.
    pub after: Option<String>,
}

impl Comments {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_none()
    }
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// From its first word to its last, without the `;`.
    pub span: Span,
    /// Comments above it.
    pub before: Vec<Comment>,
    /// Whether an empty line stands in front of it (behind its comments).
    pub gap: bool,
    /// What it says.
    pub kind: StatementKind,
    /// The comment behind it on its last line.
    pub after: Option<String>,
}

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatementKind {
    /// `buffer ...` or `bypass ...`.
    Rule(Rule),
    /// `default ...`.
    Default(Verdict),
    /// `let NAME = ...`.
    Let(Let),
    /// `expect ...`.
    Expect(Expect),
    /// `gate { ... }`.
    Gate(Gate),
    /// `allow ...`.
    Allow(Allow),
    /// Text that is no statement; it has been reported. `defines` is the name it would have
    /// defined, so that uses of that name are not reported as well.
    Broken {
        /// The text as written, without the `;`.
        text: String,
        /// The name behind `let`, if it got that far.
        defines: Option<String>,
    },
}

/// The word `buffer` or `bypass`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The word.
    pub span: Span,
    /// Whether it is `bypass`.
    pub bypass: bool,
}

/// A word that the author chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The word.
    pub span: Span,
    /// Its text.
    pub text: String,
}

/// A string in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// With the quotes.
    pub span: Span,
    /// What it says, escapes resolved.
    pub text: String,
}

/// `("buffer" | "bypass") [cond] ["because" STRING]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What happens to the packets.
    pub verdict: Verdict,
    /// Which packets; without it, all.
    pub condition: Option<Condition>,
    /// Why.
    pub because: Option<Text>,
}

/// `let NAME = (cond | set)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Let {
    /// The name defined.
    pub name: Name,
    /// What it stands for.
    pub value: LetValue,
}

/// What a name stands for. `let a = b;` reads as a condition, whatever `b` is: only resolving
/// names can tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LetValue {
    /// A condition, or a lone name of either kind.
    Condition(Condition),
    /// Values.
    Set(Set),
}

/// `expect ("buffer" | "bypass") cond`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// What must happen to the packets.
    pub verdict: Verdict,
    /// Which packets.
    pub condition: Condition,
}

/// `allow LINT because STRING`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allow {
    /// The code of the lint.
    pub lint: Name,
    /// Why what it finds is wanted.
    pub because: Text,
}

/// `gate { ... }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// The settings, in order.
    pub settings: Vec<Setting>,
    /// Comments in front of the closing brace.
    pub end: Vec<String>,
}

/// One setting; what it may be is left to the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Name and values.
    pub span: Span,
    /// Comments at it.
    pub comments: Comments,
    /// The word in front.
    pub name: Name,
    /// The words behind it.
    pub values: Vec<Name>,
}

/// Conjunctions joined by `or`; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// All of it.
    pub span: Span,
    /// What is joined.
    pub alternatives: Vec<Conjunction>,
}

/// Factors joined by `and` or by standing side by side; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conjunction {
    /// All of it.
    pub span: Span,
    /// What is joined.
    pub factors: Vec<Factor>,
}

/// A term or a group, perhaps negated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factor {
    /// With the negations.
    pub span: Span,
    /// Whether the word `and` stands in front; false for the first of a conjunction.
    pub and: bool,
    /// How many times `not` stands in front.
    pub negations: usize,
    /// What is negated.
    pub atom: Atom,
}

/// A term or a condition in parentheses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Atom {
    /// `( ... )`.
    Group {
        /// What is inside.
        condition: Condition,
        /// Comments in front of the closing parenthesis.
        end: Vec<String>,
    },
    /// A single term.
    Term(Term),
}

/// One question about a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// All of it.
    pub span: Span,
    /// Comments at it.
    pub comments: Comments,
    /// What is asked.
    pub kind: TermKind,
}

/// What a term asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TermKind {
    /// A word that takes no value, such as `tcp`.
    Shape(Shape),
    /// A field and the values it may have, such as `dport 5060`.
    Field {
        /// The word or words of the field.
        head: Span,
        /// Which field.
        field: Field,
        /// Its values.
        set: Set,
    },
    /// A name defined by `let`.
    Name(String),
}

/// Values, in braces or alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Set {
    /// `{ ... }`.
    Braces {
        /// With the braces.
        span: Span,
        /// What is inside.
        items: Vec<Item>,
        /// Comments in front of the closing brace.
        end: Vec<String>,
    },
    /// One value or range.
    Element(Element),
}

impl Set {
    /// All of it.
    pub fn span(&self) -> Span {
        match self {
            Self::Braces { span, .. } => *span,
            Self::Element(element) => element.span(),
        }
    }
}

/// A member of a set in braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Comments at it.
    pub comments: Comments,
    /// The member, itself a set.
    pub set: Set,
}

/// A value or a range of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// A value, or the name of a set.
    Value(Value),
    /// `low-high`, both included.
    Range(Value, Value),
}

impl Element {
    /// All of it.
    pub fn span(&self) -> Span {
        match self {
            Self::Value(value) => value.span,
            Self::Range(low, high) => low.span.to(high.span),
        }
    }
}

/// A value as it is spelt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The text.
    pub span: Span,
    /// Its shape.
    pub kind: ValueKind,
    /// Its spelling.
    pub text: String,
}

/// What a value looks like. Whether it is one is for the type check to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// Decimal, or hexadecimal behind `0x`.
    Number,
    /// Digits and dots, perhaps a prefix length.
    Ipv4,
    /// Hexadecimal digits and colons, perhaps a prefix length.
    Ipv6,
    /// Six groups of hexadecimal digits.
    Mac,
    /// A word: a built-in value or a name.
    Word,
    /// Words joined by `+`.
    Flags,
}

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($variant:ident $text:literal)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $type {
            $(#[doc = concat!("`", $text, "`.")] $variant,)*
        }

        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The word or words.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The one that is spelt like this, with one space between words.
            pub fn from_text(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text)
            }
        }
    };
}

words! {
    /// Words that ask about a packet by themselves.
    Shape {
        Arp "arp" Vlan "vlan" Untagged "untagged" Ip "ip" Ip6 "ip6"
        Tcp "tcp" Udp "udp" UdpLite "udplite" Sctp "sctp" Icmp "icmp" Icmp6 "icmp6"
        Fragment "fragment"
        Rtp "rtp" Rtcp "rtcp" Stun "stun" Dtls "dtls" Zrtp "zrtp" Turn "turn"
    }
}

words! {
    /// Words that are followed by values.
    Field {
        Ethertype "ethertype" SrcMac "src mac" DstMac "dst mac" Vlan "vlan"
        Proto "proto" Src "src" Dst "dst" Dscp "dscp" Ecn "ecn" Ttl "ttl"
        Sport "sport" Dport "dport" Port "port" Flags "flags" Type "type" Code "code"
        RtpPt "rtp pt"
    }
}
