//! One path's state: registers, flags, written memory, and what the path has done to locks.

use std::{rc::Rc, sync::Arc};

use super::{
    super::{
        code::Routine,
        isa::{Condition, REGISTERS, Register, WIDE_REGISTERS},
        model::ReleaseKind,
        sites::LockKind,
    },
    cells::Cells,
    memory::World,
    progress::Meeting,
    value::{Value, sign_extend, truncate},
};

/// What the last comparison left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flags {
    /// Not known.
    Unknown,
    /// Of `left - right`.
    Difference {
        /// First operand.
        left: u64,
        /// Second operand.
        right: u64,
        /// Their bytes.
        width: u8,
    },
    /// Of a result without carry and overflow.
    Result {
        /// The result.
        bits: u64,
        /// Its bytes.
        width: u8,
        /// Whether carry and overflow are zero, or not known.
        logical: bool,
    },
    /// Only whether the result is zero is known.
    Zero(bool),
}

impl Flags {
    /// Whether `condition` holds, where that is known.
    #[must_use]
    pub fn decide(self, condition: Condition) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Zero(zero) => match condition {
                Condition::Equal => Some(zero),
                Condition::NotEqual => Some(!zero),
                _ => None,
            },
            Self::Difference { left, right, width } => compare(left, right, width, condition),
            Self::Result {
                bits,
                width,
                logical,
            } => {
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

/// A lock by what has to be released, and its address.
pub type Lock = (LockKind, u64);

/// A release that the path performs on something it did not take itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Released {
    /// How.
    pub kind: ReleaseKind,
    /// Of what.
    pub object: u64,
    /// How often (`RUnlock`, `Done`).
    pub count: u32,
    /// Whether code that could not be followed ran before: that code may have taken the lock.
    pub after_unknown: bool,
    /// Whether which lock this is, or whether it is released, was read from memory that others can
    /// write.
    pub reloaded: bool,
}

/// Stands for a lock whose address is not known.
pub const UNKNOWN_LOCK: u64 = 0;
/// How many locks with unknown addresses a path takes before it stops counting.
const MAX_UNKNOWN_HELD: usize = 4;

/// A deferred call that has not run yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Deferred {
    /// Stack pointer of the frame that runs it.
    pub sp: u64,
    /// The closure.
    pub closure: Value,
}

/// What a path has done so far.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Effects {
    /// Locks taken on the path and not released, ascending.
    pub held: Vec<Lock>,
    /// Releases of what the path did not take, ascending.
    pub released: Vec<Released>,
    /// Deferred calls, the next one last.
    pub deferred: Rc<Vec<Deferred>>,
    /// Whether the path went through code that could not be followed.
    pub unknown_code: bool,
}

impl Effects {
    /// Takes `lock`.
    pub fn acquire(&mut self, lock: Lock) {
        let at = self.held.partition_point(|held| *held < lock);
        let same = self.held.iter().skip(at).take_while(|held| **held == lock);
        if lock.1 != UNKNOWN_LOCK || same.count() < MAX_UNKNOWN_HELD {
            self.held.insert(at, lock);
        }
    }

    /// Releases `lock`; false when the path had taken it itself. `reloaded`: see [`Released`].
    pub fn release(&mut self, lock: Lock, kind: ReleaseKind, reloaded: bool) -> bool {
        if let Ok(at) = self.held.binary_search(&lock) {
            self.held.remove(at);
            return false;
        }
        self.give((kind, lock.1), 1, reloaded);
        true
    }

    /// Keeps what both histories have in common. What one of them has taken counts as taken, so that
    /// releasing it later proves nothing. The deferred calls must be the same.
    pub fn summarise(&mut self, other: &Self) {
        self.released.retain_mut(|mine| {
            let same = other
                .released
                .iter()
                .find(|r| r.kind == mine.kind && r.object == mine.object);
            if let Some(same) = same {
                mine.count = mine.count.min(same.count);
                mine.after_unknown |= same.after_unknown;
                mine.reloaded |= same.reloaded;
            }
            same.is_some()
        });
        for lock in &other.held {
            if self.held.binary_search(lock).is_err() {
                self.acquire(*lock);
            }
        }
        self.unknown_code |= other.unknown_code;
    }

