//! One path's state: registers, flags, written memory, and what the path has done to locks.

use std::sync::Arc;

use super::{
    super::{
        code::Routine,
        isa::{Condition, REGISTERS, Register},
    },
    cells::Cells,
    effects::History,
    hash::hash_of,
    memory::World,
    possible::Possible,
    progress::Meeting,
    returns::Returns,
    trace::Term,
    value::{Value, sign_extend, truncate},
    watch::Met,
    wide::Wide,
};

/// What the last comparison left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flags {
    /// Not known.
    Unknown,
    /// Of `left - right`.
    Difference {
        /// First operand.
        left: Term,
        /// Second operand.
        right: Term,
        /// Their bytes.
        width: u8,
    },
    /// Of a result without carry and overflow.
    Result {
        /// The result.
        result: Term,
        /// Its bytes.
        width: u8,
        /// Whether carry and overflow are zero, or not known.
        logical: bool,
    },
    /// Only whether the result is zero is known.
    Zero(bool),
    /// Only what branches on the way have told.
    Told(Possible),
}

impl Flags {
    /// The same of other terms.
    #[must_use]
    pub fn map(self, term: impl Fn(Term) -> Term) -> Self {
        match self {
            Self::Difference { left, right, width } => Self::Difference {
                left: term(left),
                right: term(right),
                width,
            },
            Self::Result {
                result,
                width,
                logical,
            } => Self::Result {
                result: term(result),
                width,
                logical,
            },
            Self::Unknown | Self::Zero(_) | Self::Told(_) => self,
        }
    }

    /// The same on the side of a branch where `condition` holds, or does not: jumps leave the flags as
    /// they are, so another branch on them goes the same way.
    #[must_use]
    pub fn told(self, condition: Condition, holds: bool) -> Self {
        match self {
            Self::Unknown => Self::Told(Possible::ANY.told(condition, holds)),
            Self::Told(possible) => Self::Told(possible.told(condition, holds)),
            known => known,
        }
    }

    /// Whether `condition` holds for what `number` says that the operands are. Whether that can be
    /// told does not depend on what they are.
    #[must_use]
    pub fn decide(self, condition: Condition, number: impl Fn(Term) -> u64) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Told(possible) => possible.decide(condition),
            Self::Zero(zero) => match condition {
                Condition::Equal => Some(zero),
                Condition::NotEqual => Some(!zero),
                _ => None,
            },
            Self::Difference { left, right, width } => {
                compare(number(left), number(right), width, condition)
            }
            Self::Result {
                result,
                width,
                logical,
            } => {
                let bits = number(result);
                let signed = sign_extend(bits, width).cast_signed();
                match condition {
                    Condition::Equal => Some(truncate(bits, width) == 0),
                    Condition::NotEqual => Some(truncate(bits, width) != 0),
                    Condition::Negative => Some(signed < 0),
                    Condition::NotNegative => Some(signed >= 0),
                    condition if logical => compare(bits, 0, width, condition),
                    _ => None,
                }
            }
        }
    }
}

fn compare(left: u64, right: u64, width: u8, condition: Condition) -> Option<bool> {
    let (l, r) = (truncate(left, width), truncate(right, width));
    let (sl, sr) = (
        sign_extend(left, width).cast_signed(),
        sign_extend(right, width).cast_signed(),
    );
    let difference = sign_extend(left.wrapping_sub(right), width).cast_signed();
    Some(match condition {
        Condition::Equal => l == r,
        Condition::NotEqual => l != r,
        Condition::Below => l < r,
        Condition::BelowOrEqual => l <= r,
        Condition::Above => l > r,
        Condition::AboveOrEqual => l >= r,
        Condition::Less => sl < sr,
        Condition::LessOrEqual => sl <= sr,
        Condition::Greater => sl > sr,
        Condition::GreaterOrEqual => sl >= sr,
        Condition::Negative => difference < 0,
        Condition::NotNegative => difference >= 0,
        Condition::Other => return None,
    })
}

