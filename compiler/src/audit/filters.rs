//! `tc -s filter show`, as far as it has to be understood to tell ours from others': the heads of
//! the filters and where their actions lead. What the rules mean is [`crate::readback::u32`]'s.
//!
//! The text is that of iproute2's tc/tc_filter.c, tc/m_mirred.c and tc/f_bpf.c. A line of an unknown
//! kind belongs to the filter above it.

use std::collections::BTreeSet;

use nom::bytes::complete::{tag, take_until, take_while1};
use nom::character::complete::{char, digit1, multispace0, space1};
use nom::combinator::{map_res, opt, rest};
use nom::multi::many0;
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

/// How tc prints the target of a redirect whose device is gone.
const NO_DEVICE: &str = "*";

/// What stands for such a target in the text that is read back.
pub(super) const GONE: &str = "?gone";

/// The program of our guard: every frame matches.
const GUARD: &str = "bytecode '1,6 0 0 4294967295'";

/// The pref of our guard.
const GUARD_PREF: u32 = 1;

/// The filters of a hook.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters {
    pub(super) all: Vec<Filter>,
    /// Redirects that failed.
    pub(super) overlimits: u64,
}

/// One `filter` line and those below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) pref: u32,
    pub(super) kind: String,
    pub(super) chain: u32,
    /// Whether it is a filter, and not only the head of its pref.
    handled: bool,
    guard_shape: bool,
    /// The devices that its actions redirect to.
    targets: Vec<String>,
    text: String,
}

/// Words behind `filter` up to the kind: pairs of a key and a value, and `ingress` alone.
#[derive(Debug, Default)]
struct Head {
    pref: u32,
    kind: String,
    chain: u32,
    handled: bool,
}

fn word(input: &str) -> IResult<&str, &str> {
    take_while1(|c: char| !c.is_whitespace()).parse(input)
}

fn count(input: &str) -> IResult<&str, u32> {
    map_res(digit1, str::parse).parse(input)
}

fn head(line: &str) -> IResult<&str, Head> {
    let key = |name: &'static str| (tag(name), space1, word, space1);
    let (line, _) = (tag("filter"), space1).parse(line)?;
    let (line, _) = many0((nom::branch::alt((
        key("dev").map(drop),
        key("parent").map(drop),
        key("block").map(drop),
        key("protocol").map(drop),
        (tag("ingress"), space1).map(drop),
    )),))
    .parse(line)?;
    let (line, pref) = preceded((tag("pref"), space1), terminated(count, space1)).parse(line)?;
    let (line, kind) = word(line)?;
    let (line, chain) = opt(preceded((space1, tag("chain"), space1), count)).parse(line)?;
    let (line, handle) = opt((space1, nom::branch::alt((tag("fh"), tag("handle"))))).parse(line)?;
    let head = Head {
        pref,
        kind: kind.to_owned(),
        chain: chain.unwrap_or_default(),
        handled: handle.is_some(),
    };
    Ok((line, head))
}

/// `action order 1: mirred (Egress Redirect to device NAME) stolen`.
fn target(line: &str) -> IResult<&str, &str> {
    let (line, _) = (
        multispace0,
        tag("action order"),
        take_until("Redirect to device "),
    )
        .parse(line)?;
    let (line, name) = preceded(tag("Redirect to device "), take_until(")")).parse(line)?;
    let (line, _) = (char(')'), rest).parse(line)?;
    Ok((line, name))
}

/// `Sent 0 bytes 0 pkt (dropped 0, overlimits 5 requeues 0)`.
fn overlimits(line: &str) -> IResult<&str, u64> {
    let (line, _) = (multispace0, tag("Sent "), take_until("overlimits ")).parse(line)?;
    preceded(tag("overlimits "), map_res(digit1, str::parse)).parse(line)
}

/// The filters that a text lists.
pub(super) fn filters(text: &str) -> Filters {
    let mut found = Filters::default();
    for line in text.lines() {
        if line.starts_with("filter ") {
            let head = head(line).map(|(_, head)| head).unwrap_or_default();
            found.all.push(Filter {
                guard_shape: head.kind == "matchall"
                    || (head.kind == "bpf" && line.trim_end().ends_with(GUARD)),
                pref: head.pref,
                kind: head.kind,
                chain: head.chain,
                handled: head.handled,
                targets: Vec::new(),
                text: String::new(),
            });
        }
        if let Ok((_, more)) = overlimits(line) {
            found.overlimits = found.overlimits.saturating_add(more);
        }
        if let Some(filter) = found.all.last_mut() {
            if let Ok((_, name)) = target(line) {
                filter.targets.push(name.to_owned());
            }
            let line = line.replace(
                "Redirect to device *)",
                &format!("Redirect to device {GONE})"),
            );
            filter.text.push_str(&line);
            filter.text.push('\n');
        }
    }
    found
}

impl Filters {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether pref 1 holds our guard and nothing else: all of it goes to `ifb`, or nowhere.
    pub(super) fn guarded(&self, ifb: &str) -> bool {
        let at_one = |filter: &&Filter| filter.pref == GUARD_PREF && filter.chain == 0;
        let mut guards = self
            .all
            .iter()
            .filter(at_one)
            .filter(|filter| filter.handled)
            .peekable();
        guards.peek().is_some()
            && guards.all(|filter| {
                filter.guard_shape
                    && !filter.targets.is_empty()
                    && filter.targets.iter().all(|to| to == ifb || to == NO_DEVICE)
            })
    }

    /// The prefs that can't be ours, with the kind of filter. Ours are u32 and bpf at multiples of ten
    /// up to 20480 and at 65000, flower in chains of such a number, and a guard.
    pub(super) fn foreign(&self, ifb: &str) -> BTreeSet<(u32, &str)> {
        let guarded = self.guarded(ifb);
        self.all
            .iter()
            .filter(|filter| !filter.is_ours(guarded))
            .map(|filter| (filter.pref, filter.kind.as_str()))
            .collect()
    }

    /// Whether there is a filter of ours that is no guard.
    pub(super) fn ours(&self) -> bool {
        self.all.iter().any(|filter| filter.is_ours(false))
    }

    /// Whether a redirect of ours leads nowhere.
    pub(super) fn lead_nowhere(&self) -> bool {
        let nowhere = |filter: &Filter| filter.targets.iter().any(|to| to == NO_DEVICE);
        self.all
            .iter()
            .any(|filter| filter.is_ours(true) && nowhere(filter))
    }

    /// The text of the filters, for the read-back: without our guard, and without others' if
    /// `only_ours`.
    pub(super) fn text(&self, ifb: &str, only_ours: bool) -> String {
        let guarded = self.guarded(ifb);
        self.all
            .iter()
            .filter(|filter| !(guarded && filter.pref == GUARD_PREF && filter.chain == 0))
            .filter(|filter| !only_ours || filter.is_ours(false))
            .map(|filter| filter.text.as_str())
            .collect()
    }
}

impl Filter {
    fn is_ours(&self, guarded: bool) -> bool {
        let place = |number: u32| number.is_multiple_of(10) && (10..=20_480).contains(&number);
        match (self.chain, self.kind.as_str()) {
            (0, kind) if guarded && self.pref == GUARD_PREF && kind != "u32" => true,
            (0, "u32" | "bpf") => self.pref == 65_000 || place(self.pref),
            (chain, "flower") => place(chain),
            _ => false,
        }
    }
}
