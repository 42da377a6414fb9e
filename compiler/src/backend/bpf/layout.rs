//! The DAG as instructions: laid out from the last to the first, since all jumps go forward.
//!
//! A conditional jump reaches 255 instructions. Where a target is further away, a jump to it, or a
//! copy of the verdict, is put behind the comparison, and serves as that target from then on.

use std::collections::BTreeMap;

use super::dag::{Compare, Dag, Id, Load, Node, Source};

/// One instruction of classic BPF: `struct sock_filter` of linux/filter.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to skip if a comparison holds.
    pub yes: u8,
    /// Instructions to skip if it does not.
    pub no: u8,
    /// The number.
    pub k: u32,
}

pub(super) const LD_WORD: u16 = 0x20;
pub(super) const LD_HALF: u16 = 0x28;
pub(super) const LD_BYTE: u16 = 0x30;
pub(super) const LD_LENGTH: u16 = 0x80;
pub(super) const AND: u16 = 0x54;
pub(super) const SHIFT_RIGHT: u16 = 0x74;
pub(super) const JUMP: u16 = 0x05;
pub(super) const JUMP_EQUAL: u16 = 0x15;
pub(super) const JUMP_AT_LEAST: u16 = 0x35;
pub(super) const RETURN: u16 = 0x06;

/// `SKF_AD_OFF` of linux/filter.h: what the kernel knows beside the bytes lies from here on.
const BESIDE: u32 = 0xffff_f000;
pub(super) const VLAN_TAG: u32 = BESIDE + 44;
pub(super) const VLAN_TAG_PRESENT: u32 = BESIDE + 48;
pub(super) const VLAN_TPID: u32 = BESIDE + 60;

/// What cls_bpf takes for a match that leads to the filter's own class.
const MATCH: u32 = u32::MAX;

/// The instructions, the first one first, of the program that starts at `entry`.
pub(super) fn instructions(dag: &Dag, entry: Id) -> Vec<Instruction> {
    let mut layout = Layout {
        dag,
        backwards: Vec::new(),
        places: BTreeMap::new(),
    };
    layout.place(entry);
    layout.backwards.reverse();
    layout.backwards
}

struct Layout<'a> {
    dag: &'a Dag,
    backwards: Vec<Instruction>,
    /// Where the nearest instruction is that does what a node does, counted from the end.
    places: BTreeMap<Id, usize>,
}

impl Layout<'_> {
    fn place(&mut self, id: Id) {
        if self.places.contains_key(&id) {
            return;
        }
        match self.dag.get(id) {
            None => return,
            Some(Node::Return(bypass)) => self.verdict(bypass),
            Some(Node::Load(load, then)) => {
                self.place(then);
                if self.distance(then) != 0 {
                    self.jump(then);
                }
                self.load(load);
            }
            Some(Node::Test(compare, number, yes, no)) => {
                self.place(no);
                self.place(yes);
                let (yes, no) = self.near(yes, no);
                let code = match compare {
                    Compare::Equal => JUMP_EQUAL,
                    Compare::AtLeast => JUMP_AT_LEAST,
                };
                self.push(code, yes, no, number);
            }
        }
        self.places.insert(id, self.backwards.len() - 1);
    }

    /// The distances of two targets, brought within reach.
    fn near(&mut self, yes: Id, no: Id) -> (u8, u8) {
        loop {
            match [yes, no].map(|id| u8::try_from(self.distance(id))) {
                [Ok(yes), Ok(no)] => return (yes, no),
                [Err(_), _] => self.jump(yes),
                [_, Err(_)] => self.jump(no),
            }
        }
    }

    /// How many instructions lie between the next one that is placed and a node.
    fn distance(&self, id: Id) -> usize {
        let place = self.places.get(&id).copied().unwrap_or(0);
        self.backwards.len().saturating_sub(place + 1)
    }

    fn jump(&mut self, id: Id) {
        if let Some(Node::Return(bypass)) = self.dag.get(id) {
            self.verdict(bypass);
        } else {
            let distance = u32::try_from(self.distance(id)).unwrap_or(u32::MAX);
            self.push(JUMP, 0, 0, distance);
        }
        self.places.insert(id, self.backwards.len() - 1);
    }

    fn verdict(&mut self, bypass: bool) {
        self.push(RETURN, 0, 0, if bypass { MATCH } else { 0 });
    }

    fn load(&mut self, load: Load) {
        if load.shift != 0 {
            self.push(SHIFT_RIGHT, 0, 0, load.shift);
        }
        if let Some(mask) = load.mask {
            self.push(AND, 0, 0, mask);
        }
        let (code, k) = match load.source {
            Source::Length => (LD_LENGTH, 0),
            Source::TagPresent => (LD_BYTE, VLAN_TAG_PRESENT),
            Source::TagKind => (LD_HALF, VLAN_TPID),
            Source::Tag => (LD_HALF, VLAN_TAG),
            Source::Bytes { at, count: 1 } => (LD_BYTE, at),
            Source::Bytes { at, count: 2 } => (LD_HALF, at),
            Source::Bytes { at, .. } => (LD_WORD, at),
        };
        self.push(code, 0, 0, k);
    }

    fn push(&mut self, code: u16, yes: u8, no: u8, k: u32) {
        self.backwards.push(Instruction { code, yes, no, k });
    }
}
