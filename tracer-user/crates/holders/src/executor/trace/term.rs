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

    /// After how many inputs it is known.
    pub(super) const fn known_after(self) -> usize {
        match self.origin {
            Origin::Fixed | Origin::Stack => 0,
            Origin::Input(input) => input as usize + 1,
        }
    }

    /// Whether it is the same for every goroutine.
    #[inline]
    pub(super) fn is_fixed(self) -> bool {
        self.origin == Origin::Fixed
    }
}

/// What the terms of one goroutine are counted from, where they are displacements.
#[derive(Debug, Default)]
pub(super) struct Bases {
    sp: u64,
    inputs: Vec<u64>,
}

impl Bases {
    /// Those of a goroutine with the stack pointer `sp` before its `inputs`, so many, are known.
    pub(super) fn begin(&mut self, sp: u64, inputs: usize) {
        self.sp = sp;
        self.inputs.clear();
        self.inputs.reserve(inputs);
    }

    /// Adds what the next input is.
    #[inline]
    pub(super) fn add(&mut self, input: u64) {
        self.inputs.push(input);
    }

    /// What the inputs are, to add to.
    pub(super) const fn inputs(&mut self) -> &mut Vec<u64> {
        &mut self.inputs
    }

    /// What lies so far from its origin as `term` says.
    #[inline]
    pub(super) fn number(&self, term: Term) -> u64 {
        let base = match term.origin {
            Origin::Fixed => 0,
            Origin::Stack => self.sp,
            Origin::Input(input) => self.inputs.get(input as usize).copied().unwrap_or(0),
        };
        base.wrapping_add(term.bits)
    }
}
