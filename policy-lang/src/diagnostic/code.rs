//! The stable codes of all diagnostics, each with its meaning and a policy that triggers it.
//!
//! The table is the one source for the reference manual and for the tests: every example must
//! produce its own code.

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The policy has a meaning, but perhaps not the one that was wanted.
    Warning,
    /// The policy has no meaning.
    Error,
}

macro_rules! codes {
    ($($variant:ident $text:literal $title:literal $meaning:literal $example:literal)*) => {
        /// A kind of finding. `E01` syntax, `E02` names, `E03` types, `E04` limits,
        /// `E05` expectations; `W` with the same hundreds for warnings.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(
                #[doc = concat!($text, ": ", $title, ".\n\n", $meaning, "\n\n```text\n", $example, "\n```")]
                $variant,
            )*
        }

        impl Code {
            /// Every code, in the order of their texts.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable text, such as `E0201`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// A few words that name the kind.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title),* }
            }

            /// What it means and why it is refused, in a sentence or two.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),* }
            }

            /// A policy that triggers it; empty where only size or bytes can.
            pub fn example(self) -> &'static str {
                match self { $(Self::$variant => $example),* }
            }
        }
    };
}

codes! {
    NotUtf8 "E0101" "not UTF-8 text"
        "A policy is UTF-8 text. A byte that is not is reported where it stands."
        ""
    UnknownStatement "E0102" "unknown statement"
        "A statement starts with `buffer`, `bypass`, `default`, `let`, `expect`, `gate` or `allow`, in lower case."
        "bufer tcp;"
    EmptyStatement "E0103" "empty statement"
        "A `;` ends a statement, and here there is none to end."
        "buffer tcp;;"
    MissingSemicolon "E0104" "missing `;`"
        "A new statement starts before the one in front of it has ended. Only the last `;` may be left out."
        "buffer tcp\nbypass udp;"
    Unclosed "E0105" "bracket never closed"
        "A `(` or `{` has no partner before the statement ends."
        "buffer (tcp or udp;"
    UnexpectedClose "E0106" "closing bracket without partner"
        "A `)` or `}` closes nothing, or closes a bracket of the other kind."
        "buffer tcp);"
    UnterminatedString "E0107" "string never closed"
        "A string ends with `\"` on the line that it starts on."
        "buffer tcp because \"state;"
    Unexpected "E0108" "unexpected text"
        "The grammar wants something else at this place."
        "buffer tcp and;"
    BadString "E0109" "bad string"
        "A string holds printable text; the only escapes are `\\\"` and `\\\\`. Reasons are copied into generated files, so control characters are refused."
        "buffer tcp because \"a\\n\";"
    KeywordAsName "E0110" "keyword as name"
        "A word of the language can't be the name of a `let`."
        "let tcp = 6;"
    NotAField "E0111" "value behind a word that takes none"
        "Only fields such as `dport` or `src` are followed by a value."
        "buffer udp dprt 5060;"
    UnknownName "E0201" "unknown name"
        "A word is neither a term of the language nor the name of a `let`."
        "buffer upd;"
    DuplicateLet "E0202" "name defined twice"
        "A name has one meaning in the whole policy."
        "let a = 1;\nlet a = 2;\nbuffer udp dport a;"
    CyclicLet "E0203" "name defined by itself"
        "A `let` may use names defined before or after it, but not itself, directly or through others."
        "let a = b;\nlet b = a;\nbuffer a;"
    BuiltInName "E0204" "name of a built-in value"
        "Names of values, such as `ef` or `syn`, can't be redefined: the same word would mean two things."
        "let ef = 46;\nbuffer dscp ef;"
    NotASet "E0205" "condition used as a set"
        "A name that stands for a condition is used where values are wanted."
        "let media = udp dport 5004;\nbuffer src media;"
    NotACondition "E0206" "set used as a condition"
        "A name that stands for values is used where a condition is wanted; say which field has them."
        "let ports = { 5060, 5061 };\nbuffer udp ports;"
    UnknownSetting "E0207" "unknown setting"
        "A `gate` block knows `interval`, `limit` and `on-overflow`."
        "gate { intervall 40ms; }"
    BadLiteral "E0301" "malformed value"
        "A value looks like a number or an address but is none."
        "buffer src 10.0.0.256;"
    WrongKind "E0302" "value of the wrong kind"
        "Ports are numbers, `src` and `dst` take addresses and prefixes, `src mac` takes MAC addresses, and so on."
        "buffer udp dport 10.0.0.0/8;"
    ReversedRange "E0303" "reversed range"
        "The low end of a range is above its high end, so it holds nothing."
        "buffer udp dport 32767-16384;"
    EmptySet "E0304" "empty set"
        "A set without values makes a term that never holds."
        "buffer udp dport {};"
    TooLarge "E0305" "value too large for its field"
        "The field has fewer bits than the value needs."
        "buffer udp dport 70000;"
    HostBits "E0306" "prefix with host bits set"
        "The bits behind the prefix length must be zero; otherwise the length or the address is a slip."
        "buffer dst 10.0.0.1/8;"
    MixedFamilies "E0307" "range across address families"
        "A range of addresses has both ends in the same family."
        "buffer dst 10.0.0.1-2001:db8::1;"
    NoSuchHeader "E0308" "field of a header that the protocol lacks"
        "The packet is fixed to a protocol whose header has no such field, so the term never holds."
        "buffer icmp dport 5;"
    NeverHolds "E0309" "condition that can never hold"
        "No packet at all fulfils it, so the statement would have no effect."
        "buffer tcp and udp;"
    DuplicateDefault "E0310" "two defaults"
        "A policy has one verdict for what no rule matches."
        "default buffer;\ndefault bypass;"
    DuplicateGate "E0311" "two gate blocks"
        "A policy describes one gate."
        "gate { interval 40ms; }\ngate { limit 1MiB; }"
    DuplicateSetting "E0312" "setting given twice"
        "A setting has one value."
        "gate { interval 40ms; interval 20ms; }"
    BadUnit "E0313" "bad quantity"
        "`interval` is a time in `ms` or `s`; `limit` is an amount in `B`, `KiB`, `MiB` or `GiB`; both are whole numbers above zero."
        "gate { limit 64MB; }"
    BadSetting "E0314" "bad value of a setting"
        "`on-overflow` is `drop` or `release`, and a setting has exactly one value."
        "gate { on-overflow open; }"
    PolicyTooLarge "E0401" "policy too large"
        "A policy has at most 4 MiB of text."
        ""
    TooDeep "E0402" "nesting too deep"
        "Brackets and `not` nest at most 64 deep."
        ""
    SetTooLarge "E0403" "set too large"
        "A set has at most 65,536 values, nested sets included."
        ""
    StatementTooLong "E0404" "statement too long"
        "A statement has at most 200,000 words and signs."
        ""
    ExpansionTooLarge "E0405" "condition too large once its names are filled in"
        "Names that use names can grow without end; what they stand for is limited."
        ""
    TooManyErrors "E0406" "too many errors"
        "Reporting stops after 100 errors; mend those first."
        ""
    UnusedLet "W0201" "unused name"
        "A `let` that no statement uses is often a slip in the name."
        "let media = udp;\nbuffer tcp;"
    OpensOnOverflow "W0301" "gate opens on overflow"
        "With `on-overflow release`, a full buffer opens the gate: packets of epochs that are not committed leave, and a failover after that can be seen by the peer. `drop` keeps the law of output commit."
        "gate { on-overflow release; }"
    NeverDecides "W0302" "rule that never decides"
        "The rules in front of it match all of its packets, so it has no effect."
        "buffer udp;\nbypass udp dport 5004;"
}

impl Code {
    /// How bad findings of this kind are.
    pub fn severity(self) -> Severity {
        if self.as_str().starts_with('W') {
            Severity::Warning
        } else {
            Severity::Error
        }
    }

    /// The code with this text.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_unique() {
        assert!(Code::ALL.is_sorted_by(|a, b| a.as_str() < b.as_str()));
        for &code in Code::ALL {
            assert_eq!(Code::from_text(code.as_str()), Some(code));
        }
    }
}
