//! A rule program as a `tc -batch` file of u32 filters at the clsact ingress hook.
//!
//! Each block becomes one pref for every kind of outer ethertype it can be under, in the order of
//! the blocks. The pref's root filters are the block's guard, and link to a table that decides
//! about everything: a frame that the guard takes never goes on to a later pref, and a frame that
//! is too short for the guard ends the pref and does. A last pref takes what no block took.
//!
//! Facts from net/sched/cls_u32.c and net/sched/cls_api.c, and from frames sent through a kernel:
//! the first 802.1Q or 802.1ad tag is off the packet before any filter is asked, `protocol` still
//! compares its ethertype, and the ethertype behind it is the half-word at -2. User tables belong
//! to the device, not to a pref, so that two prefs can share a block's table.

mod cover;
mod flower;
mod guard;
mod pattern;
mod text;
mod tree;

use policy_lang::field::{Family, Field};
use policy_lang::policy::{Condition, Media, Policy, Test, Verdict};
use policy_lang::source::Span;

use crate::backend::{Kind, Refusal, Target, span_of};
use crate::ir::{Block, FieldBox, Guard, Program, Shape};
use guard::{ETHERTYPE_SERVICE_TAG, Outer};
use pattern::{Filter, Pattern};
use text::{Batch, MOST_TABLES, OutOfTables, Pref};
use tree::Budget;

/// Most filters that a policy may become: more take long to load and much kernel memory.
pub const MOST_FILTERS: usize = 65_000;

/// The pref that takes what no block took.
pub const LAST_PREF: usize = 65_000;

/// A word that every frame has: the last four bytes of the addresses' first eight.
const ALWAYS_THERE: i32 = -12;

/// Distance of the prefs, so that filters can be put between them by hand.
const PREF_STEP: usize = 10;

/// Writes the filters.
///
/// The file adds the prefs in ascending order and each table before it is linked, so that at any
/// moment of loading the rules in force are the first ones of the policy. The last pref comes first
/// if it holds, and last if it lets pass.
///
/// # Errors
///
/// [`Refusal`] for VLAN IDs, for headers whose presence keys can't prove, and for policies that
/// become more than [`MOST_FILTERS`] filters.
pub fn emit(program: &Program, policy: &Policy, target: &Target) -> Result<String, Refusal> {
    write(program, policy, target, Deciders::Tables)
}

/// What decides behind a guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deciders {
    /// u32 tables.
    Tables,
    /// Chains of flower filters where these see all that the rules of plain packets ask for.
    FlowerWherePlain,
}

/// Writes the filters with these deciders.
pub(super) fn write(
    program: &Program,
    policy: &Policy,
    target: &Target,
    deciders: Deciders,
) -> Result<String, Refusal> {
    refuse_what_is_not_seen(program, policy)?;
    let prefs = prefs(program);
    let count = refuse_too_many(&prefs, policy)?;
    let about = about_rules(policy);
    let mut budget = Budget {
        tables: MOST_TABLES.saturating_sub(prefs.len()),
        copies: (count * 4 + 1_000).min(MOST_FILTERS - count),
    };

    let mut batch = Batch::new(target, &about);
    let last = program.blocks.last().map_or(Verdict::Buffer, |b| b.default);
    if last == Verdict::Buffer {
        catch_all(&mut batch, last);
    }
    // What is written already: the table, or none where no rule is left.
    let mut tables: Vec<(&Planned<'_>, Option<usize>)> = Vec::new();
    for (at, planned) in prefs.iter().enumerate() {
        let Some((protocol, roots)) = guard::roots(planned.outer, planned.block.guard.shape) else {
            return Err(unaligned(planned.block.guard, policy));
        };
        let pref = Pref {
            number: (at + 1) * PREF_STEP,
            protocol,
            anchor: match planned.block.guard.shape {
                Shape::Any => ALWAYS_THERE,
                Shape::Ip(_) | Shape::Plain { .. } => 0,
            },
        };
        batch.gap();
        batch.comment(&planned.title());
        let default = planned.block.default;
        if deciders == Deciders::FlowerWherePlain
            && let Some(chain) = flower::chain(planned.outer, planned.block.guard.shape)
            && let Some(groups) = chain.groups(planned.boxes(), default)
            && !groups.is_empty()
        {
            batch.flower_chain(pref.number, chain.protocol, &groups, default);
            batch.comment("the headers that must be there");
            batch.root(pref, &roots, &Batch::go_to(pref.number));
            continue;
        }
        let shared = tables
            .iter()
            .find(|(other, _)| other.shares_table_with(planned));
        let table = match shared {
            Some((_, table)) => *table,
            None => {
                let items = tree::arrange(planned.filters(), default, &mut budget);
                let table = if items.is_empty() {
                    None
                } else {
                    let written = batch.total_table(pref, &items, default);
                    Some(written.map_err(|OutOfTables| too_many(&prefs, policy))?)
                };
                tables.push((planned, table));
                table
            }
        };
        match table {
            Some(table) => {
                batch.comment("the headers that must be there");
                batch.root(pref, &roots, &Batch::link(table));
            }
            None => {
                batch.comment(&format!("all of them: {}", default.keyword()));
                let verdict = batch.verdict(default);
                batch.root(pref, &roots, &verdict);
            }
        }
    }
    if last == Verdict::Bypass {
        catch_all(&mut batch, last);
    }
    Ok(batch.finish())
}

/// The last pref: every frame, also one that ends behind its Ethernet header.
fn catch_all(batch: &mut Batch<'_>, verdict: Verdict) {
    let pref = Pref {
        number: LAST_PREF,
        protocol: "all",
        anchor: ALWAYS_THERE,
    };
    batch.gap();
    batch.comment(&format!(
        "what no other pref decides: {}",
        verdict.keyword()
    ));
    let verdict = batch.verdict(verdict);
    batch.root(pref, &[Pattern::default()], &verdict);
}

/// A block under one kind of outer ethertype.
#[derive(Debug)]
struct Planned<'a> {
    outer: Outer,
    block: &'a Block,
}

