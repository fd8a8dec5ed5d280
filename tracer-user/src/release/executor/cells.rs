//! Memory as the path has changed it: 8-byte cells on top of the target's memory, each byte of
//! which is known or not.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::{
    hash::hash_of,
    value::{Trust, Value},
};

/// A path that has written more cells than this is not followed with the same precision.
const MAX_CELLS: usize = 4096;

/// One aligned 8-byte word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Cell {
    /// The bytes; unknown ones are zero.
    pub bits: u64,
    /// One bit for each known byte.
    pub known: u8,
    /// Whether any known byte comes from memory that others can write.
    pub loaded: bool,
}

impl Cell {
    /// A cell all of whose bytes come from one word.
    #[must_use]
    pub fn of(value: Value) -> Self {
        match value {
            Value::Known { bits, trust } => Self {
                bits,
                known: 0xff,
                loaded: trust == Trust::Loaded,
            },
            Value::Unknown => Self::default(),
        }
    }

    fn join(self, other: Self) -> Self {
        if self == other {
            return self;
        }
        let mut known = self.known & other.known;
        let differ = self.bits ^ other.bits;
        for byte in 0..8 {
            if differ >> (8 * byte) & 0xff != 0 {
                known &= !(1 << byte);
            }
        }
        Self {
            bits: self.bits & spread(known),
            known,
            loaded: self.loaded || other.loaded,
        }
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

/// The cells that a path has written.
#[derive(Debug, Clone, Default)]
pub struct Cells {
    written: Rc<FxHashMap<u64, Cell>>,
    digest: u64,
}

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
    /// The cell at the aligned address `at`, if the path wrote it.
    #[must_use]
    pub fn get(&self, at: u64) -> Option<Cell> {
        self.written.get(&at).copied()
    }

    /// Writes one cell; whether it was another before.
    pub fn set(&mut self, at: u64, cell: Cell) -> bool {
        let before = self.get(at);
        let full = self.written.len() >= MAX_CELLS && before.is_none();
        if full || before == Some(cell) {
            return false;
        }
        self.digest ^= before.map_or(0, |before| hash_of(&(at, before))) ^ hash_of(&(at, cell));
        Rc::make_mut(&mut self.written).insert(at, cell);
        true
    }

    /// Forgets the cells in `from..to`.
    pub fn forget(&mut self, from: u64, to: u64) {
        let gone: Vec<u64> = self
            .written
            .keys()
            .copied()
            .filter(|at| (from..to).contains(at))
            .collect();
        for at in gone {
            if let Some(cell) = Rc::make_mut(&mut self.written).remove(&at) {
                self.digest ^= hash_of(&(at, cell));
            }
        }
    }

    /// Keeps what holds whichever of the two is the case; `underneath` is the memory below. Whether
    /// anything was changed.
    pub fn absorb(&mut self, other: &Self, mut underneath: impl FnMut(u64) -> Cell) -> bool {
        if self == other {
            return false;
        }
        // Paths that meet have mostly written the same.
        let mut changes = Vec::new();
        for (&at, &cell) in other.written.iter() {
            let mine = self.get(at);
            let joined = mine.unwrap_or_else(|| underneath(at)).join(cell);
            if mine != Some(joined) {
                changes.push((at, joined));
            }
        }
        for (&at, &cell) in self.written.iter() {
            if !other.written.contains_key(&at) {
                let joined = cell.join(underneath(at));
                if joined != cell {
                    changes.push((at, joined));
                }
            }
        }
        let mut changed = false;
        for (at, cell) in changes {
            changed |= self.set(at, cell);
        }
        changed
    }
}

/// Reads `width` bytes at `at` from cells that `cell_at` yields.
pub fn load(at: u64, width: u8, mut cell_at: impl FnMut(u64) -> Cell) -> Value {
    let width = width.clamp(1, 8);
    let shift = at & 7;
    let first = cell_at(at & !7);
    if shift == 0 && width == 8 {
        return whole(first);
    }
    let (mut bits, mut loaded) = (0u64, false);
    for byte in 0..u64::from(width) {
        let position = shift + byte;
        let cell = if position < 8 {
            first
        } else {
            cell_at((at & !7).wrapping_add(8))
        };
        let lane = position & 7;
        if cell.known >> lane & 1 == 0 {
            return Value::Unknown;
        }
        loaded |= cell.loaded;
        bits |= (cell.bits >> (8 * lane) & 0xff) << (8 * byte);
    }
    known(bits, loaded)
}

fn whole(cell: Cell) -> Value {
    if cell.known == 0xff {
        known(cell.bits, cell.loaded)
    } else {
        Value::Unknown
    }
}

const fn known(bits: u64, loaded: bool) -> Value {
    Value::Known {
        bits,
        trust: if loaded { Trust::Loaded } else { Trust::Exact },
    }
}

/// `cell` with `width` bytes of `value`, from the value's byte `skip` on, put at its byte `lane`.
#[must_use]
pub fn merge(cell: Cell, lane: u64, value: Value, skip: u64, width: u64) -> Cell {
    let mut merged = cell;
    for byte in 0..width {
        let position = lane + byte;
        merged.bits &= !(0xff << (8 * position));
        match value {
            Value::Known { bits, trust } => {
                merged.bits |= (bits >> (8 * (skip + byte)) & 0xff) << (8 * position);
                merged.known |= 1 << position;
                merged.loaded |= trust == Trust::Loaded;
            }
            Value::Unknown => merged.known &= !(1 << position),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_stays_known_beside_unknown_ones() {
        let cell = merge(Cell::default(), 3, Value::exact(5), 0, 1);
        assert_eq!(load(0x1003, 1, |_| cell), Value::exact(5));
        assert_eq!(load(0x1000, 8, |_| cell), Value::Unknown);
    }

    #[test]
    fn joining_forgets_what_differs() {
        let mut a = Cells::default();
        a.set(0x10, Cell::of(Value::exact(1)));
        a.set(0x18, Cell::of(Value::exact(9)));
        let mut b = Cells::default();
        b.set(0x10, Cell::of(Value::exact(2)));
        assert!(a.absorb(&b, |_| Cell::of(Value::exact(9))));
        assert_eq!(a.get(0x10).map(|c| c.known), Some(0xfe));
        assert_eq!(a.get(0x18), Some(Cell::of(Value::exact(9))));
        assert!(!a.absorb(&b, |_| Cell::of(Value::exact(9))));
    }
}
