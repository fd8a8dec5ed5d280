//! What the symbols of a summary are for one goroutine: what a function still needs lies in its frame.

use super::summary::{Arrival, Number, Source, Summary};
use ids::{LoadBias, TargetAddr};
use memory::{MIN_POINTER, Memory, MemoryExt as _};

/// How often memory is followed to learn one number.
const MAX_LOADS: usize = 8;

/// What a function was called with, as far as its caller's frame says.
#[derive(Debug, Clone, Default)]
pub(super) struct Incoming {
    pub(super) arguments: Vec<Option<u64>>,
    pub(super) closure: Option<u64>,
}

impl Incoming {
    /// What either says; `self` where both say something.
    pub(super) fn or(&self, other: &Self) -> Self {
        let count = self.arguments.len().max(other.arguments.len());
        let said = |of: &Self, index| of.arguments.get(index).copied().flatten();
        Self {
            arguments: (0..count)
                .map(|index| said(self, index).or_else(|| said(other, index)))
                .collect(),
            closure: self.closure.or(other.closure),
        }
    }
}

/// One frame of one goroutine on one of the paths that may have led there.
pub(super) struct Resolver<'a> {
    pub(super) summary: &'a Summary,
    pub(super) arrival: &'a Arrival,
    pub(super) memory: &'a dyn Memory,
    pub(super) bias: LoadBias,
    /// Its frame address.
    pub(super) frame: u64,
    pub(super) incoming: &'a Incoming,
    /// What the function that it called was called with, as far as that one's frame says.
    pub(super) outgoing: &'a Incoming,
}

impl Resolver<'_> {
    /// What `number` is.
    pub(super) fn number(&self, number: Number) -> Option<u64> {
        self.follow(number, MAX_LOADS)
    }

    /// The object at `number`, if one can lie there.
    pub(super) fn object(&self, number: Number) -> Option<TargetAddr> {
        let at = self.number(number)?;
        (at >= MIN_POINTER).then_some(TargetAddr(at))
    }

    fn follow(&self, number: Number, loads: usize) -> Option<u64> {
        match number {
            Number::Unknown => None,
            Number::Fixed(bits) => {
                let bias = self.bias.0.wrapping_sub(self.summary.bias.0);
                Some(bits.wrapping_add(bias))
            }
            Number::InFrame(offset) => Some(self.frame.wrapping_add_signed(offset)),
            Number::Symbol(symbol, displacement) => {
                let base = self.base(symbol, loads)?;
                Some(base.wrapping_add(displacement))
            }
        }
    }

    /// What `symbol` stands for: the frame says, or the caller, or memory.
    fn base(&self, symbol: u64, loads: usize) -> Option<u64> {
        if let Some(slots) = self.arrival.slots.get(&symbol) {
            return self.agreed(slots);
        }
        if let Some(base) = self.passed(symbol) {
            return Some(base);
        }
        match *self.summary.sources.get(&symbol)? {
            Source::Argument(index) => *self.incoming.arguments.get(index)?,
            Source::Closure => self.incoming.closure,
            Source::Memory(at) => {
                let at = self.follow(at, loads.checked_sub(1)?)?;
                let at = TargetAddr(at);
                self.memory.read_u64(at).ok()
            }
        }
    }

    /// What `symbol` is by what the frame inside was called with.
    fn passed(&self, symbol: u64) -> Option<u64> {
        let outgoing = &self.outgoing.arguments;
        let mut passed = self.arrival.arguments.iter().zip(outgoing);
        passed.find_map(|(number, word)| match *number {
            Number::Symbol(of, displacement) if of == symbol => {
                Some((*word)?.wrapping_sub(displacement))
            }
            _ => None,
        })
    }

    /// What the function was called with, as far as its own frame says.
    pub(super) fn entered_with(&self) -> Incoming {
        let slots = |symbol: &u64| self.arrival.slots.get(symbol);
        let own = |symbol: &u64| self.agreed(slots(symbol)?);
        Incoming {
            arguments: self.summary.arguments.iter().map(own).collect(),
            closure: None,
        }
    }

    /// What all words say that a symbol was written to.
    fn agreed(&self, slots: &[(i64, u64)]) -> Option<u64> {
        let mut said = slots.iter().map(|(offset, displacement)| {
            let at = TargetAddr(self.frame.wrapping_add_signed(*offset));
            let word = self.memory.read_u64(at).ok()?;
            Some(word.wrapping_sub(*displacement))
        });
        let first = said.next()??;
        said.all(|word| word == Some(first)).then_some(first)
    }
}
