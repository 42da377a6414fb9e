//! What programs do to every possible frame: each instruction once, for all frames that reach it.
//!
//! All jumps go forward, so that an instruction's frames are known when its turn comes. They are
//! kept apart by what the accumulator holds.

use std::collections::BTreeMap;

use policy_lang::{PacketSet, Space, SpaceFull};

use super::batch::{Filter, Filters, Instruction};
use super::bits::{Value, View};
use crate::readback::{Outcome, ReadbackError};

/// What `filters` do to every frame: ascending preferences, and what none matches passes.
pub(super) fn outcome(space: &Space, filters: &Filters) -> Result<Outcome, ReadbackError> {
    let mut outcome = Outcome {
        bypass: space.none(),
        held: BTreeMap::new(),
        dropped: space.none(),
        unsure: space.none(),
    };
    for (view, frames) in View::all(space)? {
        let mut left = frames;
        for filter in filters.values() {
            let run = Run {
                space,
                filter,
                view,
            };
            let matched = run.matched(&left)?;
            left = space.minus(&left, &matched)?;
            match &filter.redirect {
                None => outcome.bypass = space.union(&outcome.bypass, &matched)?,
                Some(_) if matched.is_empty() => {}
                Some(device) => {
                    let held = outcome.held.entry(device.clone());
                    let held = held.or_insert_with(|| space.none());
                    *held = space.union(held, &matched)?;
                }
            }
        }
        outcome.bypass = space.union(&outcome.bypass, &left)?;
    }
    Ok(outcome)
}

struct Run<'a> {
    space: &'a Space,
    filter: &'a Filter,
    view: View,
}

/// The frames at an instruction, by what the accumulator holds there.
type Reach = BTreeMap<Value, PacketSet>;

impl Run<'_> {
    /// The frames of `start` for which the program returns something else than 0.
    fn matched(&self, start: &PacketSet) -> Result<PacketSet, ReadbackError> {
        // The kernel clears the accumulator first.
        let first = Reach::from([(Value::Number(0), start.clone())]);
        let mut waiting = BTreeMap::from([(0_usize, first)]);
        let mut matched = Vec::new();
        while let Some((at, reach)) = waiting.pop_first() {
            let Some(instruction) = self.filter.code.get(at) else {
                return Err(self.refuse(at, "it lies behind the end of the program"));
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
                            .ok_or_else(|| self.refuse(at, "what it loads is not known here"))?;
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
                            made.ok_or_else(|| self.refuse(at, "its result is not known here"))?;
                        next(&mut waiting, 0, made, frames)?;
                    }
                    _ => return Err(self.refuse(at, "it is not understood")),
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

    fn refuse(&self, at: usize, reason: &str) -> ReadbackError {
        self.filter.refuse(format!("instruction {at}: {reason}"))
    }
}
