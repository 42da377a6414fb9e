//! A rule program as an nftables ruleset for the netdev ingress hook (man nft, "netdev family").
//!
//! One file, one transaction: the table is made anew whole, so that at no time a frame finds half
//! of the rules. A base chain finds the block that decides about a frame by the headers that are
//! there, and each block is a chain of its own, which ends in a verdict for every frame: `accept`
//! lets it go on, `fwd` hands it to the IFB. The base chain's `policy drop` is never reached.
//!
//! Headers are asked for by raw loads and by the length of the packet, never by nft's own parsing
//! of transports, whose idea of fragments, options and truncated packets is not the language's.

mod key;
mod lines;
mod overlap;
mod parts;
#[cfg(test)]
mod random;
mod stages;
mod tables;

use policy_lang::Verdict;
use policy_lang::field::{ETHERTYPE_VLAN, FRAGMENT_MASK, Family, Field, Transport};
use policy_lang::policy::Policy;

use self::key::Key;
use self::lines::{Text, rule_numbers};
use self::stages::stages;
use self::tables::Names;
use super::{Kind, Refusal, Target, span_of};
use crate::hook::ETHERTYPE_8021AD;
use crate::ir::{Block, FlatRule, Guard, Program, Shape};

/// The ruleset of `program`, which was lowered from `policy`, as text for `nft -f`.
///
/// # Errors
///
/// [`Refusal`] if the policy tells lengths of 802.3 frames apart behind a tag, where nft does not
/// see them.
pub fn emit(program: &Program, policy: &Policy, target: &Target) -> Result<String, Refusal> {
    let table = crate::script::table(&target.vif);
    let mut text = Text::default();
    for line in target.header.iter().flat_map(|line| line.lines()) {
        text.comment(line);
    }
    text.line(&format!("table netdev {table} {{}}"));
    text.line(&format!("delete table netdev {table}"));
    text.open(&format!("table netdev {table} {{"));
    let chains = Chains {
        policy,
        hold: format!("fwd to \"{}\"", target.ifb),
    };
    text.open("chain ingress {");
    text.line(&format!(
        "type filter hook ingress device \"{}\" priority 0; policy drop;",
        target.vif
    ));
    let (tagged, rest): (Vec<&Block>, Vec<&Block>) = program
        .blocks
        .iter()
        .partition(|block| block.guard.tagged == Some(true));
    let opaque = opaque(program, tagged.last().copied());
    let of_tagged = |tagged: bool| opaque.iter().filter(move |one| one.0.tagged == tagged);
    for (hidden, block) in of_tagged(false) {
        text.comment(hidden.why);
        let verdict = chains.verdict_of(block, hidden.chain);
        text.line(&format!("@ll,96,16 {:#06x} {verdict}", hidden.ethertype));
    }
    if !tagged.is_empty() {
        text.line("@ll,96,16 0x8100 goto tagged");
        chains.dispatch(&rest, &mut text);
        text.close();
        text.blank();
        text.comment("one 802.1Q tag");
        text.open("chain tagged {");
    }
    let is_tagged = if tagged.is_empty() {
        "@ll,96,16 0x8100 "
    } else {
        ""
    };
    for (hidden, block) in of_tagged(true) {
        text.comment(hidden.why);
        let verdict = chains.verdict_of(block, hidden.chain);
        text.line(&format!(
            "{is_tagged}@ll,128,16 {:#06x} {verdict}",
            hidden.ethertype
        ));
    }
    chains.dispatch(if tagged.is_empty() { &rest } else { &tagged }, &mut text);
    text.close();
    for block in program.blocks.iter() {
        chains.chain(
            block,
            &chain_name(block.guard),
            &describe(block.guard),
            &mut text,
        )?;
    }
    for (hidden, block) in &opaque {
        chains.chain(block, hidden.chain, hidden.title, &mut text)?;
    }
    text.close();
    Ok(text.written)
}

/// Frames that to the language have this ethertype and nothing more, while nft looks behind it.
struct Hidden {
    /// Whether an 802.1Q tag stands in front.
    tagged: bool,
    ethertype: u16,
    chain: &'static str,
    title: &'static str,
    why: &'static str,
}

/// The kernel takes an 802.1ad tag out as it does an 802.1Q one. From 7.1 on, `meta protocol` also
/// looks behind a second 802.1Q tag and a PPPoE header, and moves the network header there for all
/// tests that follow (`nft_meta_pktinfo_may_update` in net/netfilter/nft_meta.c). Raw loads of the
/// link header do not, as long as no `meta protocol` has been asked: so these come first.
const HIDDEN: [Hidden; 4] = [
    Hidden {
        tagged: false,
        ethertype: ETHERTYPE_8021AD,
        chain: "opaque_8021ad",
        title: "any frame with an 802.1ad tag",
        why: "an 802.1ad tag is not looked into",
    },
    Hidden {
        tagged: false,
        ethertype: ETHERTYPE_PPPOE,
        chain: "opaque_pppoe",
        title: "any frame with PPPoE",
        why: "PPPoE is not looked into, as kernels from 7.1 on would",
    },
    Hidden {
        tagged: true,
        ethertype: ETHERTYPE_VLAN,
        chain: "tagged_opaque_8021q",
        title: "any frame with two 802.1Q tags",
        why: "a second tag is not looked into, as kernels from 7.1 on would",
    },
    Hidden {
        tagged: true,
        ethertype: ETHERTYPE_PPPOE,
        chain: "tagged_opaque_pppoe",
        title: "any frame with a tag and PPPoE",
        why: "nor is PPPoE behind a tag",
    },
];

