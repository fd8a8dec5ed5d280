//! Addresses that are different for one goroutine and must be for another.
//!
//! What lies so far from one base lies apart from all else that is counted from the same base,
//! whatever the base is. Only what is counted from different bases can fall together: most often it
//! is enough to see that the ranges around all bases lie apart.

use std::ops::Range;

use rustc_hash::{FxHashMap, FxHashSet};

use super::term::{Bases, Origin, Term};

/// Bytes of a word.
const WORD: u64 = 8;
/// So many parts of memory need no room of their own to be compared.
const FEW: usize = 64;
/// Pairs of parts of memory at most that are compared one by one.
const MANY: usize = 4096;

/// Words that are told apart, by terms that are displacements from their origins.
#[derive(Debug, Default)]
pub(super) struct Apart {
    /// Those that lie elsewhere for other goroutines, and words that are not among them and must not be
    /// for another goroutine. Those come first that have words of the first kind.
    hulls: Vec<Hull>,
    /// How many have.
    told_apart: usize,
    /// Those that lie where they are, ascending.
    fixed: Vec<u64>,
    /// The widest part of memory between two of these.
    gap: Range<u64>,
    /// Other ways in which the address of the same word is computed.
    same: Vec<(Term, Term)>,
}

/// The part of memory in which words lie whose addresses are counted from one origin.
#[derive(Debug)]
struct Hull {
    lowest: Term,
    /// How far the highest word ends above the beginning of the lowest.
    len: u64,
    /// How far above the beginning of the lowest each lies that is told apart, ascending.
    words: Vec<u64>,
    /// How far each of these lies above a whole word if the lowest is one; `None` where that differs.
    lane: Option<u64>,
    /// The same of those that are not among them.
    others: Vec<u64>,
}

impl Apart {
    /// Of the words each of which has the terms of one element of `words`, and of `others`.
    pub(super) fn new<'a>(
        words: impl Iterator<Item = &'a Vec<Term>>,
        others: impl Iterator<Item = Term>,
    ) -> Self {
        let mut this = Self::default();
        let mut counted: FxHashSet<Term> = FxHashSet::default();
        for terms in words {
            let Some((first, more)) = terms.split_first() else {
                continue;
            };
            if first.is_fixed() {
                this.fixed.push(first.bits);
            } else {
                counted.insert(*first);
            }
            this.same.extend(more.iter().map(|term| (*first, *term)));
        }
        this.fixed.sort_unstable();
        this.gap = widest_gap(&this.fixed);
        let others: FxHashSet<Term> = others.filter(|term| !counted.contains(term)).collect();
        let mut by_origin: FxHashMap<Origin, (Vec<u64>, Vec<u64>)> = FxHashMap::default();
        for term in counted {
            by_origin.entry(term.origin).or_default().0.push(term.bits);
        }
        for term in others {
            by_origin.entry(term.origin).or_default().1.push(term.bits);
        }
        let hulls = by_origin.into_iter();
        this.hulls = hulls
            .map(|(origin, (words, others))| Hull::of(origin, words, others))
            .collect();
        this.hulls.sort_by_key(|hull| hull.words.is_empty());
        this.told_apart = this.hulls.partition_point(|hull| !hull.words.is_empty());
        this
    }

    /// How many words there are.
    pub(super) fn len(&self) -> usize {
        let words = self.hulls.iter().map(|hull| hull.words.len());
        words.sum::<usize>() + self.fixed.len()
    }

    /// Whether for the goroutine of `bases` what was one word still is, what was different words still
    /// are, and the others are none of them.
    pub(super) fn stays(&self, bases: &Bases) -> bool {
        let mut same = self.same.iter();
        if !same.all(|(one, other)| bases.number(*one) == bases.number(*other)) {
            return false;
        }
        let mut room = [const { 0..0 }; FEW];
        let mut many = Vec::new();
        let ranges = if let Some(few) = room.get_mut(..self.hulls.len()) {
            few
        } else {
            many.resize(self.hulls.len(), 0..0);
            &mut many[..]
        };
        for (place, hull) in ranges.iter_mut().zip(&self.hulls) {
            match hull.range(bases) {
                Some(range) if self.is_in_gap(&range) => *place = range,
                Some(range) if !hull.holds_one_of(&self.fixed, &range) => *place = range,
                _ => return false,
            }
        }
        if self.told_apart.saturating_mul(ranges.len()) <= MANY {
            self.are_apart(ranges)
        } else {
            self.are_many_apart(ranges)
        }
    }

    /// Whether none of the words that lie where they are is in `range`, as most often can be told at once.
    const fn is_in_gap(&self, range: &Range<u64>) -> bool {
        self.gap.start <= range.start && range.end <= self.gap.end
    }

    /// Whether the hulls, which lie at `ranges`, have no word in common that is told apart: each that has such
    /// words is compared with each.
    fn are_apart(&self, ranges: &[Range<u64>]) -> bool {
        let all = || self.hulls.iter().zip(ranges);
        let mut told_apart = all().take(self.told_apart).enumerate();
        told_apart.all(|(number, one)| {
            let mut others = all().skip(number + 1);
            others.all(|other| are_apart(one.1, other.1) || share_nothing(one, other))
        })
    }

    /// The same by what lies next to each other.
    fn are_many_apart(&self, ranges: &[Range<u64>]) -> bool {
        let mut ascending: Vec<_> = self.hulls.iter().zip(ranges).collect();
        ascending.sort_unstable_by_key(|(_, range)| range.start);
        let mut open = &ascending[..];
        while let [one, higher @ ..] = open {
            let mut over = higher.iter().take_while(|next| next.1.start < one.1.end);
            if !over.all(|other| share_nothing(*one, *other)) {
                return false;
            }
            open = higher;
        }
        true
    }

    /// Whether all words are whole ones and none of them on the `stacks`.
    pub(super) fn are_off(&self, stacks: &[Range<u64>; 2], bases: &Bases) -> bool {
        let mut counted = self.hulls.iter().filter(|hull| !hull.words.is_empty());
        let all = counted.all(|hull| {
            let Some(range) = hull.range(bases) else {
                return false;
            };
            let above = |stack: &Range<u64>| {
                let words = hull.words.iter().map(|word| range.start + word);
                are_apart(stack, &range) || !words.into_iter().any(|word| stack.contains(&word))
            };
            let whole = |lane| (range.start + lane) % WORD == 0;
            hull.lane.is_some_and(whole) && stacks.iter().all(above)
        });
        all && !stacks.iter().any(|stack| holds_one_of(&self.fixed, stack))
    }
}

