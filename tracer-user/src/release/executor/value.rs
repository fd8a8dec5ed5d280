//! What is known of one machine word.

/// A word as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Value {
    /// Anything.
    #[default]
    Unknown,
    /// This number.
    Known {
        /// The number.
        bits: u64,
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
    /// A word that will not change.
    #[must_use]
    pub const fn exact(bits: u64) -> Self {
        Self::Known {
            bits,
            trust: Trust::Exact,
        }
    }

    /// The number, wherever it comes from.
    #[must_use]
    pub const fn bits(self) -> Option<u64> {
        match self {
            Self::Known { bits, .. } => Some(bits),
            Self::Unknown => None,
        }
    }

    /// The number if it may decide a branch whatever becomes of memory that others can write.
    #[must_use]
    pub const fn decisive(self) -> Option<u64> {
        match self {
            Self::Known {
                bits,
                trust: Trust::Exact | Trust::Closure,
            } => Some(bits),
            _ => None,
        }
    }

    /// Whether it was read from memory that others can write.
    #[must_use]
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

    /// The number if it is a possible address: not nil and not a small offset from it.
    #[must_use]
    pub fn address(self) -> Option<u64> {
        self.bits().filter(|bits| *bits >= 4096)
    }

    /// The same word from elsewhere.
    #[must_use]
    pub const fn map_trust(self, trust: Trust) -> Self {
        match self {
            Self::Known { bits, .. } => Self::Known { bits, trust },
            Self::Unknown => Self::Unknown,
        }
    }

    /// The result of `operate` on two words; as trustworthy as the less trustworthy one.
    #[must_use]
    pub fn combine(self, other: Self, operate: impl FnOnce(u64, u64) -> u64) -> Self {
        match (self, other) {
            (
                Self::Known { bits, trust },
                Self::Known {
                    bits: other,
                    trust: other_trust,
                },
            ) => Self::Known {
                bits: operate(bits, other),
                trust: if trust == Trust::Loaded || other_trust == Trust::Loaded {
                    Trust::Loaded
                } else {
                    Trust::Exact
                },
            },
            _ => Self::Unknown,
        }
    }

    /// The same word with another number.
    #[must_use]
    pub fn map(self, change: impl FnOnce(u64) -> u64) -> Self {
        match self {
            Self::Known { bits, trust } => Self::Known {
                bits: change(bits),
                trust,
            },
            Self::Unknown => Self::Unknown,
        }
    }

    /// Keeps what holds whichever of the two is the case; whether that is something else.
    pub fn absorb(&mut self, other: Self) -> bool {
        let joined = self.join(other);
        let changed = joined != *self;
        *self = joined;
        changed
    }

    /// What holds whichever of the two is the case.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        match (self, other) {
            (
                Self::Known { bits, trust },
                Self::Known {
                    bits: same,
                    trust: other_trust,
                },
            ) if bits == same => Self::Known {
                bits,
                trust: trust.max(other_trust),
            },
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
        let loaded = Value::Known {
            bits: 7,
            trust: Trust::Loaded,
        };
        assert_eq!(Value::exact(7).join(loaded), loaded);
        assert_eq!(Value::exact(7).join(Value::exact(8)), Value::Unknown);
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
