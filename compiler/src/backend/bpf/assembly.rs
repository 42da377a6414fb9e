//! A program as text for people: the notation of the kernel's `bpf_asm` (tools/bpf/bpf_exp.y), with a
//! label at each target of a jump and a word on what each load is about.
//!
//! What a load is about depends on the packet that gets there. That is told by what was asked on the
//! way: the ethertype, then the protocol. Where ways with different answers meet, only the offset is
//! known, and there is no word.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use policy_lang::field::{Base, ETHERNET_LEN, Family, Field, Layer};

use super::layout::{self, Instruction};

/// What is known of the packets at an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    family: Option<Family>,
    protocol: Option<u8>,
    /// The load whose number is asked about.
    loaded: Option<(u16, u32)>,
}

impl Known {
    const NOTHING: Self = Self {
        family: None,
        protocol: None,
        loaded: None,
    };

    /// What is known where two ways meet.
    fn meet(self, other: Self) -> Self {
        let same = self.family == other.family;
        Self {
            family: self.family.filter(|_| same),
            protocol: self
                .protocol
                .filter(|_| same && self.protocol == other.protocol),
            loaded: self.loaded.filter(|_| self.loaded == other.loaded),
        }
    }

    /// What is known of the packets whose loaded number is `k`.
    fn equal(self, k: u32) -> Self {
        let mut known = self;
        match (self.loaded, self.family) {
            (Some((layout::LD_HALF, 12)), _) => {
                let mut families = Family::ALL.into_iter();
                known.family = families.find(|family| u32::from(family.ethertype()) == k);
            }
            (Some((layout::LD_BYTE, at)), Some(family)) if at == protocol_at(family) => {
                known.protocol = u8::try_from(k).ok();
            }
            _ => {}
        }
        known
    }

    /// What a load of so many bytes is about.
    fn about(self, at: u32, bytes: u32) -> Option<String> {
        let first = usize::try_from(at).ok()? * 8;
        let last = first + usize::try_from(bytes).ok()? * 8;
        let within = |field: &Field| {
            // The outer fields are the same in packets of either family.
            let outer = field.layer() == Layer::Ethernet;
            let family = if outer { Some(Family::V4) } else { self.family };
            let Some(place) = family.and_then(|family| field.place(family)) else {
                return false;
            };
            let start = place.bit
                + match place.base {
                    Base::Frame => 0,
                    Base::Type => (ETHERNET_LEN - 2) * 8,
                    Base::Network => ETHERNET_LEN * 8,
                    Base::Tag => return false,
                };
            start < last && first < start + usize::try_from(place.width).unwrap_or(0)
        };
        let told = |field: &Field| match field.layer() {
            Layer::Transport(transports) => transports
                .iter()
                .any(|transport| Some(transport.protocol()) == self.protocol),
            Layer::Payload => matches!(self.protocol, Some(17 | 136)),
            _ => true,
        };
        // No term of the language asks for these.
        let version: &[&str] = match self.family {
            Some(Family::V4) if at == 14 => &["version", "header length"],
            Some(Family::V6) if at == 14 => &["version"],
            _ => &[],
        };
        let fields = Field::ALL
            .iter()
            .filter(|field| within(field) && told(field));
        let mut names = version.to_vec();
        names.extend(fields.map(|field| field.name()));
        (!names.is_empty()).then(|| names.join(", "))
    }
}

fn protocol_at(family: Family) -> u32 {
    match family {
        Family::V4 => 23,
        Family::V6 => 20,
    }
}

/// The program as text: `ret #0` holds, `ret #0xffffffff` lets pass.
#[must_use]
pub fn assembly(code: &[Instruction]) -> String {
    let known = known(code);
    let targets: BTreeSet<usize> = code.iter().enumerate().flat_map(targets).collect();
    let mut text = String::new();
    for (at, instruction) in code.iter().enumerate() {
        let label = if targets.contains(&at) {
            format!("l{at}:")
        } else {
            String::new()
        };
        let (words, about) = words(at, *instruction, known.get(&at));
        let line = format!("{label:<7}{words}");
        let _ = match about {
            Some(about) => writeln!(text, "{line:<36}; {about}"),
            None => writeln!(text, "{line}"),
        };
    }
    text
}

