//! What an execution concludes from numbers that may be others for another goroutine.

use std::ops::Range;

use super::super::{
    super::{isa::Condition, maps::Found},
    state::Flags,
    value::truncate,
};
use super::{
    lookup::Key,
    term::{Origin, Term},
};
use memory::MIN_POINTER;

/// A question about numbers alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Relation {
    /// What it is.
    Number(Term),
    /// Whether the two are equal.
    Equal(Term, Term),
    /// Whether the flags say so.
    Holds(Flags, Condition),
    /// Whether its lowest bytes are zero.
    IsZero(Term, u8),
    /// Whether this bit of it is set.
    IsSet(Term, u8),
    /// Whether it can be an address: not nil and not a small offset from it.
    IsAddress(Term),
}

/// A question about numbers, on whose answer the execution depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Question {
    /// About them alone.
    Relation(Relation),
    /// Whether it points into the goroutine's own stack, and how far from its stack pointer.
    OnStack(Term),
    /// Whether a function begins there.
    IsFunction(Term),
}

/// Farther from a stack pointer than any stack reaches.
pub(super) const ELSEWHERE: u64 = 1 << 63;

impl Relation {
    /// The answer, where `number` says what the terms are.
    pub(super) fn answer(self, number: impl Fn(Term) -> u64) -> u64 {
        match self {
            Self::Number(term) => number(term),
            Self::Equal(left, right) => u64::from(number(left) == number(right)),
            Self::Holds(flags, condition) => {
                u64::from(flags.decide(condition, number) == Some(true))
            }
            Self::IsZero(term, width) => u64::from(truncate(number(term), width) == 0),
            Self::IsSet(term, bit) => number(term) >> (bit & 63) & 1,
            Self::IsAddress(term) => u64::from(number(term) >= MIN_POINTER),
        }
    }

    fn map(self, term: impl Fn(Term) -> Term) -> Self {
        match self {
            Self::Number(of) => Self::Number(term(of)),
            Self::Equal(left, right) => Self::Equal(term(left), term(right)),
            Self::Holds(flags, condition) => Self::Holds(flags.map(term), condition),
            Self::IsZero(of, width) => Self::IsZero(term(of), width),
            Self::IsSet(of, bit) => Self::IsSet(term(of), bit),
            Self::IsAddress(of) => Self::IsAddress(term(of)),
        }
    }

    fn terms(self) -> [Term; 2] {
        let none = Term::fixed(0);
        match self {
            Self::Number(term)
            | Self::IsZero(term, _)
            | Self::IsSet(term, _)
            | Self::IsAddress(term) => [term, none],
            Self::Equal(left, right) => [left, right],
            Self::Holds(flags, _) => match flags {
                Flags::Difference { left, right, .. } => [left, right],
                Flags::Result { result, .. } => [result, none],
                Flags::Unknown | Flags::Zero(_) | Flags::Told(_) => [none, none],
            },
        }
    }
}

impl Question {
    /// The same of other terms.
    pub(super) fn map(self, term: impl Fn(Term) -> Term) -> Self {
        match self {
            Self::Relation(relation) => Self::Relation(relation.map(term)),
            Self::OnStack(of) => Self::OnStack(term(of)),
            Self::IsFunction(of) => Self::IsFunction(term(of)),
        }
    }

    /// The answer, where `number` says what the terms are and `ground` what they point to.
    pub(super) fn answer(self, number: impl Fn(Term) -> u64, ground: &impl Ground) -> u64 {
        match self {
            Self::Relation(relation) => relation.answer(number),
            Self::OnStack(term) => ground.on_stack(number(term)).unwrap_or(ELSEWHERE),
            Self::IsFunction(term) => u64::from(ground.is_function(number(term))),
        }
    }

    /// The address that is the same for every goroutine and was asked whether it is on the stack.
    pub(super) const fn of_fixed_place(&self) -> Option<u64> {
        match self {
            Self::OnStack(Term {
                bits,
                origin: Origin::Fixed,
            }) => Some(*bits),
            _ => None,
        }
    }

    /// The numbers it is about.
    pub(super) fn terms(self) -> [Term; 2] {
        match self {
            Self::Relation(relation) => relation.terms(),
            Self::OnStack(term) | Self::IsFunction(term) => [term, Term::fixed(0)],
        }
    }
}

/// What lies at the addresses of one goroutine's memory.
pub trait Ground {
    /// How far above the stack pointer `at` lies (wrapping below it), if it is on the goroutine's
    /// own stack.
    fn on_stack(&self, at: u64) -> Option<u64>;

    /// The parts of its own stack.
    fn stacks(&self) -> [Range<u64>; 2];

    /// Whether a function of the image begins at `at`.
    fn is_function(&self, at: u64) -> bool;

    /// What looking `key` up in the map at `map` comes to; `None` when that cannot be told.
    fn look_up(&self, type_at: u64, map: u64, key: Key<u64>) -> Option<Found>;

    /// The word at `at`, and whether others can write it; `None` if it cannot be read.
    fn word(&self, at: u64) -> Option<(u64, bool)>;

    /// Adds the words `fields` of what lies at `at` to `words`; whether all of them can be read, are not
    /// on the stack, and can be written by those whom the field says.
    fn fields(&self, at: u64, fields: &[Field], words: &mut Vec<u64>) -> bool {
        fields.iter().all(|field| {
            let at = at.wrapping_add(field.offset);
            let word = self.word(at).filter(|_| self.on_stack(at).is_none());
            let known = word.filter(|(_, loaded)| *loaded == field.loaded);
            words.extend(known.map(|(bits, _)| bits));
            known.is_some()
        })
    }
}

/// A word of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Where it lies in the object.
    pub offset: u64,
    /// Whether others can write it.
    pub loaded: bool,
}

impl Field {
    /// How far from the first of several fields that are read together the last one begins at most, in
    /// bytes.
    pub const REACH: u64 = 512;
}