    /// Performs `count` releases of something that the path does not own. `reloaded`: see
    /// [`Released`].
    pub fn give(&mut self, (kind, object): (ReleaseKind, u64), count: u32, reloaded: bool) {
        let key = (kind, object);
        match self
            .released
            .binary_search_by_key(&key, |r| (r.kind, r.object))
        {
            // A mutex can be released once only; more would be a crash, not a release.
            Ok(at) => {
                if matches!(kind, ReleaseKind::ReadUnlock | ReleaseKind::Done)
                    && let Some(released) = self.released.get_mut(at)
                {
                    released.count = released.count.saturating_add(count).min(MAX_COUNT);
                }
            }
            Err(at) => self.released.insert(
                at,
                Released {
                    kind,
                    object,
                    count: count.min(MAX_COUNT),
                    after_unknown: self.unknown_code,
                    reloaded,
                },
            ),
        }
    }
}

/// More releases of one object on one path are not told apart, so that loops come to an end.
const MAX_COUNT: u32 = 4;

/// Where a followed call returns to.
#[derive(Debug, Clone)]
pub struct Return {
    /// Whether the function was found in memory that others can write: another one may be called.
    pub through_memory: bool,
    /// The caller; `None` ends the path (a closure that another goroutine will run).
    pub to: Option<(Arc<Routine>, u32)>,
    /// The stack pointer after the return.
    pub sp: Value,
    /// The frame pointer after the return.
    pub fp: Value,
    /// The caller's frame address.
    pub frame: Value,
    /// Whether the call was deferred.
    pub deferred: bool,
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
    /// Vector registers, as two words each.
    pub wide: [(Value, Value); WIDE_REGISTERS],
    /// The flags.
    pub flags: Flags,
    /// Memory written.
    pub cells: Cells,
    /// What was done.
    pub effects: Effects,
    /// Calls being followed, the innermost last.
    pub returns: Vec<Return>,
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
            wide: [(Value::Unknown, Value::Unknown); WIDE_REGISTERS],
            flags: Flags::Unknown,
            cells: Cells::default(),
            effects: Effects::default(),
            returns: Vec::new(),
            forks: 0,
            last: None,
        }
    }

    /// Identifies from where the calls that are being followed were made.
    #[must_use]
    pub fn calls(&self) -> u64 {
        use std::hash::{Hash as _, Hasher as _};
        let mut hasher = rustc_hash::FxHasher::default();
        for back in &self.returns {
            let to = back.to.as_ref().map(|(r, at)| (r.function.entry, *at));
            (to, back.sp, back.deferred).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Which open-coded deferred calls the functions that the path is in have to run.
    #[must_use]
    pub fn defer_bits(&self, world: &World<'_>) -> Vec<Value> {
        let callers = self.returns.iter().filter_map(|back| {
            let (routine, _) = back.to.as_ref()?;
            Some((routine, back.frame))
        });
        let bits = |(routine, frame): (&Arc<Routine>, Value)| {
            let at = frame.bits()?.wrapping_sub(routine.defer_bits?);
            let cell = |at| self.cells.get(at).unwrap_or_else(|| world.cell(at));
            Some(super::cells::load(at, 1, cell))
        };
        callers
            .chain([(&self.routine, self.frame)])
            .filter_map(bits)
            .collect()
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
        use std::hash::{Hash as _, Hasher as _};
        let mut hasher = rustc_hash::FxHasher::default();
        self.registers.hash(&mut hasher);
        self.flags.hash(&mut hasher);
        self.wide.hash(&mut hasher);
        self.cells.hash(&mut hasher);
        self.effects.hash(&mut hasher);
        hasher.finish()
    }

    /// What holds on both paths; the effects must be equal.
    #[must_use]
    pub fn join(&self, other: &Self, world: &World<'_>) -> Self {
        let mut joined = self.clone();
        for (slot, value) in joined.registers.iter_mut().zip(&other.registers) {
            *slot = slot.join(*value);
        }
        for (slot, value) in joined.wide.iter_mut().zip(&other.wide) {
            *slot = (slot.0.join(value.0), slot.1.join(value.1));
        }
        if joined.flags != other.flags {
            joined.flags = Flags::Unknown;
        }
        joined.cells = self.cells.join(&other.cells, |at| world.cell(at));
        joined.forks = self.forks.max(other.forks);
        joined
    }

    /// Whether nothing distinguishes the two but how they came here.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.registers == other.registers
            && self.wide == other.wide
            && self.flags == other.flags
            && self.cells == other.cells
            && self.effects == other.effects
    }
}
