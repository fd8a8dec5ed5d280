//! What an execution depended on, so that it need not be done again for every goroutine that stands
//! at the same place.
//!
//! Every number carries where it comes from: it is the same for all goroutines (from the code), or
//! displaced from their stack pointer, or from an input: a word of memory, or what was computed
//! from such. Whatever is concluded from a number is asked here and noted with its answer. For
//! another goroutine with the same frames, the inputs are read and computed anew; if all answers are
//! the same, and the same addresses coincide, then its execution would take the same course, and
//! its result is the same with its own numbers.

mod apart;
mod arrange;
mod dependence;
mod lookup;
mod operation;
mod question;
mod recorder;
mod term;
#[cfg(test)]
mod tests;

use std::{cell::RefCell, cmp::Ordering};

pub use dependence::{Dependence, Read};
pub use lookup::{Key, Lookup};
pub use operation::Compute;
pub use question::{Field, Ground};
pub use term::Term;

use dependence::Input;
use lookup::Wanted;
use question::{Question, Relation};
use recorder::{Recorder, bytes_mask};
use term::Origin;

use super::{super::isa::Condition, state::Flags};

/// The address of an aligned word, as it was computed.
#[derive(Debug, Clone, Copy)]
pub struct CellAddr(Term);

impl CellAddr {
    /// The word that `at` points into, and at which of its bytes.
    #[must_use]
    #[inline]
    pub const fn of(at: Term) -> (Self, u8) {
        let lane = at.bits & 7;
        (Self(at.displaced(lane.wrapping_neg())), lane as u8)
    }

    /// The address.
    #[must_use]
    #[inline]
    pub const fn get(self) -> u64 {
        self.0.bits
    }
}

// The same word, however its address was computed.
impl PartialEq for CellAddr {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for CellAddr {}

impl Ord for CellAddr {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.get().cmp(&other.get())
    }
}

impl PartialOrd for CellAddr {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::hash::Hash for CellAddr {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.get().hash(state);
    }
}

/// What had been noted at some point, to go back to.
#[derive(Debug)]
pub struct Mark(Option<Recorder>);

/// Knows the numbers, and notes what is concluded from them.
#[derive(Debug)]
pub struct Trace {
    recorder: Option<RefCell<Recorder>>,
}

impl Trace {
    /// Notes nothing.
    #[must_use]
    pub const fn off() -> Self {
        Self { recorder: None }
    }

    /// Notes everything, for a goroutine with the stack pointer `sp`.
    #[must_use]
    pub fn on(sp: u64) -> Self {
        Self {
            recorder: Some(RefCell::new(Recorder::new(sp))),
        }
    }

    /// Notes everything, and takes no numbers for one where paths meet that only happen to be equal for
    /// this goroutine: less is known, but it depends on less.
    #[must_use]
    pub fn telling_apart(sp: u64) -> Self {
        let trace = Self::on(sp);
        trace.noted(Recorder::tell_apart);
        trace
    }

    /// What the execution depended on; `None` if that was not noted, or cannot be.
    #[must_use]
    pub fn finish(self) -> Option<Dependence> {
        self.recorder?.into_inner().finish()
    }