/// The prefs in their order: first what only looks at tagged frames, so that a pref for any
/// protocol comes when tags that mean something else are dealt with.
fn prefs(program: &Program) -> Vec<Planned<'_>> {
    let sequence = |outer: Outer, other_tag: bool| {
        let mut blocks: Vec<Planned<'_>> = Vec::new();
        for block in &program.blocks {
            if block.guard.tagged == Some(other_tag) {
                continue;
            }
            blocks.push(Planned { outer, block });
            if block.guard.shape == Shape::Any {
                break;
            }
        }
        blocks
    };
    let mut tagged = sequence(Outer::Tag, false);
    let mut untagged = sequence(Outer::Untagged, true);
    let service_tag = any_of(&untagged)
        .filter(|block| mentions(block, Field::Ethertype))
        .map(|block| Planned {
            outer: Outer::ServiceTag,
            block,
        });
    // One block for any frame, tagged or not, is one pref for any protocol.
    if let (Some(a), Some(b)) = (any_of(&tagged), any_of(&untagged))
        && std::ptr::eq(a, b)
    {
        tagged.pop();
    }
    // Without rules it is the last pref.
    if any_of(&untagged).is_some_and(|block| block.rules.is_empty()) {
        untagged.pop();
    }
    service_tag
        .into_iter()
        .chain(tagged)
        .chain(untagged)
        .collect()
}

/// The block for any frame at the end of `blocks`.
fn any_of<'a>(blocks: &[Planned<'a>]) -> Option<&'a Block> {
    let last = blocks.last()?.block;
    (last.guard.shape == Shape::Any).then_some(last)
}

fn mentions(block: &Block, field: Field) -> bool {
    block
        .rules
        .iter()
        .flat_map(|rule| &rule.boxes)
        .any(|one| one.fields.contains_key(&field))
}

impl Planned<'_> {
    /// Whether the same rules serve both, tagged or not.
    fn shares_table_with(&self, other: &Self) -> bool {
        let service_tags = [self.outer, other.outer].map(|outer| outer == Outer::ServiceTag);
        std::ptr::eq(self.block, other.block) && service_tags[0] == service_tags[1]
    }

    fn family(&self) -> Family {
        match self.block.guard.shape {
            // Fields of any frame lie at the same place over either family.
            Shape::Any => Family::V4,
            Shape::Ip(family) | Shape::Plain { family, .. } => family,
        }
    }

    /// The rules' boxes as this pref sees them.
    fn boxes(&self) -> impl Iterator<Item = (Verdict, usize, FieldBox)> {
        let rules = self.block.rules.iter();
        rules.flat_map(move |rule| {
            let seen = rule.boxes.iter().filter_map(|one| self.seen(one));
            seen.map(|one| (rule.verdict, rule.source, one))
        })
    }

    /// Keys can't see the ethertype of an 802.1ad tag, but here it is known.
    fn seen(&self, one: &FieldBox) -> Option<FieldBox> {
        let mut one = one.clone();
        if self.outer == Outer::ServiceTag
            && let Some(ethertypes) = one.fields.remove(&Field::Ethertype)
            && !ethertypes.contains(ETHERTYPE_SERVICE_TAG.into())
        {
            return None;
        }
        Some(one)
    }

    fn filters(&self) -> Vec<Filter> {
        self.boxes()
            .flat_map(|(verdict, source, one)| {
                let patterns = pattern::patterns(&one, self.family());
                patterns.into_iter().map(move |pattern| Filter {
                    pattern,
                    verdict,
                    source,
                })
            })
            .collect()
    }

    fn title(&self) -> String {
        let frames = match self.block.guard.shape {
            Shape::Any => String::from("any frame"),
            Shape::Ip(family) => format!("any {}", family_name(family)),
            Shape::Plain {
                family,
                transport,
                payload,
            } => {
                let (family, transport) = (family_name(family), transport_name(transport));
                match payload {
                    0 => format!("plain {family} with {transport}"),
                    _ => format!("plain {family} with {transport} and {payload} bytes behind it"),
                }
            }
        };
        let tag = match (self.outer, self.block.guard) {
            (Outer::ServiceTag, _) => " under an 802.1ad tag, which is opaque",
            (Outer::Tag, _) => " under one 802.1Q tag",
            (
                Outer::Untagged,
                Guard {
                    tagged: None,
                    shape: Shape::Any,
                },
            ) => ", tagged or not",
            (Outer::Untagged, _) => " without a tag",
        };
        format!("{frames}{tag}")
    }
}

