//! Whether a replication kept the law (output commit): judged from what was seen on both sides of the buffer
//! and what libxl told the plug, frame by frame.

use policy_lang::{Policy, Verdict, classify};
use serde::Serialize;

use super::recording::{Command, Recording, Sighting};

/// How far the clock of the trace may be from that of the captures: between the two stands one call.
const CLOCKS_NS: u64 = 200_000;

/// An epoch in which the domU ran: from one BUFFER to the next, and when it was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Epoch {
    begin: u64,
    end: u64,
    released: Option<u64>,
}

/// What became of the frames that a policy holds or lets pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// Frames that the policy holds, from the first checkpoint on.
    pub held: usize,
    /// Of these, those that left before their epoch was released.
    pub leaked: usize,
    /// Epochs that were released, and one after them.
    pub epochs: usize,
    /// Of these, those of which exactly what was held left, between their release and the next.
    pub exact: usize,
    /// Frames that the policy lets pass.
    pub passed: usize,
    /// Of these, those that took longer than a millisecond.
    pub waited: usize,
}

/// Judges a recording, of the frames that `counts` picks.
#[must_use]
pub fn judge(policy: &Policy, recording: &Recording, counts: impl Fn(&[u8]) -> bool) -> Kept {
    let picked = Recording {
        frames: recording
            .frames
            .iter()
            .filter(|seen| counts(&seen.frame))
            .cloned()
            .collect(),
        commands: recording.commands.clone(),
        ..Recording::default()
    };
    judge_with(&picked, |frame| {
        classify(policy, frame).verdict == Verdict::Buffer
    })
}

/// Times of the suspends, as far as they can be seen: when epochs end.
#[must_use]
pub fn ends(commands: &[(u64, Command)]) -> Vec<u64> {
    let ends = commands
        .iter()
        .filter(|(_, command)| *command == Command::Buffer);
    ends.map(|(at, _)| *at).collect()
}

fn judge_with(recording: &Recording, holds: impl Fn(&[u8]) -> bool) -> Kept {
    // What the plug was told after the last frame that the far side saw, the captures don't show.
    let seen_until = recording.frames.iter().filter_map(|seen| seen.left).max();
    let until = recording
        .commands
        .partition_point(|(at, _)| Some(*at) <= seen_until);
    let epochs = epochs(recording.commands.get(..until).unwrap_or_default());
    let mut kept = Kept::default();
    let (Some(first), Some(last)) = (epochs.first(), epochs.last()) else {
        return kept;
    };
    let mut held: Vec<Vec<&Sighting>> = vec![Vec::new(); epochs.len()];
    for seen in &recording.frames {
        if seen.entered < first.begin || seen.entered >= last.end {
            continue;
        }
        if !holds(&seen.frame) {
            kept.passed += 1;
            let took = seen.left.map(|left| left.saturating_sub(seen.entered));
            kept.waited += usize::from(took.is_none_or(|took| took > 1_000_000));
            continue;
        }
        kept.held += 1;
        let number = epochs.partition_point(|epoch| epoch.end <= seen.entered);
        let epoch = epochs[number];
        kept.leaked += usize::from(seen.left.is_some_and(|left| {
            epoch
                .released
                .is_none_or(|released| left + CLOCKS_NS < released)
        }));
        held[number].push(seen);
    }
    for (epoch, frames) in epochs.iter().zip(&held) {
        let Some(released) = epoch.released else {
            continue;
        };
        let later = epochs.iter().filter_map(|other| other.released);
        let Some(next) = later.into_iter().find(|at| *at > released) else {
            continue;
        };
        kept.epochs += 1;
        let whole = frames.iter().all(|seen| {
            seen.left
                .is_some_and(|left| left + CLOCKS_NS >= released && left < next)
        });
        kept.exact += usize::from(whole);
    }
    kept
}

/// The epochs between BUFFERs. That of a BUFFER is released by the first RELEASE_ONE behind it.
fn epochs(commands: &[(u64, Command)]) -> Vec<Epoch> {
    let ends: Vec<usize> = (0..commands.len())
        .filter(|n| commands[*n].1 == Command::Buffer)
        .collect();
    let between = ends.windows(2).map(|pair| {
        let behind = commands[pair[1]..].iter();
        let released = behind
            .skip(1)
            .take_while(|(_, command)| *command != Command::Buffer)
            .find(|(_, command)| *command == Command::ReleaseOne);
        Epoch {
            begin: commands[pair[0]].0,
            end: commands[pair[1]].0,
            released: released.map(|(at, _)| *at),
        }
    });
    between.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checkpoint each 100 ms, released 10 ms later; a frame in the middle of each epoch.
    fn recording(left_after_release_ms: i64) -> Recording {
        const MS: u64 = 1_000_000;
        let mut recording = Recording::default();
        for number in 1..=6_u64 {
            let end = number * 100 * MS;
            recording.commands.push((end, Command::Buffer));
            recording
                .commands
                .push((end + 10 * MS, Command::ReleaseOne));
            let released = (number + 1) * 100 * MS + 10 * MS;
            let left = released.checked_add_signed(left_after_release_ms * MS as i64);
            recording.frames.push(Sighting {
                entered: end + 50 * MS,
                left,
                frame: vec![number as u8; 60],
            });
        }
        recording
    }

    #[test]
    fn what_leaves_with_its_release_is_kept() {
        let kept = judge_with(&recording(1), |_| true);
        let expected = Kept {
            held: 5,
            epochs: 4,
            exact: 4,
            ..Kept::default()
        };
        assert_eq!(kept, expected);
    }

    #[test]
    fn what_leaves_before_its_release_has_leaked() {
        let kept = judge_with(&recording(-20), |_| true);
        assert_eq!((kept.held, kept.leaked, kept.exact), (5, 5, 0));
    }

    #[test]
    fn what_leaves_with_a_later_release_is_not_exact() {
        let kept = judge_with(&recording(100), |_| true);
        assert_eq!((kept.leaked, kept.exact), (0, 0));
    }

    #[test]
    fn what_may_pass_does_not_wait() {
        let kept = judge_with(&recording(0), |_| false);
        assert_eq!((kept.passed, kept.waited, kept.held), (5, 5, 0));
    }
}
