//! What the result for one goroutine depends on, and whether the same holds for another.

use std::ops::Range;

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
    /// To be kept while memory is the same.
    #[must_use]
    pub fn unread(&self) -> Read {
        let is_read = |step: &&Step| matches!(step, Step::Fields(..));
        let count = self.steps.iter().filter(is_read).count();
        Read {
            by_step: vec![Object::default(); count],
            bases: Bases::default(),
        }
    }

    /// How much there is of it: inputs, answers and addresses.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.steps.len() + self.written.len() + self.objects.len()
    }

    /// If the execution takes the same course for the goroutine that was given `given`: what its
    /// numbers are in place of the others. Its frames must be the same, its stack pointer is `sp`.
    /// `read` is what was read for others on the same memory.
    pub fn serves<'a>(
        &'a self,
        (sp, given): (u64, &[u64]),
        ground: &impl Ground,
        read: &'a mut Read,
    ) -> Option<Translation<'a>> {
        if (sp ^ self.sp) & 7 != 0 || !self.reaches(sp, ground) {
            return None;
        }
        let Read { by_step, bases } = read;
        bases.begin(sp, self.inputs);
        let stacks = ground.stacks();
        let mut by_step = by_step.iter_mut();
        for step in &self.steps {
            match step {
                Step::Input(input) => bases.add(input.number(bases, given, ground)?),
                Step::Fields(at, fields) => {
                    let at = bases.number(*at);
                    let known = by_step.next();
                    if at & 7 != 0 || !same(at, fields, bases, (ground, &stacks), known) {
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
        let sound = !stacks.iter().any(|s| holds_one_of(&self.elsewhere, s))
            && self.written.are_off(&stacks, bases)
            && self.written.stays(bases)
            && self.apart.stays(bases);
        sound.then_some(Translation { one: self, bases })
    }

    /// The same where nothing was read for others.
    #[cfg(test)]
    pub fn applies(&self, sp: u64, given: &[u64], ground: &impl Ground) -> Option<Translation<'_>> {
        self.serves((sp, given), ground, Box::leak(Box::new(self.unread())))
    }

    /// Whether what was looked at of one stack is on the other one too.
    fn reaches(&self, sp: u64, ground: &impl Ground) -> bool {
        let same = |end: u64| ground.on_stack(sp.wrapping_add(end)) == Some(end);
        self.reach.into_iter().flatten().all(same)
    }
}

/// Adds the words `fields` of the object at `at` to the inputs; whether they could be read and are what
/// they were. Many goroutines point to the same objects: `known` is what was read for the last one.
fn same(
    at: u64,
    fields: &[Field],
    bases: &mut Bases,
    (ground, stacks): (&impl Ground, &[Range<u64>; 2]),
    known: Option<&mut Object>,
) -> bool {
    let last = fields.last().map_or(0, |field| field.offset);
    let end = at.saturating_add(last).saturating_add(8);
    let off_stack = |stack: &Range<u64>| end <= stack.start || at >= stack.end;
    let inputs = bases.inputs();
    let Some(known) = known.filter(|_| stacks.iter().all(off_stack)) else {
        return ground.fields(at, fields, inputs);
    };
    if known.at != Some(at) {
        let from = inputs.len();
        if !ground.fields(at, fields, inputs) {
            return false;
        }
        known.at = Some(at);
        known.words.clear();
        known.words.extend(inputs.get(from..).unwrap_or_default());
        return true;
    }
    inputs.extend(&known.words);
    true
}

/// What was read beyond stacks for the last goroutine of which was asked whether an execution takes the
/// same course for it. Memory must not have been looked at anew since.
#[derive(Debug, Default)]
pub struct Read {
    by_step: Vec<Object>,
    /// The numbers of the last one: room for those of the next.
    bases: Bases,
}

/// Words of the object at `at`.
#[derive(Debug, Clone, Default)]
struct Object {
    at: Option<u64>,
    words: Vec<u64>,
}

/// What the numbers of one goroutine are for another.
#[derive(Debug)]
pub struct Translation<'a> {
    one: &'a Dependence,
    bases: &'a Bases,
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