/// The ethertype of a PPPoE session (RFC 2516).
const ETHERTYPE_PPPOE: u16 = 0x8864;

/// What becomes of frames that hide something. `tagged` decides about tagged frames without an IP
/// header, if tagged frames are told apart.
///
/// Empty if no rule looks at anything that such a frame hides.
fn opaque(program: &Program, tagged: Option<&Block>) -> Vec<(&'static Hidden, Block)> {
    let Some(any) = program.blocks.last() else {
        return Vec::new();
    };
    let untouched = |rule: &FlatRule| {
        rule.boxes
            .iter()
            .all(|one| !one.fields.contains_key(&Field::Ethertype))
    };
    if program.blocks.len() == 1 && any.rules.iter().all(untouched) {
        return Vec::new();
    }
    HIDDEN
        .iter()
        .map(|hidden| {
            let own = tagged.filter(|_| hidden.tagged).unwrap_or(any);
            (hidden, with_ethertype(own, hidden))
        })
        .collect()
}

/// A block for frames of which the ethertype is known and no IP header is seen.
fn with_ethertype(any: &Block, hidden: &Hidden) -> Block {
    let mut block = Block {
        guard: Guard {
            tagged: Some(hidden.tagged),
            shape: Shape::Any,
        },
        rules: any.rules.clone(),
        default: any.default,
    };
    for rule in &mut block.rules {
        rule.boxes.retain_mut(|one| {
            let ethertype = one.fields.remove(&Field::Ethertype);
            ethertype.is_none_or(|values| values.contains(hidden.ethertype.into()))
        });
    }
    block.settled()
}

struct Chains<'a> {
    policy: &'a Policy,
    /// The statement that holds a frame.
    hold: String,
}

impl Chains<'_> {
    fn statement(&self, verdict: Verdict) -> &str {
        match verdict {
            Verdict::Bypass => "accept",
            Verdict::Buffer => &self.hold,
        }
    }

    /// How the base chain hands frames to a block: a chain without rules is not written.
    fn verdict_of(&self, block: &Block, chain: &str) -> String {
        if stages(block).is_empty() {
            self.statement(block.default).to_owned()
        } else {
            format!("goto {chain}")
        }
    }

    fn dispatch(&self, blocks: &[&Block], text: &mut Text) {
        for block in blocks {
            let verdict = self.verdict_of(block, &chain_name(block.guard));
            let guard = guard(block.guard.shape);
            text.line(format!("{guard} {verdict}").trim_start());
        }
    }

    fn chain(
        &self,
        block: &Block,
        name: &str,
        title: &str,
        text: &mut Text,
    ) -> Result<(), Refusal> {
        if stages(block).is_empty() {
            return Ok(());
        }
        self.whole(block, name, title, 0, (&mut Names::default(), text))
    }

    /// A chain and those of its parts; `depth` of them lead here.
    fn whole(
        &self,
        block: &Block,
        name: &str,
        title: &str,
        depth: usize,
        (names, text): (&mut Names, &mut Text),
    ) -> Result<(), Refusal> {
        let mut lines = Text {
            depth: 2,
            ..Text::default()
        };
        // A cut is of use only with a key that leads to its parts: without one the block stays whole.
        let cut = parts::cut(block)
            .filter(|_| depth < parts::DEEPEST)
            .and_then(|cut| Some((Key::new(cut.field, block.guard)?, cut)));
        if let Some((key, cut)) = &cut {
            lines.open(&format!(
                "{} vmap {{",
                key.leading(cut.free, cut.field.width())
            ));
            for ((range, part), number) in cut.parts.iter().zip(1..) {
                let there = format!("{name}_part{number}");
                let about = format!("{title}, {} {}", key.load, key.range(*range));
                self.whole(part, &there, &about, depth + 1, (names, text))?;
                lines.line(&format!("{} : goto {there},", key.value(range.low)));
            }
            lines.close();
        }
        let block = cut.as_ref().map_or(block, |(_, cut)| &cut.rest);
        self.rules(block, name, &mut lines, (names, text))?;
        text.comment(title);
        text.open(&format!("chain {name} {{"));
        text.written.push_str(&lines.written);
        text.line(self.statement(block.default));
        text.close();
        Ok(())
    }

    /// The rules of a block, and the sets that they use.
    fn rules(
        &self,
        block: &Block,
        name: &str,
        lines: &mut Text,
        (names, text): (&mut Names, &mut Text),
    ) -> Result<(), Refusal> {
        text.blank();
        for stage in &stages(block) {
            let verdict = stage.verdict.keyword();
            let sets = format!("{name}_{verdict}");
            lines.comment(&format!("{}: {verdict}", rule_numbers(&stage.sources)));
            let rules = tables::write(&stage.boxes, block.guard, &sets, names)
                .map_err(|key::UnseenLength| self.refusal(block))?;
            for table in rules.tables {
                text.open(&format!("set {} {{", table.name));
                text.line(&format!("typeof {}", table.key));
                if table.intervals {
                    text.line("flags interval");
                }
                text.open("elements = {");
                for element in table.elements {
                    text.line(&format!("{element},"));
                }
                text.close();
                text.close();
                text.blank();
            }
            for line in rules.lines {
                let statement = self.statement(stage.verdict);
                lines.line(format!("{line} {statement}").trim_start());
            }
        }
        Ok(())
    }

    /// Names the first rule that asks for a part of the 802.3 lengths.
    fn refusal(&self, block: &Block) -> Refusal {
        let partly = |rule: &&FlatRule| {
            rule.boxes.iter().any(|one| {
                one.fields
                    .get(&Field::Ethertype)
                    .is_some_and(|values| key::ethertypes(values, block.guard).is_err())
            })
        };
        let rule = block.rules.iter().find(partly);
        Refusal {
            backend: Kind::Nft,
            term: "ethertype".to_owned(),
            span: rule.and_then(|rule| span_of(self.policy, rule.source, Field::Ethertype)),
            reason: "of an 802.3 frame behind a VLAN tag nft sees that there is a length below \
                     0x600 in place of an ethertype, but not which; name all of 0-0x5ff or none, \
                     or join the term with `untagged`"
                .to_owned(),
            instead: Some(Kind::U32),
        }
    }
}