fn family_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

fn transport_name(transport: policy_lang::field::Transport) -> &'static str {
    use policy_lang::field::Transport;
    match transport {
        Transport::Udp => "UDP",
        Transport::UdpLite => "UDP-Lite",
        Transport::Tcp => "TCP",
        Transport::Sctp => "SCTP",
        Transport::Icmp => "ICMP",
        Transport::Icmp6 => "ICMPv6",
    }
}

/// A line on each rule of the policy, without line breaks.
fn about_rules(policy: &Policy) -> Vec<String> {
    let lines = policy.rules.iter().zip(1..).map(|(rule, number)| {
        let because = rule.because.as_ref();
        let because =
            because.map_or_else(String::new, |b| format!(", because {}", b.escape_debug()));
        format!("rule {number}: {}{because}", rule.verdict.keyword())
    });
    lines.collect()
}

fn refusal(term: String, span: Option<Span>, reason: String) -> Refusal {
    Refusal {
        backend: Kind::U32,
        term,
        span,
        reason,
        instead: Some(Kind::Nft),
    }
}

fn refuse_what_is_not_seen(program: &Program, policy: &Policy) -> Result<(), Refusal> {
    for block in &program.blocks {
        for rule in &block.rules {
            if rule
                .boxes
                .iter()
                .any(|one| one.fields.contains_key(&Field::VlanId))
            {
                return Err(refusal(
                    String::from("vlan ID"),
                    span_of(policy, rule.source, Field::VlanId),
                    String::from(
                        "the kernel takes the tag off before u32 reads the packet, so that no key sees its VLAN ID",
                    ),
                ));
            }
        }
        if guard::roots(Outer::Untagged, block.guard.shape).is_none() {
            return Err(unaligned(block.guard, policy));
        }
    }
    Ok(())
}

/// The refusal of a guard whose headers end within a word.
fn unaligned(guard: Guard, policy: &Policy) -> Refusal {
    let payload = match guard.shape {
        Shape::Plain { payload, .. } => payload,
        Shape::Any | Shape::Ip(_) => 0,
    };
    let media = Media::ALL.into_iter().find(|m| m.header_len() == payload);
    let span = media.and_then(|media| {
        let mut conditions = policy.rules.iter().map(|rule| &rule.condition);
        conditions.find_map(|condition| asks_for(condition, media))
    });
    refusal(
        media.map_or("payload", Media::keyword).to_owned(),
        span,
        format!(
            "u32 keys are aligned words, so that they can't ask whether exactly {payload} bytes of payload are there"
        ),
    )
}

fn asks_for(condition: &Condition, media: Media) -> Option<Span> {
    let mut tests = condition.tests();
    tests
        .find(|(test, _)| matches!(test, Test::Media(asked) if *asked == media))
        .map(|(_, span)| span)
}

/// Filters of each rule, over all prefs.
fn counts(prefs: &[Planned<'_>], policy: &Policy) -> Vec<usize> {
    let mut counts = vec![0_usize; policy.rules.len()];
    for (at, planned) in prefs.iter().enumerate() {
        let earlier = prefs.get(..at).unwrap_or_default();
        if earlier.iter().any(|other| other.shares_table_with(planned)) {
            continue;
        }
        for (_, source, one) in planned.boxes() {
            if let Some(count) = counts.get_mut(source) {
                *count = count.saturating_add(pattern::count(&one, planned.family()));
            }
        }
    }
    counts
}

fn refuse_too_many(prefs: &[Planned<'_>], policy: &Policy) -> Result<usize, Refusal> {
    let total = counts(prefs, policy)
        .into_iter()
        .fold(0, usize::saturating_add);
    if total > MOST_FILTERS {
        return Err(too_many(prefs, policy));
    }
    Ok(total)
}

/// Names the rule that costs most.
fn too_many(prefs: &[Planned<'_>], policy: &Policy) -> Refusal {
    let counts = counts(prefs, policy);
    let total = counts.iter().copied().fold(0, usize::saturating_add);
    let most = counts.iter().copied().max().unwrap_or(0);
    let rule = counts.iter().position(|&count| count == most).unwrap_or(0);
    refusal(
        format!("rule {}", rule + 1),
        policy.rules.get(rule).map(|rule| rule.span),
        format!(
            "u32 asks for masked values only, so that it becomes {most} filters of {total} in all, \
             and more than {MOST_FILTERS} are not made"
        ),
    )
}