/// Whether one of `words`, which are in ascending order, lies in `range`.
pub(super) fn holds_one_of(words: &[u64], range: &Range<u64>) -> bool {
    let first = words.partition_point(|word| *word < range.start);
    words.get(first).is_some_and(|word| *word < range.end)
}

/// The widest part of memory that lies between two of the `words`, which are in ascending order.
fn widest_gap(words: &[u64]) -> Range<u64> {
    let between = words.iter().zip(words.iter().skip(1));
    let gaps = between.map(|(low, high)| low.saturating_add(WORD)..*high);
    let widest = gaps.max_by_key(|gap| gap.end.saturating_sub(gap.start));
    widest.unwrap_or(0..0)
}

/// Whether no word of either hull, each of which lies at its range, is one of the other's that are told
/// apart.
fn share_nothing(one: (&Hull, &Range<u64>), other: (&Hull, &Range<u64>)) -> bool {
    let (low, high) = if one.1.start <= other.1.start {
        (one, other)
    } else {
        (other, one)
    };
    low.0.is_apart(high.0, high.1.start - low.1.start)
}

const fn are_apart(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.end <= other.start || other.end <= one.start
}

/// Whether one of `words`, each of which lies so much further on, is one of `others`: both ascend.
fn meet(words: &[u64], further: u64, others: &[u64]) -> bool {
    let mut others = others;
    words.iter().any(|word| {
        let word = word.saturating_add(further);
        while let [other, higher @ ..] = others
            && *other < word
        {
            others = higher;
        }
        others.first() == Some(&word)
    })
}

impl Hull {
    /// Of words so far from `origin`.
    fn of(origin: Origin, mut words: Vec<u64>, mut others: Vec<u64>) -> Self {
        // Displacements may be negative.
        let all = words.iter().chain(&others);
        let lowest = all.copied().min_by_key(|bits| bits.cast_signed());
        let lowest = lowest.unwrap_or(0);
        for offsets in [&mut words, &mut others] {
            for offset in offsets.iter_mut() {
                *offset = offset.wrapping_sub(lowest);
            }
            offsets.sort_unstable();
        }
        let lane = words.first().map_or(0, |word| word % WORD);
        let together = words.iter().all(|word| word % WORD == lane);
        let highest = words.last().max(others.last()).copied().unwrap_or(0);
        Self {
            lowest: Term {
                bits: lowest,
                origin,
            },
            len: highest.saturating_add(WORD),
            lane: together.then_some(lane),
            words,
            others,
        }
    }

