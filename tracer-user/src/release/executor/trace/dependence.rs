//! What the result for one goroutine depends on, and whether the same holds for another.

use rustc_hash::FxHashMap;

use super::{
    apart::{Apart, holds_one_of},
    lookup::{Lookup, Wanted},
    operation::Compute,
    question::{Field, Ground, Question},
    term::{Bases, Term},
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
        /// How far that is above the stack pointer, if it is on the goroutine's own stack.
        on_stack: Option<u64>,
        /// Whether others can write it.
        loaded: bool,
    },
    /// What came of looking a key up.
    LookedUp(Lookup, Wanted),
    /// What was computed from others.
    Computed(Compute, Term, Term),
}

/// What one execution's course and result depend on. All of its terms are displacements from their
/// origins.
#[derive(Debug)]
pub struct Dependence {
    pub(super) sp: u64,
    /// The first and the last byte of the stack that were looked at, counted from the stack pointer.
    pub(super) reach: Option<[u64; 2]>,
    /// The cheapest first where that can be chosen.
    pub(super) steps: Vec<Step>,
    /// How many inputs there are.
    pub(super) inputs: usize,
    /// Addresses that are the same for all, ascending: none is on the stack.
    pub(super) elsewhere: Vec<u64>,
    /// The words of memory beyond the stack that were written, and those that were read: which of
    /// these are the same word decides what is read back.
    pub(super) written: Apart,
    /// The objects to which something is done, and where each lies.
    pub(super) apart: Apart,
    pub(super) objects: FxHashMap<u64, Term>,
}

/// What is asked of another goroutine.
#[derive(Debug)]
pub(super) enum Step {
    /// The next input.
    Input(Input),
    /// The next inputs: words of memory beyond the stack, the first of which lies here.
    Fields(Term, Box<[Field]>),
    /// The answer must be this.
    Ask(Question, u64),
}

impl Dependence {
    /// How much there is of it: inputs, answers and addresses.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.steps.len() + self.written.len() + self.objects.len()
    }

    /// If the execution takes the same course for the goroutine that was given `given`: what its
    /// numbers are in place of the others. Its frames must be the same, its stack pointer is `sp`.
    pub fn applies(&self, sp: u64, given: &[u64], ground: &impl Ground) -> Option<Translation<'_>> {
        if (sp ^ self.sp) & 7 != 0 || !self.reaches(sp, ground) {
            return None;
        }
        let mut bases = Bases::new(sp, self.inputs);
        for step in &self.steps {
            match step {
                Step::Input(input) => bases.add(input.number(&bases, given, ground)?),
                Step::Fields(at, fields) => {
                    let at = bases.number(*at);
                    if at & 7 != 0 || !ground.fields(at, fields, bases.inputs()) {
                        return None;
                    }
                }
                Step::Ask(question, answer) => {
                    let now = question.answer(|term| bases.number(term), ground);
                    if now != *answer {
                        return None;
                    }
                }
            }
        }
        let stacks = ground.stacks();
        let sound = !stacks.iter().any(|s| holds_one_of(&self.elsewhere, s))
            && self.written.are_off(&stacks, &bases)
            && self.written.stays(&bases)
            && self.apart.stays(&bases);
        sound.then_some(Translation { one: self, bases })
    }

    /// Whether what was looked at of one stack is on the other one too.
    fn reaches(&self, sp: u64, ground: &impl Ground) -> bool {
        let same = |end: u64| ground.on_stack(sp.wrapping_add(end)) == Some(end);
        self.reach.into_iter().flatten().all(same)
    }
}

/// What the numbers of one goroutine are for another.
#[derive(Debug)]
pub struct Translation<'a> {
    one: &'a Dependence,
    bases: Bases,
}

impl Translation<'_> {
    /// The object in place of that at `at`.
    #[must_use]
    pub fn object(&self, at: u64) -> Option<u64> {
        let term = *self.one.objects.get(&at)?;
        Some(self.bases.number(term))
    }
}

impl Input {
    /// What it depends on.
    pub(super) fn terms(&self) -> [Term; 3] {
        let none = Term::fixed(0);
        match self {
            Self::Given(_) => [none; 3],
            Self::Word { at, .. } => [*at, none, none],
            Self::LookedUp(lookup, _) => lookup.terms(),
            Self::Computed(_, left, right) => [*left, *right, none],
        }
    }

    /// The same of other terms.
    pub(super) fn map(&self, term: impl Fn(Term) -> Term) -> Self {
        match self {
            Self::Given(number) => Self::Given(*number),
            Self::Word {
                at,
                on_stack,
                loaded,
            } => Self::Word {
                at: term(*at),
                on_stack: *on_stack,
                loaded: *loaded,
            },
            Self::LookedUp(lookup, wanted) => Self::LookedUp(lookup.map(term), *wanted),
            Self::Computed(compute, left, right) => {
                Self::Computed(*compute, term(*left), term(*right))
            }
        }
    }

    /// What it is for the goroutine of `bases`.
    fn number(&self, bases: &Bases, given: &[u64], ground: &impl Ground) -> Option<u64> {
        match *self {
            Self::Given(number) => given.get(number as usize).copied(),
            Self::Word {
                at,
                on_stack,
                loaded,
            } => {
                let other = bases.number(at);
                if other & 7 != 0 || ground.on_stack(other) != on_stack {
                    return None;
                }
                let (bits, by_others) = ground.word(other)?;
                (by_others == loaded).then_some(bits)
            }
            Self::LookedUp(ref lookup, wanted) => {
                wanted.of(lookup.find(|term| bases.number(term), ground)?)
            }
            Self::Computed(compute, left, right) => {
                Some(compute.of(bases.number(left), bases.number(right)))
            }
        }
    }
}
