//! Memory as the path has changed it: 8-byte cells on top of the target's memory, each byte of
//! which is known or not.

use std::rc::Rc;

use super::{
    super::isa::Arithmetic,
    hash::hash_of,
    memory::World,
    trace::{CellAddr, Compute, Term, Trace},
    value::{Trust, Value},
};

/// A path that has written more cells than this is not followed with the same precision.
const MAX_CELLS: usize = 4096;

/// One aligned 8-byte word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Cell {
    /// The bytes; unknown ones are zero.
    term: Term,
    /// One bit for each known byte.
    known: u8,
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

    fn join(self, other: Self, trace: &Trace) -> Self {
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
    fn bytes(self, lane: u8, width: u8, trace: &Trace) -> Value {
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

/// The cells that a path has written, shared with the paths that branched off.
#[derive(Debug, Clone, Default)]
pub struct Cells {
    /// Ascending by address.
    written: Rc<Vec<Written>>,
    digest: u64,
}

type Written = (CellAddr, Cell);

impl PartialEq for Cells {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.written, &other.written)
            || self.digest == other.digest && self.written == other.written
    }
}

impl Eq for Cells {}

impl std::hash::Hash for Cells {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl Cells {
    /// The cell at `at`, if the path wrote it.
    #[must_use]
    pub fn get(&self, at: CellAddr) -> Option<Cell> {
        let index = self.find(at).ok()?;
        Some(self.written.get(index)?.1)
    }

    /// The cells that the path wrote, ascending by address.
    pub fn iter(&self) -> impl Iterator<Item = (CellAddr, Cell)> {
        self.written.iter().copied()
    }

    /// Writes one cell; whether it was another before.
    pub fn set(&mut self, at: CellAddr, cell: Cell) -> bool {
        let place = self.find(at);
        let before = place
            .ok()
            .and_then(|index| Some(self.written.get(index)?.1));
        let full = self.written.len() >= MAX_CELLS && before.is_none();
        if full || before == Some(cell) {
            return false;
        }
        self.digest ^= before.map_or(0, |before| hash_of(&(at, before))) ^ hash_of(&(at, cell));
        let written = Rc::make_mut(&mut self.written);
        match place {
            Ok(index) => {
                if let Some(slot) = written.get_mut(index) {
                    slot.1 = cell;
                }
            }
            Err(index) => written.insert(index, (at, cell)),
        }
        true
    }

    /// Forgets the cells in `from..to`.
    pub fn forget(&mut self, from: u64, to: u64) {
        let below = |end: u64| self.written.partition_point(|(at, _)| at.get() < end);
        let gone = below(from)..below(to);
        if gone.is_empty() {
            return;
        }
        for written in Rc::make_mut(&mut self.written).drain(gone) {
            self.digest ^= hash_of(&written);
        }
    }

    /// Keeps what holds whichever of the two is the case; `underneath` is the memory below. Whether
    /// anything was changed.
    pub fn absorb(
        &mut self,
        other: &Self,
        trace: &Trace,
        mut underneath: impl FnMut(CellAddr) -> Cell,
        mut meet: impl FnMut(CellAddr, Cell, Cell, Cell) -> Cell,
    ) -> bool {
        if self == other {
            return false;
        }
        // Paths that meet have mostly written the same.
        let mut changes = Vec::new();
        let (mut mine, mut theirs) = (self.written.as_slice(), other.written.as_slice());
        loop {
            let (at, before, cell) = match (mine, theirs) {
                ([one, rest @ ..], [two, others @ ..]) if one.0 == two.0 => {
                    (mine, theirs) = (rest, others);
                    if one.1 == two.1 {
                        continue;
                    }
                    (one.0, Some(one.1), two.1)
                }
                ([one, rest @ ..], others) if others.first().is_none_or(|two| one.0 < two.0) => {
                    mine = rest;
                    (one.0, Some(one.1), underneath(one.0))
                }
                (_, [two, others @ ..]) => {
                    theirs = others;
                    (two.0, None, two.1)
                }
                (_, []) => break,
            };
            let mine = before.unwrap_or_else(|| underneath(at));
            let joined = meet(at, mine, cell, mine.join(cell, trace));
            if before != Some(joined) {
                changes.push((at, joined));
            }
        }
        let mut changed = false;
        for (at, cell) in changes {
            changed |= self.set(at, cell);
        }
        changed
    }

    /// Where the cell at `at` is, or belongs.
    #[inline]
    fn find(&self, at: CellAddr) -> Result<usize, usize> {
        self.written.binary_search_by_key(&at, |(at, _)| *at)
    }
}

impl World<'_> {
    /// The cell at `at`, under what the path has `written`.
    pub fn cell_under(&self, written: &Cells, at: CellAddr) -> Cell {
        match written.get(at) {
            Some(cell) => {
                self.written(at);
                cell
            }
            None => self.cell(at),
        }
    }

    /// Reads `width` bytes at `at`, under what the path has `written`.
    pub fn load(&self, written: &Cells, at: Term, width: u8) -> Value {
        let width = width.clamp(1, 8);
        let (first, lane) = CellAddr::of(at);
        let first_width = width.min(8 - lane);
        let low = self
            .cell_under(written, first)
            .bytes(lane, first_width, self.trace);
        if first_width == width {
            return low;
        }
        let (next, _) = CellAddr::of(at.displaced(u64::from(first_width)));
        let high = self
            .cell_under(written, next)
            .bytes(0, width - first_width, self.trace);
        let place = Compute::Place {
            skip: 0,
            lane: first_width,
        };
        let high = high.map(place, self.trace);
        low.combine(high, Compute::Arithmetic(Arithmetic::Or, 8), self.trace)
    }
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

    fn at(address: u64) -> CellAddr {
        CellAddr::of(Term::fixed(address)).0
    }

    #[test]
    fn paths_that_meet_keep_what_both_or_the_memory_below_say() {
        let trace = Trace::off();
        let nine = Cell::of(Value::exact(9));
        let mut a = Cells::default();
        a.set(at(0x10), Cell::of(Value::exact(1)));
        a.set(at(0x18), nine);
        let mut b = Cells::default();
        b.set(at(0x10), Cell::of(Value::exact(2)));
        let keep = |_, _, _, joined| joined;
        assert!(a.absorb(&b, &trace, |_| nine, keep));
        assert_eq!(a.get(at(0x10)).map(|c| c.known), Some(0xfe));
        assert_eq!(a.get(at(0x18)), Some(nine));
        assert!(!a.absorb(&b, &trace, |_| nine, keep));
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
