//! Long lists of filters as hash tables.
//!
//! u32 tries the filters of a bucket one after the other, so a thousand of them cost more than the
//! rest of the packet's way. A table hashes on up to eight adjacent bits of one word: each filter
//! goes to every bucket that its mask allows, and a frame meets only those of its own bucket.
//! Filters that ask too little of those bits stay behind, for another table or for the list.

use policy_lang::Verdict;

use super::pattern::Filter;

/// Up to this many filters are a list.
const FEW: usize = 8;
/// Tables within tables. The kernel follows eight links (TC_U32_MAXDEPTH); the way to the block's
/// own table is one, and a chain of lists at the end may be another.
const DEEPEST: usize = 5;
/// Filters in a list, well below the 4,095 node ids that a bucket has.
const LONGEST: usize = 2_000;

/// What a bucket holds, in the order in which it is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A filter that decides.
    Filter(Filter),
    /// A table to look into; a frame that it does not decide comes back to the next item.
    Table(Table),
}

/// A hash table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// The bits that choose the bucket.
    pub(super) window: Window,
    /// One list for each value of these bits.
    pub(super) buckets: Vec<Vec<Item>>,
}

/// Adjacent bits of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Window {
    /// Offset of the word.
    pub(super) at: i32,
    /// Distance of the lowest bit from the word's lowest bit.
    pub(super) shift: u32,
    /// Number of bits, at most 8; 0 makes a table of one bucket.
    pub(super) bits: u32,
}

impl Window {
    /// The bits within the word.
    pub(super) const fn mask(self) -> u32 {
        ((1 << self.bits) - 1) << self.shift
    }

    /// The buckets that frames matching `filter` fall into.
    fn buckets(self, filter: &Filter) -> impl Iterator<Item = usize> {
        let word = filter.pattern.word(self.at);
        let part = move |bits: u32| bits >> self.shift & ((1 << self.bits) - 1);
        let (value, mask) = (part(word.value), part(word.mask));
        let free = !mask & ((1 << self.bits) - 1);
        // Counting up in the free bits only: 0 comes again after the last.
        let next =
            move |&bits: &u32| Some(bits.wrapping_sub(free) & free).filter(|&bits| bits != 0);
        std::iter::successors(Some(0), next).map(move |bits| (value | bits) as usize)
    }

    /// Whether a filter says enough about these bits: at least half of them.
    fn suits(self, filter: &Filter) -> bool {
        let asked = filter.pattern.word(self.at).mask & self.mask();
        asked.count_ones() * 2 >= self.bits.max(1)
    }
}

/// What is left to spend: tables have ids, and copies of filters cost memory and time to load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Tables that may still be made.
    pub(super) tables: usize,
    /// Copies of filters that may still be made.
    pub(super) copies: usize,
}

/// Arranges filters, which decide in their order; frames that match none get `otherwise`.
pub(super) fn arrange(filters: Vec<Filter>, otherwise: Verdict, budget: &mut Budget) -> Vec<Item> {
    chained(hashed(filters, Some(otherwise), DEEPEST, budget), budget)
}

/// With `otherwise` unknown, other filters may follow.
fn hashed(
    mut filters: Vec<Filter>,
    otherwise: Option<Verdict>,
    depth: usize,
    budget: &mut Budget,
) -> Vec<Item> {
    let all = filters.iter().position(|f| f.pattern.is_everything());
    if let Some(at) = all {
        filters.truncate(at + 1);
    }
    while otherwise.is_some() && filters.last().map(|last| last.verdict) == otherwise {
        filters.pop();
    }
    let mut items = Vec::new();
    while filters.len() > FEW && depth > 0 && budget.tables > 0 {
        let Some(window) = best_window(&filters) else {
            break;
        };
        let (taken, left) = split(filters.clone(), window);
        let mut buckets = vec![Vec::new(); 1 << window.bits];
        let mut placed = 0;
        for filter in &taken {
            for bucket in window.buckets(filter) {
                placed += 1;
                if let Some(bucket) = buckets.get_mut(bucket) {
                    bucket.push(Filter {
                        pattern: filter.pattern.without(window.at, window.mask()),
                        ..filter.clone()
                    });
                }
            }
        }
        let copies = placed - taken.len();
        if taken.len() <= FEW || copies > budget.copies {
            break;
        }
        budget.copies -= copies;
        budget.tables -= 1;
        let otherwise = otherwise.filter(|_| left.is_empty());
        let buckets = buckets
            .into_iter()
            .map(|bucket| hashed(bucket, otherwise, depth - 1, budget))
            .collect();
        items.push(Item::Table(Table { window, buckets }));
        filters = left;
    }
    items.extend(filters.into_iter().map(Item::Filter));
    items
}

/// The filters for a table on `window`, which is tried first, and those that stay behind.
///
/// A filter must not overtake one that it overlaps and that decides otherwise.
fn split(filters: Vec<Filter>, window: Window) -> (Vec<Filter>, Vec<Filter>) {
    let (mut taken, mut left): (Vec<Filter>, Vec<Filter>) = (Vec::new(), Vec::new());
    for filter in filters {
        let blocked = left
            .iter()
            .any(|l| l.verdict != filter.verdict && l.pattern.overlaps(&filter.pattern));
        if window.suits(&filter) && !blocked {
            taken.push(filter);
        } else {
            left.push(filter);
        }
    }
    (taken, left)
}

