//! What the result for one goroutine depends on, and whether the same holds for another.

use std::ops::Range;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    lookup::{Lookup, Wanted},
    operation::Compute,
    question::{Ground, Question},
    term::{Origin, Term},
};

/// A number that goroutines at the same place can have different ones of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Input {
    /// One of those that the analysis is given.
    Given(u32),
    /// A word of memory.
    Word {
        /// Where it lies.
        at: Term,
        /// Whether that is on the goroutine's own stack.
        on_stack: bool,
        /// Whether others can write it.
        loaded: bool,
    },
    /// What came of looking a key up.
    LookedUp(Lookup, Wanted),
    /// What was computed from others.
    Computed(Compute, Term, Term),
}

/// What one execution's course and result depend on.
#[derive(Debug)]
pub struct Dependence {
    pub(super) sp: u64,
    /// The part of the stack that was looked at.
    pub(super) reach: Range<u64>,
    /// The inputs, each of which depends on earlier ones only; `None` for those that are not used.
    pub(super) inputs: Vec<(Option<Input>, u64)>,
    /// What was concluded.
    pub(super) answers: Vec<(Question, u64)>,
    /// The words of memory beyond the stack that were written, and how their addresses were
    /// computed: which of these are the same word decides what is read back.
    pub(super) written: FxHashMap<u64, Vec<Term>>,
    /// The same of the objects to which something is done.
    pub(super) objects: FxHashMap<u64, Vec<Term>>,
}

impl Dependence {
    /// How much there is of it: inputs, answers and addresses.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.inputs.len() + self.answers.len() + self.written.len() + self.objects.len()
    }

    /// If the execution takes the same course for the goroutine that was given `given`: what its
    /// numbers are in place of the others. Its frames must be the same, its stack pointer is `sp`.
    pub fn applies(&self, sp: u64, given: &[u64], ground: &impl Ground) -> Option<Translation<'_>> {
        let mut other = Translation {
            one: self,
            moved: sp.wrapping_sub(self.sp),
            inputs: Vec::with_capacity(self.inputs.len()),
        };
        if other.moved & 7 != 0 || !self.reaches(other.moved, ground) {
            return None;
        }
        for (input, _) in &self.inputs {
            let number = match input {
                Some(input) => other.input(input, given, ground)?,
                None => 0,
            };
            other.inputs.push(number);
        }
        let same = |(question, answer): &(Question, u64)| {
            question.answer(|term| other.number(term), ground) == *answer
        };
        if !self.answers.iter().all(same) {
            return None;
        }
        let written = other.kept_apart(&self.written)?;
        let off_stack = |at: &u64| at & 7 == 0 && ground.on_stack(*at).is_none();
        let sound = written.iter().all(off_stack)
            && other.reads_no_more_of(&written)
            && other.kept_apart(&self.objects).is_some();
        sound.then_some(other)
    }

    /// Whether what was looked at of one stack is on the other one too.
    fn reaches(&self, moved: u64, ground: &impl Ground) -> bool {
        let ends = [self.reach.start, self.reach.end.saturating_sub(1)];
        let same =
            |end: u64| ground.on_stack(end.wrapping_add(moved)) == Some(end.wrapping_sub(self.sp));
        self.reach.is_empty() || ends.into_iter().all(same)
    }
}

/// What the numbers of one goroutine are for another.
#[derive(Debug)]
pub struct Translation<'a> {
    one: &'a Dependence,
    /// How far the stack lies from the other.
    moved: u64,
    inputs: Vec<u64>,
}

impl Translation<'_> {
    /// The object in place of that at `at`.
    #[must_use]
    pub fn object(&self, at: u64) -> Option<u64> {
        let term = *self.one.objects.get(&at)?.first()?;
        Some(self.number(term))
    }

    fn number(&self, term: Term) -> u64 {
        match term.origin {
            Origin::Fixed => term.bits,
            Origin::Stack => term.bits.wrapping_add(self.moved),
            Origin::Input(input) => {
                let input = input as usize;
                let one = self.one.inputs.get(input).map_or(0, |(_, bits)| *bits);
                let other = self.inputs.get(input).copied().unwrap_or(0);
                other.wrapping_add(term.bits.wrapping_sub(one))
            }
        }
    }

    fn input(&self, input: &Input, given: &[u64], ground: &impl Ground) -> Option<u64> {
        match *input {
            Input::Given(number) => given.get(number as usize).copied(),
            Input::Word {
                at,
                on_stack,
                loaded,
            } => {
                let other = self.number(at);
                let offset = on_stack.then(|| at.bits.wrapping_sub(self.one.sp));
                if other & 7 != 0 || ground.on_stack(other) != offset {
                    return None;
                }
                let (bits, by_others) = ground.word(other)?;
                (by_others == loaded).then_some(bits)
            }
            Input::LookedUp(ref lookup, wanted) => {
                wanted.of(lookup.find(|term| self.number(term), ground)?)
            }
            Input::Computed(compute, left, right) => {
                Some(compute.of(self.number(left), self.number(right)))
            }
        }
    }

    /// What addresses are for the other goroutine, if those that are equal stay so, and different
    /// ones different.
    fn kept_apart(&self, places: &FxHashMap<u64, Vec<Term>>) -> Option<FxHashSet<u64>> {
        let mut taken = FxHashSet::default();
        for terms in places.values() {
            let mut others = terms.iter().map(|term| self.number(*term));
            let other = others.next()?;
            if !others.all(|same| same == other) || !taken.insert(other) {
                return None;
            }
        }
        Some(taken)
    }

    /// Whether no word that is read from memory is one that was written before for the other
    /// goroutine only.
    fn reads_no_more_of(&self, written: &FxHashSet<u64>) -> bool {
        let mut reads = self.one.inputs.iter().filter_map(|(input, _)| match input {
            Some(Input::Word { at, .. }) => Some(*at),
            _ => None,
        });
        reads.all(|at| {
            self.one.written.contains_key(&at.bits) || !written.contains(&self.number(at))
        })
    }
}
