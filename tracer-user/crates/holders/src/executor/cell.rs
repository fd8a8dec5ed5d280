//! One word of memory as the path has changed it, each byte of which is known or not.

use super::{
    trace::{Compute, Term, Trace},
    value::{Trust, Value},
};

/// One aligned 8-byte word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Cell {
    /// The bytes; unknown ones are zero.
    term: Term,
    /// One bit for each known byte.
    pub(super) known: u8,
    /// Whether any known byte comes from memory that others can write.
    loaded: bool,
}

impl Cell {
    /// A cell all of whose bytes come from one word.
    #[must_use]
    pub fn of(value: Value) -> Self {
        match value {
            Value::Known { term, trust } => Self::whole(term, trust == Trust::Loaded),
            Value::Unknown => Self::default(),
        }
    }

    /// A cell all of whose bytes are known. `loaded`: from memory that others can write.
    #[must_use]
    pub const fn whole(term: Term, loaded: bool) -> Self {
        Self {
            term,
            known: 0xff,
            loaded,
        }
    }

    /// The word, if all of it is known.
    #[must_use]
    pub fn word(self) -> Option<Term> {
        (self.known == 0xff).then_some(self.term)
    }

    /// The bytes that are known for certain, and their mask; `None` where any may have been read from
    /// memory that others write.
    #[must_use]
    pub fn certain(self) -> Option<(u64, u64)> {
        let known = !self.loaded && self.known != 0;
        known.then(|| (self.term.unnoted(), spread(self.known)))
    }

    /// The same cell when what is known of it can have been changed; `None` if that makes no
    /// difference.
    #[must_use]
    pub fn doubted(self) -> Option<Self> {
        (self.known != 0 && !self.loaded).then_some(Self {
            loaded: true,
            ..self
        })
    }

    /// What holds whichever of the two is the case.
    pub(super) fn join(self, other: Self, trace: &Trace) -> Self {
        if self == other {
            return self;
        }
        let (term, agreed) = trace.meet_bytes(self.term, other.term);
        let known = (0..8)
            .filter(|byte| agreed >> (8 * byte) & 0xff == 0xff)
            .fold(0, |known, byte| known | 1 << byte);
        let known = known & self.known & other.known;
        Self {
            term: trace.compute(Compute::Blend(!spread(known)), term, Term::fixed(0)),
            known,
            loaded: self.loaded || other.loaded,
        }
    }

    /// `width` bytes from byte `lane` on.
    pub(super) fn bytes(self, lane: u8, width: u8, trace: &Trace) -> Value {
        let needed = low_bytes(width) << lane;
        if self.known & needed != needed {
            return Value::Unknown;
        }
        let extract = Compute::Extract { lane, width };
        let term = trace.compute(extract, self.term, Term::fixed(0));
        if self.loaded {
            Value::loaded(term)
        } else {
            Value::of(term)
        }
    }

    /// With `width` bytes of `value`, from the value's byte `skip` on, put at its byte `lane`.
    #[must_use]
    pub fn with(self, lane: u8, value: Value, skip: u8, width: u8, trace: &Trace) -> Self {
        let bytes = low_bytes(width) << lane;
        let blend = Compute::Blend(spread(bytes));
        match value {
            Value::Known { term, trust } => {
                let placed = trace.compute(Compute::Place { skip, lane }, term, Term::fixed(0));
                Self {
                    term: trace.compute(blend, self.term, placed),
                    known: self.known | bytes,
                    loaded: self.loaded || trust == Trust::Loaded,
                }
            }
            Value::Unknown => Self {
                term: trace.compute(blend, self.term, Term::fixed(0)),
                known: self.known & !bytes,
                loaded: self.loaded,
            },
        }
    }
}

/// A bit for each of the lowest `width` bytes of a word.
const fn low_bytes(width: u8) -> u8 {
    match width {
        0..8 => (1 << width) - 1,
        _ => 0xff,
    }
}

/// All bits of the bytes in `mask`.
fn spread(mask: u8) -> u64 {
    (0..8).fold(0, |bits, byte| {
        if mask >> byte & 1 == 1 {
            bits | 0xff << (8 * byte)
        } else {
            bits
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_stays_known_beside_unknown_ones() {
        let trace = Trace::off();
        let cell = Cell::default().with(3, Value::exact(5), 0, 1, &trace);
        assert_eq!(cell.bytes(3, 1, &trace), Value::exact(5));
        assert_eq!(cell.bytes(0, 8, &trace), Value::Unknown);
    }

    #[test]
    fn joining_forgets_what_differs() {
        let trace = Trace::off();
        let [one, two] = [1, 2].map(|bits| Cell::of(Value::exact(bits)));
        let joined = one.join(two, &trace);
        assert_eq!(joined.known, 0xfe);
        assert_eq!(joined.bytes(1, 7, &trace), Value::exact(0));
        assert_eq!(one.join(one, &trace), one);
        assert_eq!(joined.join(one, &trace), joined);
    }
}