/// Filters that are looked at to choose a window: more say nothing new.
const SAMPLE: usize = 128;

/// The window that leaves the shortest lists, if any makes them much shorter than they are.
fn best_window(filters: &[Filter]) -> Option<Window> {
    let step = filters.len().div_ceil(SAMPLE).max(1);
    let sample: Vec<&Filter> = filters.iter().step_by(step).collect();
    let mut offsets: Vec<i32> = sample
        .iter()
        .flat_map(|f| f.pattern.words().iter().map(|word| word.at))
        .collect();
    offsets.sort_unstable();
    offsets.dedup();
    let windows = offsets.into_iter().flat_map(|at| {
        let of = move |bits| move |shift| Window { at, shift, bits };
        (0..=28)
            .step_by(4)
            .map(of(4))
            .chain((0..=24).step_by(4).map(of(8)))
    });
    let (cost, best) = windows
        .filter_map(|window| Some((cost(&sample, window)?, window)))
        .min()?;
    (cost < sample.len() * 700).then_some(best)
}

/// What a window costs in thousandths of a filter: the list that a filter's own frames meet, most
/// of a list for those that stay behind, and something for copies. `None` if no filter suits it.
fn cost(sample: &[&Filter], window: Window) -> Option<usize> {
    let mut sizes = vec![0_usize; 1 << window.bits];
    let mut taken = 0;
    for filter in sample.iter().filter(|filter| window.suits(filter)) {
        taken += 1;
        for bucket in window.buckets(filter) {
            if let Some(size) = sizes.get_mut(bucket) {
                *size += 1;
            }
        }
    }
    let placed: usize = sizes.iter().sum();
    let squares: usize = sizes.iter().map(|size| size * size).sum();
    let met = (squares * 1000).checked_div(placed)?;
    let left = sample.len() - taken;
    Some(met + left * 600 + placed * 100 / taken.max(1))
}

/// The same items, in lists of at most [`LONGEST`] that follow one another.
fn chained(items: Vec<Item>, budget: &mut Budget) -> Vec<Item> {
    let items: Vec<Item> = items
        .into_iter()
        .map(|item| match item {
            Item::Filter(filter) => Item::Filter(filter),
            Item::Table(table) => Item::Table(Table {
                window: table.window,
                buckets: table
                    .buckets
                    .into_iter()
                    .map(|b| chained(b, budget))
                    .collect(),
            }),
        })
        .collect();
    if items.len() <= LONGEST {
        return items;
    }
    let window = Window {
        at: 0,
        shift: 0,
        bits: 0,
    };
    items
        .chunks(LONGEST)
        .map(|chunk| {
            budget.tables = budget.tables.saturating_sub(1);
            Item::Table(Table {
                window,
                buckets: vec![chunk.to_vec()],
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::pattern::{Pattern, Word};
    use super::*;

    fn numbered(count: u32) -> Vec<Filter> {
        let filter = |n: u32| Filter {
            pattern: Pattern::default().and(Word {
                at: 12,
                value: n,
                mask: u32::MAX,
            }),
            verdict: Verdict::Bypass,
            source: n as usize,
        };
        (0..count).map(filter).collect()
    }

    /// The filters as they would be tried, whatever the bucket.
    fn in_order(items: &[Item]) -> Vec<Filter> {
        let each = |item: &Item| match item {
            Item::Filter(filter) => vec![filter.clone()],
            Item::Table(table) => table.buckets.iter().flat_map(|b| in_order(b)).collect(),
        };
        items.iter().flat_map(each).collect()
    }

    fn longest(items: &[Item]) -> usize {
        let below = items.iter().filter_map(|item| match item {
            Item::Filter(_) => None,
            Item::Table(table) => table.buckets.iter().map(|b| longest(b)).max(),
        });
        below.max().unwrap_or(0).max(items.len())
    }

    #[test]
    fn lists_that_are_too_long_are_chained_in_order() {
        let mut nothing_to_spend = Budget {
            tables: 0,
            copies: 0,
        };
        let filters = numbered(4_500);
        let items = arrange(filters.clone(), Verdict::Buffer, &mut nothing_to_spend);
        assert_eq!(longest(&items), LONGEST);
        assert_eq!(in_order(&items), filters);
    }

    #[test]
    fn a_thousand_addresses_leave_short_lists() {
        let mut budget = Budget {
            tables: 500,
            copies: 0,
        };
        let items = arrange(numbered(1_000), Verdict::Buffer, &mut budget);
        assert!(longest(&items) <= FEW, "{}", longest(&items));
    }

    #[test]
    fn filters_that_decide_as_what_follows_are_left_out() {
        let mut budget = Budget {
            tables: 500,
            copies: 0,
        };
        assert!(arrange(numbered(1_000), Verdict::Bypass, &mut budget).is_empty());
    }
}
