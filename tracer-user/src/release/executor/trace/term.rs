//! Numbers, and what they would be for another goroutine.

/// What a number is displaced from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) enum Origin {
    /// Nothing: it is the same for every goroutine that stands at the same place.
    #[default]
    Fixed,
    /// The goroutine's stack pointer.
    Stack,
    /// The input of this number.
    Input(u32),
}

/// A number with its origin. What the number is can only be learnt through the
/// [`Trace`](super::Trace), which notes what was concluded from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Term {
    pub(super) bits: u64,
    pub(super) origin: Origin,
}

impl Term {
    /// A number that is the same for every goroutine: from the code, or already concluded from.
    #[must_use]
    #[inline]
    pub const fn fixed(bits: u64) -> Self {
        Self {
            bits,
            origin: Origin::Fixed,
        }
    }

    /// The number, where nothing is noted of what is concluded from it: where a past is followed.
    #[must_use]
    #[inline]
    pub const fn unnoted(self) -> u64 {
        self.bits
    }

    /// The number so much further on.
    #[must_use]
    #[inline]
    pub const fn displaced(self, by: u64) -> Self {
        Self {
            bits: self.bits.wrapping_add(by),
            origin: self.origin,
        }
    }

    /// Whether it is the same for every goroutine.
    #[inline]
    pub(super) fn is_fixed(self) -> bool {
        self.origin == Origin::Fixed
    }
}