/// One path's state.
#[derive(Debug, Clone)]
pub struct State {
    /// The function that the path is in.
    pub routine: Arc<Routine>,
    /// The next instruction, by index.
    pub at: u32,
    /// The frame address of that function: its stack pointer before it was called.
    pub frame: Value,
    /// General registers.
    pub registers: [Value; REGISTERS],
    /// Vector registers.
    pub wide: Wide,
    /// The flags.
    pub flags: Flags,
    /// Memory written.
    pub cells: Cells,
    /// What was done.
    pub effects: History,
    /// Calls being followed, the innermost last.
    pub returns: Returns,
    /// How many branches on the way were taken without knowing.
    pub forks: u32,
    /// Where the path last met others.
    pub last: Option<Meeting>,
}

impl State {
    /// At instruction `at` of `routine` with nothing known.
    #[must_use]
    pub fn new(routine: Arc<Routine>, at: u32) -> Self {
        Self {
            routine,
            at,
            frame: Value::Unknown,
            registers: [Value::Unknown; REGISTERS],
            wide: Wide::default(),
            flags: Flags::Unknown,
            cells: Cells::default(),
            effects: History::default(),
            returns: Returns::default(),
            forks: 0,
            last: None,
        }
    }

    /// The functions that the path is in, the innermost first, with their frame addresses.
    pub fn frames(&self) -> impl Iterator<Item = (&Arc<Routine>, Value)> {
        let callers = self.returns.iter().filter_map(|back| {
            let (routine, _) = back.to.as_ref()?;
            Some((routine, back.frame))
        });
        [(&self.routine, self.frame)].into_iter().chain(callers)
    }

    /// Identifies which open-coded deferred calls the functions that the path is in have to run.
    #[must_use]
    pub fn defer_bits(&self, world: &World<'_>) -> u64 {
        let bits = |(routine, frame): (&Arc<Routine>, Value)| {
            let at = frame.term()?.displaced(routine.defer_bits?.wrapping_neg());
            Some(world.load(&self.cells, at, 1))
        };
        self.frames()
            .filter_map(bits)
            .fold(0, |digest, bits| hash_of(&(digest, bits)))
    }

    /// Whether a function that the path is in was found in memory that others can write.
    #[must_use]
    pub fn through_memory(&self) -> bool {
        self.returns.iter().any(|back| back.through_memory)
    }

    /// The value of `register`.
    #[must_use]
    pub fn register(&self, register: Register) -> Value {
        self.registers
            .get(usize::from(register.0))
            .copied()
            .unwrap_or_default()
    }

    /// Sets `register`.
    pub fn set_register(&mut self, register: Register, value: Value) {
        if let Some(slot) = self.registers.get_mut(usize::from(register.0)) {
            *slot = value;
        }
    }

    /// A hash of what decides the path's future.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        hash_of(&(
            &self.registers,
            self.flags,
            &self.wide,
            &self.cells,
            self.effects.digest(),
        ))
    }

    /// Identifies where the path is, for what stands for what differs there.
    #[must_use]
    pub fn symbol_place(&self) -> u64 {
        hash_of(&(self.routine.function.entry, self.at, self.returns.digest()))
    }

    /// Keeps what holds on both paths; the effects must be equal. Whether anything is known no more
    /// that was.
    pub fn absorb(&mut self, other: &Self, world: &World<'_>) -> bool {
        let mut changed = false;
        let place = self.symbol_place();
        let mut met = Met::new(world, place);
        for (number, (slot, value)) in self.registers.iter_mut().zip(&other.registers).enumerate() {
            let joined = slot.join(*value, world.trace);
            let joined = met.register(number, (*slot, *value), joined);
            changed |= joined != *slot;
            *slot = joined;
        }
        changed |= self.wide.absorb(&other.wide, world.trace);
        if self.flags != other.flags {
            changed |= self.flags != Flags::Unknown;
            self.flags = Flags::Unknown;
        }
        let underneath = |at| world.cell(at);
        let meet = |at, one, other, joined| met.word(at, (one, other), joined);
        changed |= self
            .cells
            .absorb(&other.cells, world.trace, underneath, meet);
        self.forks = self.forks.max(other.forks);
        changed
    }
}
