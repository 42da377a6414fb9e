//! An interpreter of classic BPF, frame by frame, after "The BSD Packet Filter" (McCanne and Jacobson,
//! 1993) and `bpf_filter` of libpcap, with which a test compares it. What Linux adds is the 802.1Q or
//! 802.1ad tag beside the packet (net/core/filter.c, `SKF_AD_VLAN_TAG` and its neighbours).

use compiler::backend::bpf::Instruction;

/// `SKF_AD_OFF` of linux/filter.h, and what lies there.
const BESIDE: u32 = 0xffff_f000;
const VLAN_TAG: u32 = BESIDE + 44;
const VLAN_TAG_PRESENT: u32 = BESIDE + 48;
const VLAN_TPID: u32 = BESIDE + 60;
/// `BPF_MEMWORDS`.
const WORDS: usize = 16;

/// A frame as a program sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    bytes: Vec<u8>,
    /// The ethertype and the control information of a tag that was taken off.
    tag: Option<(u16, u16)>,
}

impl Packet {
    /// A frame as it lies in a capture: nothing is taken off.
    #[must_use]
    pub fn whole(frame: &[u8]) -> Self {
        Self {
            bytes: frame.to_vec(),
            tag: None,
        }
    }

    /// A frame as it reaches tc's hook: `skb_vlan_untag` has taken off the outermost tag, if it is whole.
    #[must_use]
    pub fn received(frame: &[u8]) -> Self {
        let half = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
        match (half(12), half(14)) {
            (Some(kind @ (0x8100 | 0x88a8)), Some(control)) if frame.len() >= 18 => Self {
                bytes: [&frame[..12], &frame[16..]].concat(),
                tag: Some((kind, control)),
            },
            _ => Self::whole(frame),
        }
    }

    fn load(&self, at: u32, bytes: usize) -> Option<u32> {
        if at >= BESIDE {
            let (kind, control) = self.tag.unwrap_or_default();
            return match at {
                VLAN_TAG => Some(control.into()),
                VLAN_TAG_PRESENT => Some(self.tag.is_some().into()),
                VLAN_TPID => Some(kind.into()),
                _ => None,
            };
        }
        let at = usize::try_from(at).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(bytes)?)?;
        Some(
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte)),
        )
    }

    fn len(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }
}

/// What the program returns. A load behind the end, and whatever else can't go on, ends it with 0.
#[must_use]
pub fn run(program: &[Instruction], packet: &Packet) -> u32 {
    let mut machine = Machine {
        packet,
        a: 0,
        x: 0,
        memory: [0; WORDS],
    };
    let mut at = 0;
    while let Some(instruction) = program.get(at) {
        match machine.step(instruction) {
            Step::Skip(skip) => at += 1 + skip,
            Step::Return(value) => return value,
        }
    }
    0
}

enum Step {
    Skip(usize),
    Return(u32),
}

struct Machine<'a> {
    packet: &'a Packet,
    a: u32,
    x: u32,
    memory: [u32; WORDS],
}

impl Machine<'_> {
    fn step(&mut self, Instruction { code, yes, no, k }: &Instruction) -> Step {
        let (code, k) = (*code, *k);
        match code & 0x07 {
            // BPF_LD and BPF_LDX
            0x00 | 0x01 => match self.value(code, k) {
                Some(value) if code & 1 == 0 => self.a = value,
                Some(value) => self.x = value,
                None => return Step::Return(0),
            },
            // BPF_ST and BPF_STX
            0x02 | 0x03 => {
                let value = if code & 1 == 0 { self.a } else { self.x };
                match usize::try_from(k)
                    .ok()
                    .and_then(|at| self.memory.get_mut(at))
                {
                    Some(word) => *word = value,
                    None => return Step::Return(0),
                }
            }
            // BPF_ALU
            0x04 => match self.sum(code, k) {
                Some(sum) => self.a = sum,
                None => return Step::Return(0),
            },
            // BPF_JMP
            0x05 => {
                let other = if code & 0x08 == 0 { k } else { self.x };
                let holds = match code & 0xf0 {
                    0x00 => return Step::Skip(usize::try_from(k).unwrap_or(usize::MAX)),
                    0x10 => self.a == other,
                    0x20 => self.a > other,
                    0x30 => self.a >= other,
                    0x40 => self.a & other != 0,
                    _ => return Step::Return(0),
                };
                return Step::Skip(usize::from(if holds { *yes } else { *no }));
            }
            // BPF_RET
            0x06 => return Step::Return(if code & 0x18 == 0x10 { self.a } else { k }),
            // BPF_MISC
            _ if code & 0x80 == 0 => self.x = self.a,
            _ => self.a = self.x,
        }
        Step::Skip(0)
    }

    /// What a load gets.
    fn value(&self, code: u16, k: u32) -> Option<u32> {
        let bytes = match code & 0x18 {
            0x00 => 4,
            0x08 => 2,
            0x10 => 1,
            _ => return None,
        };
        match code & 0xe0 {
            // BPF_IMM, BPF_ABS, BPF_IND, BPF_MEM, BPF_LEN
            0x00 => Some(k),
            0x20 => self.packet.load(k, bytes),
            0x40 => self.packet.load(self.x.checked_add(k)?, bytes),
            0x60 => self.memory.get(usize::try_from(k).ok()?).copied(),
            0x80 => Some(self.packet.len()),
            // BPF_MSH: the length of an IPv4 header
            0xa0 => Some((self.packet.load(k, 1)? & 0x0f) << 2),
            _ => None,
        }
    }

    fn sum(&self, code: u16, k: u32) -> Option<u32> {
        let other = if code & 0x08 == 0 { k } else { self.x };
        Some(match code & 0xf0 {
            0x00 => self.a.wrapping_add(other),
            0x10 => self.a.wrapping_sub(other),
            0x20 => self.a.wrapping_mul(other),
            0x30 => self.a.checked_div(other)?,
            0x40 => self.a | other,
            0x50 => self.a & other,
            0x60 => self.a.checked_shl(other).unwrap_or(0),
            0x70 => self.a.checked_shr(other).unwrap_or(0),
            0x80 => self.a.wrapping_neg(),
            0x90 => self.a.checked_rem(other)?,
            0xa0 => self.a ^ other,
            _ => return None,
        })
    }
}