/// What asks whether the headers of a shape are there; empty for any frame.
///
/// What tells most packets apart comes first. The tag has been asked for before.
fn guard(shape: Shape) -> String {
    let ip = |family: Family| match family {
        Family::V4 => "meta protocol ip",
        Family::V6 => "meta protocol ip6",
    };
    match shape {
        Shape::Any => String::new(),
        Shape::Ip(family) => {
            let version = match family {
                Family::V4 => "@nh,0,8 0x45-0x4f",
                Family::V6 => "@nh,0,8 0x60-0x6f",
            };
            let length = family.header_len();
            format!("{} {version} {}", ip(family), present(length))
        }
        Shape::Plain {
            family,
            transport,
            payload,
        } => {
            let protocol = transport.protocol();
            let plain = match family {
                Family::V4 => {
                    format!("@nh,72,8 {protocol} @nh,0,8 0x45 @nh,48,16 & {FRAGMENT_MASK:#x} == 0")
                }
                Family::V6 => format!("@nh,48,8 {protocol} @nh,0,8 0x60-0x6f"),
            };
            let length = family.header_len() + transport.header_len() + payload;
            format!("{} {plain} {}", ip(family), present(length))
        }
    }
}

/// What asks whether there are so many bytes behind the Ethernet header: a load past the end of a
/// packet ends its rule. `meta length` would ask the same, at twice the cost.
fn present(bytes: usize) -> String {
    format!("@nh,{},8 >= 0", bytes.saturating_sub(1) * 8)
}

fn family_name(family: Family) -> (&'static str, &'static str) {
    match family {
        Family::V4 => ("v4", "IPv4"),
        Family::V6 => ("v6", "IPv6"),
    }
}

fn transport_name(transport: Transport) -> (&'static str, &'static str) {
    match transport {
        Transport::Udp => ("udp", "UDP"),
        Transport::UdpLite => ("udplite", "UDP-Lite"),
        Transport::Tcp => ("tcp", "TCP"),
        Transport::Sctp => ("sctp", "SCTP"),
        Transport::Icmp => ("icmp", "ICMP"),
        Transport::Icmp6 => ("icmp6", "ICMPv6"),
    }
}

fn chain_name(guard: Guard) -> String {
    let name = match guard.shape {
        Shape::Any => "other".to_owned(),
        Shape::Ip(family) => family_name(family).0.to_owned(),
        Shape::Plain {
            family,
            transport,
            payload,
        } => {
            let (family, transport) = (family_name(family).0, transport_name(transport).0);
            match payload {
                0 => format!("{family}_{transport}"),
                more => format!("{family}_{transport}_{more}"),
            }
        }
    };
    match guard.tagged {
        Some(true) => format!("tagged_{name}"),
        _ => name,
    }
}

/// The frames of a block in words.
fn describe(guard: Guard) -> String {
    let headers = match guard.shape {
        Shape::Any => "any other frame".to_owned(),
        Shape::Ip(family) => format!("any other packet with an {} header", family_name(family).1),
        Shape::Plain {
            family,
            transport,
            payload,
        } => {
            let (family, transport) = (family_name(family).1, transport_name(transport).1);
            match payload {
                0 => format!("plain {family} with a whole {transport} header"),
                more => {
                    format!("plain {family} with {transport} and at least {more} bytes of payload")
                }
            }
        }
    };
    match guard.tagged {
        Some(true) => format!("tagged: {headers}"),
        _ => headers,
    }
}