    /// What has been noted so far.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.recorder.as_ref().map(|notes| notes.borrow().clone()))
    }

    /// Forgets what was noted since `mark`: nothing of it is made use of.
    pub fn back_to(&self, mark: Mark) {
        if let (Some(notes), Some(before)) = (&self.recorder, mark.0) {
            *notes.borrow_mut() = before;
        }
    }

    /// The number `bits`, which the analysis is given as number `number`.
    #[must_use]
    pub fn given(&self, number: usize, bits: u64) -> Term {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.noted(|notes| notes.input(Input::Given(number), bits))
            .unwrap_or(Term::fixed(bits))
    }

    /// The address `bits` on the goroutine's own stack.
    #[must_use]
    pub const fn on_own_stack(&self, bits: u64) -> Term {
        let origin = if self.recorder.is_some() {
            Origin::Stack
        } else {
            Origin::Fixed
        };
        Term { bits, origin }
    }

    /// What `compute` makes of `left` and `right`.
    #[must_use]
    pub fn compute(&self, compute: Compute, left: Term, right: Term) -> Term {
        if left.is_fixed() && right.is_fixed() {
            return Term::fixed(compute.of(left.bits, right.bits));
        }
        self.noted(|notes| notes.compute(compute, left, right))
            .unwrap_or_default()
    }

    /// What `term` is: the course may depend on that in any way.
    #[must_use]
    pub fn number(&self, term: Term) -> u64 {
        self.ask(Relation::Number(term))
    }

    /// Whether the two are equal.
    #[must_use]
    pub fn equal(&self, left: Term, right: Term) -> bool {
        left == right || self.ask(Relation::Equal(left, right)) == 1
    }

    /// What stands for both numbers where two paths meet, if they are equal.
    #[must_use]
    #[inline]
    pub fn meet(&self, left: Term, right: Term) -> Option<Term> {
        if left == right {
            return Some(left);
        }
        // Knowing less than another goroutine's execution would is no mistake: what differs here is
        // not asked.
        if left.bits != right.bits {
            return None;
        }
        self.noted(|notes| notes.meet(left, right))?
    }

    /// What stands for both words where two paths meet, and the bytes in which they agree, as a mask
    /// of their bits.
    #[must_use]
    pub fn meet_bytes(&self, left: Term, right: Term) -> (Term, u64) {
        if let Some(same) = self.meet(left, right) {
            return (same, u64::MAX);
        }
        if left.is_fixed() && right.is_fixed() {
            let differ = left.bits ^ right.bits;
            let agrees = |byte: &u8| differ & bytes_mask(*byte, 1) == 0;
            let agreed = (0..8).filter(agrees).map(|b| bytes_mask(b, 1)).sum();
            return (left, agreed);
        }
        let agreed = self.noted(|notes| notes.agreement(left, right));
        (left, agreed.unwrap_or(0))
    }

    /// Whether `flags` say that `condition` holds; `None` if they do not say.
    #[must_use]
    pub fn holds(&self, flags: Flags, condition: Condition) -> Option<bool> {
        let says = flags.decide(condition, |term| term.bits).is_some();
        says.then(|| self.ask(Relation::Holds(flags, condition)) == 1)
    }

    /// Whether the lowest `width` bytes of `term` are zero.
    #[must_use]
    pub fn is_zero(&self, term: Term, width: u8) -> bool {
        self.ask(Relation::IsZero(term, width)) == 1
    }

    /// Whether bit `bit` of `term` is set.
    #[must_use]
    pub fn is_set(&self, term: Term, bit: u8) -> bool {
        self.ask(Relation::IsSet(term, bit)) == 1
    }

    /// Whether `term` can be an address: not nil and not a small offset from it.
    #[must_use]
    pub fn is_address(&self, term: Term) -> bool {
        self.ask(Relation::IsAddress(term)) == 1
    }

    /// Where on the goroutine's own stack `term` points to.
    #[must_use]
    pub fn stack_address(&self, term: Term, ground: &impl Ground) -> Option<u64> {
        let answer = ground.on_stack(term.bits);
        match (term.origin, answer) {
            (Origin::Stack, Some(_)) => {}
            (Origin::Fixed, Some(_)) | (Origin::Stack, None) => self.fail(),
            (_, answer) => {
                let answer = answer.unwrap_or(question::ELSEWHERE);
                self.answered(Question::OnStack(term), answer);
            }
        }
        answer.map(|_| term.bits)
    }

    /// The function that begins at `term`, which the course may depend on in any way.
    #[must_use]
    pub fn function(&self, term: Term, ground: &impl Ground) -> Option<u64> {
        if ground.is_function(term.bits) {
            return Some(self.number(term));
        }
        self.answered(Question::IsFunction(term), 0);
        None
    }

    /// The word at `at` is written, or read after it was.
    pub fn written(&self, at: CellAddr, ground: &impl Ground) {
        self.noted(|notes| notes.written(at.0, ground.on_stack(at.get()).is_some()));
    }

    /// What lies at `at`, as the memory below the path's own writes has it: `word`, which others
    /// can write if `loaded`.
    #[must_use]
    pub fn word(&self, at: CellAddr, on_stack: bool, word: u64, loaded: bool) -> Term {
        self.noted(|notes| notes.word(at.0, on_stack, word, loaded))
            .unwrap_or(Term::fixed(word))
    }

    /// What looking up comes to: where the element lies, and whether it is there, as far as that can
    /// be told.
    #[must_use]
    pub fn look_up(&self, lookup: &Lookup, ground: &impl Ground) -> [Option<Term>; 2] {
        let found = lookup.find(|term| term.bits, ground);
        [Wanted::Element, Wanted::Presence].map(|wanted| {
            let bits = wanted.of(found?)?;
            let input = || Input::LookedUp(lookup.clone(), wanted);
            let noted = self.noted(|notes| notes.input(input(), bits));
            Some(noted.unwrap_or(Term::fixed(bits)))
        })
    }

    /// The object at `at`, to which something is done.
    #[must_use]
    pub fn object(&self, at: Term) -> u64 {
        self.noted(|notes| notes.object(at));
        at.bits
    }

    /// The result depends on something that cannot be noted.
    pub fn fail(&self) {
        self.noted(Recorder::fail);
    }

    fn ask(&self, relation: Relation) -> u64 {
        let answer = relation.answer(|term| term.bits);
        self.answered(Question::Relation(relation), answer);
        answer
    }

    fn answered(&self, question: Question, answer: u64) {
        self.noted(|notes| notes.answered(question, answer));
    }

    fn noted<R>(&self, note: impl FnOnce(&mut Recorder) -> R) -> Option<R> {
        self.recorder
            .as_ref()
            .map(|notes| note(&mut notes.borrow_mut()))
    }
}