/// Where an instruction may lead to other than the next one.
fn targets((at, instruction): (usize, &Instruction)) -> Vec<usize> {
    let skips: &[u32] = match instruction.code {
        layout::JUMP => &[instruction.k],
        layout::JUMP_EQUAL | layout::JUMP_AT_LEAST => {
            &[u32::from(instruction.yes), u32::from(instruction.no)]
        }
        _ => &[],
    };
    let behind = |skip: &u32| at + 1 + usize::try_from(*skip).unwrap_or(0);
    skips.iter().map(behind).collect()
}

/// What is known at each instruction; all jumps go forward.
fn known(code: &[Instruction]) -> BTreeMap<usize, Known> {
    let mut known = BTreeMap::from([(0, Known::NOTHING)]);
    for (at, instruction) in code.iter().enumerate() {
        let Some(&here) = known.get(&at) else {
            continue;
        };
        let mut reach = |to: usize, what: Known| {
            let met = known
                .get(&to)
                .map_or(what, |other: &Known| other.meet(what));
            known.insert(to, met);
        };
        let loaded = Known {
            loaded: Some((instruction.code, instruction.k)),
            ..here
        };
        match (instruction.code, targets((at, instruction)).as_slice()) {
            (layout::RETURN, _) => {}
            (layout::JUMP_EQUAL, [yes, no]) => {
                reach(*yes, here.equal(instruction.k));
                reach(*no, here);
            }
            (_, [to, rest @ ..]) => {
                reach(*to, here);
                rest.iter().for_each(|to| reach(*to, here));
            }
            (layout::AND | layout::SHIFT_RIGHT, _) => reach(
                at + 1,
                Known {
                    loaded: None,
                    ..here
                },
            ),
            _ => reach(at + 1, loaded),
        }
    }
    known
}

/// An instruction in words, and what it is about.
fn words(
    at: usize,
    Instruction { code, yes, no, k }: Instruction,
    known: Option<&Known>,
) -> (String, Option<String>) {
    let label = |skip: u8| format!("l{}", at + 1 + usize::from(skip));
    let load = |word: &str, bytes| {
        let (from, about) = match k {
            layout::VLAN_TAG_PRESENT => (String::from("vlan_avail"), Some("is there a tag?")),
            layout::VLAN_TPID => (String::from("vlan_tpid"), Some("the tag's ethertype")),
            layout::VLAN_TAG => (String::from("vlan_tci"), Some("the tag")),
            _ => (format!("[{k}]"), None),
        };
        let told = || known?.about(k, bytes);
        let about = about.map(str::to_owned).or_else(told);
        (format!("{word:<5}{from}"), about)
    };
    match code {
        layout::LD_WORD => load("ld", 4),
        layout::LD_HALF => load("ldh", 2),
        layout::LD_BYTE => load("ldb", 1),
        layout::LD_LENGTH => (
            String::from("ld   #len"),
            Some(String::from("bytes of the frame")),
        ),
        layout::AND => (format!("and  #{k:#x}"), None),
        layout::SHIFT_RIGHT => (format!("rsh  #{k}"), None),
        layout::JUMP => {
            let to = at + 1 + usize::try_from(k).unwrap_or(0);
            (format!("jmp  l{to}"), None)
        }
        layout::JUMP_EQUAL => (format!("jeq  #{k:#x}, {}, {}", label(yes), label(no)), None),
        layout::JUMP_AT_LEAST => (format!("jge  #{k:#x}, {}, {}", label(yes), label(no)), None),
        _ => (
            format!("ret  #{k:#x}"),
            Some(String::from(if k == 0 { "buffer" } else { "bypass" })),
        ),
    }
}
