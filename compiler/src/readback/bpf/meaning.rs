//! What a program does to every possible frame: each instruction once, for all frames that reach it.
//!
//! All jumps go forward, so that an instruction's frames are known when its turn comes. They are
//! kept apart by what the accumulator holds.

use std::collections::BTreeMap;

use policy_lang::{PacketSet, Space, SpaceFull};

use super::bits::{Value, View};
use super::program::{Instruction, Program};

/// Why it is not known what a program does.
#[derive(Debug)]
pub(in crate::readback) enum Unknown {
    /// The sets outgrew their space.
    Full(SpaceFull),
    /// An instruction is not understood, for this reason.
    NotUnderstood(String),
}

impl From<SpaceFull> for Unknown {
    fn from(full: SpaceFull) -> Self {
        Self::Full(full)
    }
}

impl Program {
    /// The frames of `reach` for which the program returns something else than 0.
    pub(in crate::readback) fn matched(
        &self,
        space: &Space,
        reach: &PacketSet,
    ) -> Result<PacketSet, Unknown> {
        let mut matched = space.none();
        for (view, frames) in View::all(space)? {
            let run = Run {
                space,
                code: &self.0,
                view,
            };
            let start = space.intersection(reach, &frames)?;
            matched = space.union(&matched, &run.matched(&start)?)?;
        }
        Ok(matched)
    }
}

struct Run<'a> {
    space: &'a Space,
    code: &'a [Instruction],
    view: View,
}

/// The frames at an instruction, by what the accumulator holds there.
type Reach = BTreeMap<Value, PacketSet>;

impl Run<'_> {
    /// The frames of `start` for which the program returns something else than 0.
    fn matched(&self, start: &PacketSet) -> Result<PacketSet, Unknown> {
        // The kernel clears the accumulator first.
        let first = Reach::from([(Value::Number(0), start.clone())]);
        let mut waiting = BTreeMap::from([(0_usize, first)]);
        let mut matched = Vec::new();
        while let Some((at, reach)) = waiting.pop_first() {
            let Some(instruction) = self.code.get(at) else {
                return Err(Self::refuse(at, "it lies behind the end of the program"));
            };
            for (value, frames) in reach {
                if frames.is_empty() {
                    continue;
                }
                let next = |waiting: &mut BTreeMap<usize, Reach>, skip: u64, value, set| {
                    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
                    let to = waiting.entry(at.saturating_add(1).saturating_add(skip));
                    self.add(to.or_default(), value, set)
                };
                let Instruction { code, jt, jf, k } = *instruction;
                match code {
                    // ret k
                    0x06 if k != 0 => matched.push(frames),
                    0x06 => {}
                    // ja
                    0x05 => next(&mut waiting, k.into(), value, frames)?,
                    // jeq, jgt, jge
                    0x15 | 0x25 | 0x35 => {
                        let holds = match code {
                            0x15 => self.view.equal(self.space, value, k)?,
                            0x25 => self.view.at_least(self.space, value, u64::from(k) + 1)?,
                            _ => self.view.at_least(self.space, value, k.into())?,
                        };
                        let yes = self.space.intersection(&frames, &holds)?;
                        let no = self.space.minus(&frames, &holds)?;
                        next(&mut waiting, jt.into(), value, yes)?;
                        next(&mut waiting, jf.into(), value, no)?;
                    }
                    // ld, ldh, ldb absolute: the program ends with 0 behind the end of the frame
                    0x20 | 0x28 | 0x30 => {
                        let bytes = match code {
                            0x20 => 4,
                            0x28 => 2,
                            _ => 1,
                        };
                        let loaded = self.view.load(k, bytes);
                        let loaded = loaded
                            .ok_or_else(|| Self::refuse(at, "what it loads is not known here"))?;
                        let there = if matches!(loaded, Value::Bits(..)) && k < 0x8000_0000 {
                            let long =
                                self.view.long_enough(self.space, k.saturating_add(bytes))?;
                            self.space.intersection(&frames, &long)?
                        } else {
                            frames
                        };
                        next(&mut waiting, 0, loaded, there)?;
                    }
                    // ld len
                    0x80 => next(&mut waiting, 0, Value::Length, frames)?,
                    // and, rsh
                    0x54 | 0x74 => {
                        let made = if code == 0x54 {
                            value.and(k)
                        } else {
                            value.shifted(k)
                        };
                        let made =
                            made.ok_or_else(|| Self::refuse(at, "its result is not known here"))?;
                        next(&mut waiting, 0, made, frames)?;
                    }
                    _ => return Err(Self::refuse(at, "it is not understood")),
                }
            }
        }
        Ok(self.space.union_all(matched)?)
    }

    fn add(&self, reach: &mut Reach, value: Value, set: PacketSet) -> Result<(), SpaceFull> {
        let joined = match reach.get(&value) {
            Some(known) => self.space.union(known, &set)?,
            None => set,
        };
        reach.insert(value, joined);
        Ok(())
    }

    fn refuse(at: usize, reason: &str) -> Unknown {
        Unknown::NotUnderstood(format!("instruction {at}: {reason}"))
    }
}
