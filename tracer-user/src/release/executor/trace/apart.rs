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

/// Words that are told apart, by terms that are displacements from their origins.
#[derive(Debug, Default)]
pub(super) struct Apart {
    /// Those that lie elsewhere for other goroutines, each once.
    words: Vec<Term>,
    /// Those that lie where they are, ascending.
    fixed: Vec<u64>,
    /// Other ways in which the address of the same word is computed.
    same: Vec<(Term, Term)>,
    /// Words that are not among them and must not be for another goroutine.
    others: Vec<Term>,
    /// What lies around each origin of all these but the fixed.
    hulls: Vec<Hull>,
}

/// The part of memory in which words lie whose addresses are counted from one origin.
#[derive(Debug, Clone, Copy)]
struct Hull {
    lowest: Term,
    /// How far the highest word ends above the beginning of the lowest.
    len: u64,
    /// Whether one of them is among those that are told apart.
    counts: bool,
}

impl Apart {
    /// Of the words each of which has the terms of one element of `words`, and of `others`.
    pub(super) fn new<'a>(
        words: impl Iterator<Item = &'a Vec<Term>>,
        others: impl Iterator<Item = Term>,
    ) -> Self {
        let mut this = Self::default();
        for terms in words {
            let Some((first, more)) = terms.split_first() else {
                continue;
            };
            match first.origin {
                Origin::Fixed => this.fixed.push(first.bits),
                Origin::Stack | Origin::Input(_) => this.words.push(*first),
            }
            this.same.extend(more.iter().map(|term| (*first, *term)));
        }
        this.fixed.sort_unstable();
        let counted: FxHashSet<Term> = this.words.iter().copied().collect();
        let others: FxHashSet<Term> = others.filter(|term| !counted.contains(term)).collect();
        this.others = others.into_iter().collect();
        let mut hulls: FxHashMap<Origin, Hull> = FxHashMap::default();
        let words = this.words.iter().map(|term| (*term, true));
        for (term, counts) in words.chain(this.others.iter().map(|term| (*term, false))) {
            let hull = hulls.entry(term.origin);
            let hull = hull.or_insert_with(|| Hull::of(term, counts));
            hull.take_in(term, counts);
        }
        this.hulls = hulls.into_values().collect();
        this
    }

    /// How many words there are.
    pub(super) fn len(&self) -> usize {
        self.words.len() + self.fixed.len()
    }

    /// Whether for the goroutine of `bases` what was one word still is, what was different words still
    /// are, and the others are none of them.
    pub(super) fn stays(&self, bases: &Bases) -> bool {
        let mut same = self.same.iter();
        if !same.all(|(one, other)| bases.number(*one) == bases.number(*other)) {
            return false;
        }
        self.lie_apart(bases) || {
            let mut words: Vec<u64> = self.words.iter().map(|term| bases.number(*term)).collect();
            words.sort_unstable();
            let is_double = |pair: &[u64]| pair[0] == pair[1];
            let is_fixed = |word: &u64| self.fixed.binary_search(word).is_ok();
            let is_among = |term: &Term| {
                let word = bases.number(*term);
                is_fixed(&word) || words.binary_search(&word).is_ok()
            };
            !words.windows(2).any(is_double)
                && !words.iter().any(is_fixed)
                && !self.others.iter().any(is_among)
        }
    }

    /// Whether all words are whole ones and none of them on the `stacks`.
    pub(super) fn are_off(&self, stacks: &[Range<u64>; 2], bases: &Bases) -> bool {
        let is_off = |range: &Range<u64>| stacks.iter().all(|stack| are_apart(stack, range));
        let mut counted = self.hulls.iter().filter(|hull| hull.counts);
        let all = counted.all(|hull| hull.range(bases).is_some_and(|range| is_off(&range)));
        let is_sound = |word: u64| {
            let of_stack = |stack: &Range<u64>| stack.contains(&word);
            word.is_multiple_of(WORD) && (all || !stacks.iter().any(of_stack))
        };
        self.words.iter().all(|term| is_sound(bases.number(*term)))
            && !stacks.iter().any(|stack| holds_one_of(&self.fixed, stack))
    }

    /// Whether the ranges around all origins lie apart, as far as that matters.
    fn lie_apart(&self, bases: &Bases) -> bool {
        let ranges = self.hulls.iter();
        let ranges = ranges.map(|hull| Some((hull.range(bases)?, hull)));
        let Some(mut ranges) = ranges.collect::<Option<Vec<_>>>() else {
            return false;
        };
        ranges.sort_unstable_by_key(|(range, _)| range.start);
        let (mut end, mut counted_end) = (0, 0);
        ranges.into_iter().all(|(range, hull)| {
            let apart = range.start >= if hull.counts { end } else { counted_end };
            end = end.max(range.end);
            if hull.counts {
                counted_end = counted_end.max(range.end);
            }
            apart && (hull.lowest.is_fixed() || !holds_one_of(&self.fixed, &range))
        })
    }
}

/// Whether one of `words`, which are in ascending order, lies in `range`.
pub(super) fn holds_one_of(words: &[u64], range: &Range<u64>) -> bool {
    let first = words.partition_point(|word| *word < range.start);
    words.get(first).is_some_and(|word| *word < range.end)
}

const fn are_apart(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.end <= other.start || other.end <= one.start
}

impl Hull {
    const fn of(term: Term, counts: bool) -> Self {
        Self {
            lowest: term,
            len: WORD,
            counts,
        }
    }

    fn take_in(&mut self, term: Term, counts: bool) {
        self.counts |= counts;
        // Displacements may be negative.
        let below = self.lowest.bits.wrapping_sub(term.bits);
        if below.cast_signed() > 0 {
            self.lowest = term;
            self.len = self.len.saturating_add(below);
        } else {
            self.len = self.len.max(below.wrapping_neg().saturating_add(WORD));
        }
    }

    /// Where it lies; `None` if that is nowhere.
    fn range(&self, bases: &Bases) -> Option<Range<u64>> {
        let start = bases.number(self.lowest);
        Some(start..start.checked_add(self.len)?)
    }
}
