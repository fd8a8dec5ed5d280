//! What is known of one machine word.

use super::trace::{Compute, Term, Trace};

/// A word as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Value {
    /// Anything.
    #[default]
    Unknown,
    /// This number.
    Known {
        /// The number.
        term: Term,
        /// Where it comes from.
        trust: Trust,
    },
}

/// Where a known word comes from, which tells what may be concluded from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Trust {
    /// From the goroutine's own frames, the code, or read-only data: it will be the same when the
    /// goroutine runs. Decides branches.
    Exact,
    /// Points to the closure of a call that is being followed: what the closure holds was captured
    /// once and never changes.
    Closure,
    /// Loaded from memory that other goroutines can write before this one runs again. It decides no
    /// branch, and as the address of a lock it proves less (`Certainty::Conditional`).
    Loaded,
}

impl Value {
    /// The number `bits`, the same for every goroutine.
    #[must_use]
    #[inline]
    pub const fn exact(bits: u64) -> Self {
        Self::of(Term::fixed(bits))
    }

    /// A word that will not change.
    #[must_use]
    #[inline]
    pub const fn of(term: Term) -> Self {
        Self::Known {
            term,
            trust: Trust::Exact,
        }
    }

    /// A word read from memory that others can write.
    #[must_use]
    #[inline]
    pub const fn loaded(term: Term) -> Self {
        Self::Known {
            term,
            trust: Trust::Loaded,
        }
    }

    /// The number, wherever it comes from.
    #[must_use]
    #[inline]
    pub const fn term(self) -> Option<Term> {
        match self {
            Self::Known { term, .. } => Some(term),
            Self::Unknown => None,
        }
    }

    /// The number if it may decide a branch whatever becomes of memory that others can write.
    #[must_use]
    #[inline]
    pub const fn decisive(self) -> Option<Term> {
        match self {
            Self::Known {
                term,
                trust: Trust::Exact | Trust::Closure,
            } => Some(term),
            _ => None,
        }
    }

    /// Whether it was read from memory that others can write.
    #[must_use]
    #[inline]
    pub const fn is_reloaded(self) -> bool {
        matches!(
            self,
            Self::Known {
                trust: Trust::Loaded,
                ..
            }
        )
    }

    /// The same word, not to be relied on any more than one read from memory that others can write.
    #[must_use]
    pub const fn reloaded(self) -> Self {
        self.map_trust(Trust::Loaded)
    }

    /// The same word from elsewhere.
    #[must_use]
    #[inline]
    pub const fn map_trust(self, trust: Trust) -> Self {
        match self {
            Self::Known { term, .. } => Self::Known { term, trust },
            Self::Unknown => Self::Unknown,
        }
    }

    /// The number so much further on.
    #[must_use]
    #[inline]
    pub const fn displaced(self, by: u64) -> Self {
        match self {
            Self::Known { term, trust } => Self::Known {
                term: term.displaced(by),
                trust,
            },
            Self::Unknown => Self::Unknown,
        }
    }

    /// What `compute` makes of two words; as trustworthy as the less trustworthy one.
    #[must_use]
    #[inline]
    pub fn combine(self, other: Self, compute: Compute, trace: &Trace) -> Self {
        match (self, other) {
            (
                Self::Known { term, trust },
                Self::Known {
                    term: other,
                    trust: other_trust,
                },
            ) => Self::Known {
                term: trace.compute(compute, term, other),
                trust: if trust == Trust::Loaded || other_trust == Trust::Loaded {
                    Trust::Loaded
                } else {
                    Trust::Exact
                },
            },
            _ => Self::Unknown,
        }
    }

    /// What `compute` makes of the word.
    #[must_use]
    #[inline]
    pub fn map(self, compute: Compute, trace: &Trace) -> Self {
        match self {
            Self::Known { term, trust } => Self::Known {
                term: trace.compute(compute, term, Term::fixed(0)),
                trust,
            },
            Self::Unknown => Self::Unknown,
        }
    }

    /// Whether both are known, and the same number.
    #[must_use]
    pub fn is(self, other: Self, trace: &Trace) -> bool {
        match (self.term(), other.term()) {
            (Some(term), Some(other)) => trace.equal(term, other),
            _ => false,
        }
    }

    /// What holds whichever of the two is the case.
    #[must_use]
    #[inline]
    pub fn join(self, other: Self, trace: &Trace) -> Self {
        match (self, other) {
            (
                Self::Known { term, trust },
                Self::Known {
                    term: same,
                    trust: other_trust,
                },
            ) => trace
                .meet(term, same)
                .map_or(Self::Unknown, |term| Self::Known {
                    term,
                    trust: trust.max(other_trust),
                }),
            _ => Self::Unknown,
        }
    }
}

/// The lowest `width` bytes of `bits`.
#[must_use]
pub const fn truncate(bits: u64, width: u8) -> u64 {
    match width {
        0..8 => bits & ((1 << (8 * width as u32)) - 1),
        _ => bits,
    }
}

/// The lowest `width` bytes of `bits`, their sign repeated upwards.
#[must_use]
pub const fn sign_extend(bits: u64, width: u8) -> u64 {
    match width {
        1..8 => {
            let shift = 64 - 8 * width as u32;
            ((bits << shift).cast_signed() >> shift).cast_unsigned()
        }
        _ => bits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_keep_what_both_agree_on() {
        let trace = Trace::off();
        let loaded = Value::loaded(Term::fixed(7));
        assert_eq!(Value::exact(7).join(loaded, &trace), loaded);
        assert_eq!(
            Value::exact(7).join(Value::exact(8), &trace),
            Value::Unknown
        );
        assert_eq!(loaded.decisive(), None);
    }

    #[test]
    fn widths() {
        assert_eq!(truncate(0x1_ff, 1), 0xff);
        assert_eq!(sign_extend(0xff, 1), u64::MAX);
        assert_eq!(sign_extend(0x7f, 1), 0x7f);
        assert_eq!(truncate(u64::MAX, 8), u64::MAX);
    }
}
