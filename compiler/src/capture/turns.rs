//! Brings what several threads make back into order. Whoever brings the piece whose turn it is passes
//! it on, and what has come early behind it: there is no thread for that which would have to be woken.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Condvar, Mutex, PoisonError};

use super::crew::locked;

/// A thread that is so many pieces ahead waits for the others.
const AHEAD: u64 = 8;

/// Pieces by number, from 0 on, on their way to a `T` that wants them in order.
#[derive(Debug)]
pub struct Turns<P, T> {
    state: Mutex<State<P, T>>,
    passed_on: Condvar,
}

#[derive(Debug)]
struct State<P, T> {
    next: u64,
    early: BTreeMap<u64, P>,
    /// Not there while somebody gives it a piece.
    taker: Option<T>,
    ended: bool,
}

impl<P, T> Turns<P, T> {
    /// Nothing has come yet.
    pub fn new(taker: T) -> Self {
        Self {
            state: Mutex::new(State {
                next: 0,
                early: BTreeMap::new(),
                taker: Some(taker),
                ended: false,
            }),
            passed_on: Condvar::new(),
        }
    }

    /// Makes a piece and brings it; `take` gives it to the taker now or later. To break off ends it for
    /// all, and so does a panic: the others would wait for a piece that never comes.
    pub fn bring(
        &self,
        number: u64,
        make: impl FnOnce() -> P,
        take: impl Fn(&mut T, P) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let made = catch_unwind(AssertUnwindSafe(make));
        let mut state = locked(&self.state);
        let piece = made.unwrap_or_else(|panic| {
            state.ended = true;
            self.passed_on.notify_all();
            resume_unwind(panic)
        });
        while number > state.next + AHEAD && !state.ended {
            let woken = self.passed_on.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        if state.ended {
            return ControlFlow::Break(());
        }
        state.early.insert(number, piece);
        let Some(mut taker) = state.taker.take() else {
            // Whoever has it comes back for this piece.
            return ControlFlow::Continue(());
        };
        let mut flow = ControlFlow::Continue(());
        loop {
            let next = state.next;
            let Some(piece) = state.early.remove(&next).filter(|_| flow.is_continue()) else {
                break;
            };
            drop(state);
            let taken = catch_unwind(AssertUnwindSafe(|| take(&mut taker, piece)));
            state = locked(&self.state);
            state.next += 1;
            state.ended = !matches!(taken, Ok(ControlFlow::Continue(())));
            self.passed_on.notify_all();
            flow = taken.unwrap_or_else(|panic| resume_unwind(panic));
        }
        state.taker = Some(taker);
        flow
    }

    /// The taker, when all have brought what they had.
    pub fn into_taker(self) -> Option<T> {
        let state = self.state.into_inner();
        state.unwrap_or_else(PoisonError::into_inner).taker
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::Turns;

    /// Lets threads bring the numbers up to `last`; the taker breaks off behind `enough`.
    fn brought(threads: usize, last: u64, enough: u64) -> Vec<u64> {
        let (turns, next) = (Turns::new(Vec::new()), AtomicU64::new(0));
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let brought = |taken: &mut Vec<u64>, piece| {
                            taken.push(piece);
                            if piece == enough {
                                ControlFlow::Break(())
                            } else {
                                ControlFlow::Continue(())
                            }
                        };
                        if number > last || turns.bring(number, || number, brought).is_break() {
                            break;
                        }
                    }
                });
            }
        });
        turns.into_taker().unwrap()
    }

    #[test]
    fn whoever_comes_when_the_order_is_kept() {
        for threads in 1..=5 {
            assert!(brought(threads, 5000, u64::MAX).into_iter().eq(0..=5000));
        }
    }

    /// Whoever is far ahead waits for the piece that is never made.
    #[test]
    fn a_panic_leaves_nobody_waiting() {
        let turns = Turns::new(Vec::new());
        let take = |taken: &mut Vec<u64>, piece| {
            taken.push(piece);
            ControlFlow::Continue(())
        };
        thread::scope(|scope| {
            let ahead = scope.spawn(|| (1..100).all(|n| turns.bring(n, || n, take).is_continue()));
            let dead = scope.spawn(|| turns.bring(0, || panic!("on purpose"), take));
            assert!(dead.join().is_err());
            assert!(!ahead.join().unwrap());
        });
    }

    #[test]
    fn to_break_off_ends_it_for_all() {
        for threads in 1..=5 {
            assert!(brought(threads, u64::MAX, 700).into_iter().eq(0..=700));
        }
    }
}