    /// Where it lies; `None` if it goes beyond the end of memory.
    fn range(&self, bases: &Bases) -> Option<Range<u64>> {
        let start = bases.number(self.lowest);
        Some(start..start.checked_add(self.len)?)
    }

    /// Whether no word of either is one of the other's that are told apart: the other lies so far `above`.
    fn is_apart(&self, other: &Self, above: u64) -> bool {
        !meet(&other.words, above, &self.words)
            && !meet(&other.words, above, &self.others)
            && !meet(&other.others, above, &self.words)
    }

    /// Whether one of the `fixed` words, which are in ascending order, is one of it, which lies in
    /// `range`.
    fn holds_one_of(&self, fixed: &[u64], range: &Range<u64>) -> bool {
        // What is fixed itself lies where it did.
        if self.lowest.is_fixed() || !holds_one_of(fixed, range) {
            return false;
        }
        let is_fixed = |word: &u64| fixed.binary_search(&(range.start + word)).is_ok();
        self.words.iter().chain(&self.others).any(is_fixed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Words near each other, so that some fall together, counted from the stack pointer, from one of
    /// two inputs, or fixed.
    fn term() -> impl Strategy<Value = Term> {
        let origin = prop_oneof![
            Just(Origin::Fixed),
            Just(Origin::Stack),
            (0_u32..2).prop_map(Origin::Input),
        ];
        (origin, -4_i64..4).prop_map(|(origin, word)| Term {
            bits: (8 * word).cast_unsigned().wrapping_add(match origin {
                Origin::Fixed => BASE,
                Origin::Stack | Origin::Input(_) => 0,
            }),
            origin,
        })
    }

    const BASE: u64 = 0x10000;

    fn bases(words: [u64; 3]) -> Bases {
        let [sp, one, two] = words.map(|word| BASE + 8 * word);
        let mut bases = Bases::default();
        bases.begin(sp, 2);
        bases.add(one);
        bases.add(two);
        bases
    }

    proptest! {
        #[test]
        fn agrees_with_comparing_each_word_with_each(
            words in prop::collection::btree_map(0_u64..1000, term(), 0..6),
            others in prop::collection::vec(term(), 0..6),
            at in [0_u64..12, 0..12, 0..12],
            stack in 0_u64..24,
        ) {
            // What is told apart has different terms.
            let mut words: Vec<Term> = words.into_values().collect();
            let mut seen = FxHashSet::default();
            words.retain(|term| seen.insert(*term));
            let others: Vec<Term> = others.into_iter().filter(|term| !seen.contains(term)).collect();
            let each: Vec<Vec<Term>> = words.iter().map(|term| vec![*term]).collect();
            let apart = Apart::new(each.iter(), others.iter().copied());
            let bases = bases(at);
            let numbers: Vec<u64> = words.iter().map(|term| bases.number(*term)).collect();
            let distinct: FxHashSet<u64> = numbers.iter().copied().collect();
            let free = |term: &Term| !distinct.contains(&bases.number(*term));
            let stays = distinct.len() == numbers.len() && others.iter().all(free);
            prop_assert_eq!(apart.stays(&bases), stays);
            let ranges: Option<Vec<_>> = apart.hulls.iter().map(|hull| hull.range(&bases)).collect();
            if let Some(ranges) = ranges {
                prop_assert_eq!(apart.are_apart(&ranges), apart.are_many_apart(&ranges));
            }
            let stacks = [BASE + 8 * stack - 64..BASE + 8 * stack, 0..0];
            let off = !numbers.iter().any(|number| stacks[0].contains(number));
            prop_assert_eq!(apart.are_off(&stacks, &bases), off);
        }
    }

    #[test]
    fn what_was_one_word_must_be_one_word() {
        let [one, two] = [0, 1].map(|input| Term {
            bits: 8,
            origin: Origin::Input(input),
        });
        let terms = vec![one, two];
        let apart = Apart::new(std::iter::once(&terms), std::iter::empty());
        assert!(apart.stays(&bases([0, 3, 3])));
        assert!(!apart.stays(&bases([0, 3, 4])));
    }

    #[test]
    fn a_word_that_is_no_whole_one_is_refused() {
        let terms = vec![Term {
            bits: 4,
            origin: Origin::Input(0),
        }];
        let apart = Apart::new(std::iter::once(&terms), std::iter::empty());
        assert!(!apart.are_off(&[0..8, 0..0], &bases([0, 1, 2])));
    }
}
