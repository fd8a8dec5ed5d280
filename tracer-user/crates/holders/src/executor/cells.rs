//! Memory as the path has changed it: 8-byte cells on top of the target's memory.

use std::{cmp::Ordering, rc::Rc};

use super::{
    super::isa::Arithmetic,
    cell::Cell,
    hash::hash_of,
    memory::World,
    trace::{CellAddr, Compute, Term, Trace},
    value::Value,
};

/// A path that has written more cells than this is not followed with the same precision.
const MAX_CELLS: usize = 4096;
/// Bytes of memory whose cells are kept together.
const BLOCK: u64 = 256;
/// How much room a list has for more when it is copied to be added to.
const ROOM: usize = 4;

/// The cells that a path has written, shared with the paths that branched off. Those that lie together
/// are shared as long as none of them is written: paths that meet have mostly written the same.
#[derive(Debug, Clone, Default)]
pub struct Cells {
    /// Ascending by address.
    blocks: Rc<Vec<Block>>,
    digest: u64,
    len: usize,
}

/// The cells in one [`BLOCK`] of memory.
#[derive(Debug, Clone)]
struct Block {
    base: u64,
    /// Ascending by address; at least one.
    written: Rc<Vec<Written>>,
}

type Written = (CellAddr, Cell);

impl PartialEq for Block {
    fn eq(&self, other: &Self) -> bool {
        self.base == other.base
            && (Rc::ptr_eq(&self.written, &other.written) || self.written == other.written)
    }
}

impl PartialEq for Cells {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.blocks, &other.blocks)
            || self.digest == other.digest && self.blocks == other.blocks
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
        let block = self.blocks.get(self.block(at).ok()?)?;
        let index = find(&block.written, at).ok()?;
        Some(block.written.get(index)?.1)
    }

    /// The cells that the path wrote, ascending by address.
    pub fn iter(&self) -> impl Iterator<Item = (CellAddr, Cell)> {
        self.blocks
            .iter()
            .flat_map(|block| block.written.iter().copied())
    }

    /// Writes one cell; whether it was another before.
    pub fn set(&mut self, at: CellAddr, cell: Cell) -> bool {
        let before = self.get(at);
        let full = self.len >= MAX_CELLS && before.is_none();
        if full || before == Some(cell) {
            return false;
        }
        self.digest ^= before.map_or(0, |before| hash_of(&(at, before))) ^ hash_of(&(at, cell));
        self.len += usize::from(before.is_none());
        match self.block(at) {
            Ok(index) => {
                if let Some(block) = Rc::make_mut(&mut self.blocks).get_mut(index) {
                    block.set(at, cell);
                }
            }
            Err(index) => {
                let block = Block {
                    base: base_of(at),
                    written: Rc::new(vec![(at, cell)]),
                };
                insert(&mut self.blocks, index, block);
            }
        }
        true
    }

    /// Forgets the cells in `from..to`.
    pub fn forget(&mut self, from: u64, to: u64) {
        let first = self.blocks.partition_point(|block| block.end() <= from);
        let last = self.blocks.partition_point(|block| block.base < to);
        let concerned = self.blocks.get(first..last).unwrap_or_default();
        let gone = |at: &CellAddr| (from..to).contains(&at.get());
        let mut all = concerned.iter().flat_map(|block| block.written.iter());
        if !all.any(|(at, _)| gone(at)) {
            return;
        }
        let (mut digest, mut len) = (self.digest, self.len);
        Rc::make_mut(&mut self.blocks).retain_mut(|block| {
            if block.base < to && block.end() > from && block.written.iter().any(|w| gone(&w.0)) {
                Rc::make_mut(&mut block.written).retain(|written| {
                    let gone = gone(&written.0);
                    digest ^= if gone { hash_of(written) } else { 0 };
                    len -= usize::from(gone);
                    !gone
                });
            }
            !block.written.is_empty()
        });
        (self.digest, self.len) = (digest, len);
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
        let mut joining = Joining {
            trace,
            underneath: &mut underneath,
            meet: &mut meet,
            digest: self.digest,
            len: self.len,
        };
        let (mut changed, mut added) = (Vec::new(), Vec::new());
        let mut passed = 0;
        for (mine, theirs) in pairs(&self.blocks, &other.blocks, |block| block.base) {
            let index = passed;
            passed += usize::from(mine.is_some());
            // Paths that meet have mostly written the same.
            let shared = |(one, two): (&Block, &Block)| Rc::ptr_eq(&one.written, &two.written);
            if mine.zip(theirs).is_some_and(shared) {
                continue;
            }
            let joined = joining.join(written(mine), written(theirs)).map(Rc::new);
            match (joined, mine, theirs) {
                (Some(written), Some(_), _) => changed.push((index, written)),
                (Some(written), None, Some(block)) => added.push(Block {
                    base: block.base,
                    written,
                }),
                _ => {}
            }
        }
        (self.digest, self.len) = (joining.digest, joining.len);
        if changed.is_empty() && added.is_empty() {
            return false;
        }
        let blocks = Rc::make_mut(&mut self.blocks);
        for (index, written) in changed {
            if let Some(block) = blocks.get_mut(index) {
                block.written = written;
            }
        }
        if !added.is_empty() {
            blocks.extend(added);
            blocks.sort_by_key(|block| block.base);
        }
        true
    }

    /// Where the block that holds `at` is, or belongs.
    #[inline]
    fn block(&self, at: CellAddr) -> Result<usize, usize> {
        let base = base_of(at);
        self.blocks.binary_search_by_key(&base, |block| block.base)
    }
}

impl Block {
    /// Writes a cell of the block.
    fn set(&mut self, at: CellAddr, cell: Cell) {
        match find(&self.written, at) {
            Ok(index) => {
                if let Some(slot) = Rc::make_mut(&mut self.written).get_mut(index) {
                    slot.1 = cell;
                }
            }
            Err(index) => insert(&mut self.written, index, (at, cell)),
        }
    }

    /// Where it ends.
    const fn end(&self) -> u64 {
        self.base.saturating_add(BLOCK)
    }
}

/// Two lists of cells that become one.
struct Joining<'a, U, M> {
    trace: &'a Trace,
    underneath: &'a mut U,
    meet: &'a mut M,
    /// Of all the cells of the first.
    digest: u64,
    len: usize,
}

impl<U, M> Joining<'_, U, M>
where
    U: FnMut(CellAddr) -> Cell,
    M: FnMut(CellAddr, Cell, Cell, Cell) -> Cell,
{
    /// What holds whichever of two lists of cells of one block is the case; `None` if that is `mine`.
    fn join(&mut self, mine: &[Written], theirs: &[Written]) -> Option<Vec<Written>> {
        let mut joined: Option<Vec<Written>> = None;
        let mut passed = 0;
        for (one, two) in pairs(mine, theirs, |(at, _)| at.get()) {
            let Some((at, _)) = one.or(two).copied() else {
                continue;
            };
            let before = one.map(|(_, cell)| *cell);
            let cell = self.cell(at, before, two.map(|(_, cell)| *cell));
            if self.changes(at, before, cell) {
                let list = joined.get_or_insert_with(|| {
                    let mut list = Vec::with_capacity(mine.len().max(theirs.len()) + ROOM);
                    list.extend_from_slice(mine.get(..passed).unwrap_or_default());
                    list
                });
                list.push((at, cell));
            } else if let (Some(list), Some(same)) = (&mut joined, one) {
                list.push(*same);
            }
            passed += usize::from(one.is_some());
        }
        joined
    }

    /// What becomes of the cell at `at`, which either side has written or not.
    fn cell(&mut self, at: CellAddr, mine: Option<Cell>, theirs: Option<Cell>) -> Cell {
        if let Some(same) = mine.filter(|_| mine == theirs) {
            return same;
        }
        let theirs = theirs.unwrap_or_else(|| (self.underneath)(at));
        let mine = mine.unwrap_or_else(|| (self.underneath)(at));
        (self.meet)(at, mine, theirs, mine.join(theirs, self.trace))
    }

    /// Whether the cell at `at` becomes another one; then that counts from now on.
    fn changes(&mut self, at: CellAddr, before: Option<Cell>, cell: Cell) -> bool {
        let full = self.len >= MAX_CELLS && before.is_none();
        if full || before == Some(cell) {
            return false;
        }
        self.digest ^= before.map_or(0, |before| hash_of(&(at, before))) ^ hash_of(&(at, cell));
        self.len += usize::from(before.is_none());
        true
    }
}

/// Puts `new` at `index` of `list`; of one that is shared a copy is made that has room for more.
fn insert<T: Clone>(list: &mut Rc<Vec<T>>, index: usize, new: T) {
    if let Some(list) = Rc::get_mut(list) {
        return list.insert(index, new);
    }
    let (before, after) = list.split_at_checked(index).unwrap_or((list, &[]));
    let mut copy = Vec::with_capacity(list.len() + ROOM);
    copy.extend_from_slice(before);
    copy.push(new);
    copy.extend_from_slice(after);
    *list = Rc::new(copy);
}

fn written(block: Option<&Block>) -> &[Written] {
    block.map_or(&[], |block| &block.written)
}

/// Where the cell at `at` is, or belongs.
#[inline]
fn find(written: &[Written], at: CellAddr) -> Result<usize, usize> {
    written.binary_search_by_key(&at, |(at, _)| *at)
}

/// The beginning of the block that holds `at`.
const fn base_of(at: CellAddr) -> u64 {
    at.get() & !(BLOCK - 1)
}

/// What two ascending lists have with the same key, or one of them alone, ascending.
fn pairs<'a, T>(
    mut mine: &'a [T],
    mut theirs: &'a [T],
    key: impl Fn(&T) -> u64,
) -> impl Iterator<Item = (Option<&'a T>, Option<&'a T>)> {
    std::iter::from_fn(move || {
        let (one, two) = (mine.first(), theirs.first());
        let order = match (one, two) {
            (Some(one), Some(two)) => key(one).cmp(&key(two)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        let one = one.filter(|_| order.is_le());
        let two = two.filter(|_| order.is_ge());
        mine = mine.get(usize::from(one.is_some())..).unwrap_or_default();
        theirs = theirs.get(usize::from(two.is_some())..).unwrap_or_default();
        Some((one, two))
    })
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
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

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

    proptest! {
        /// What is written, forgotten and joined is the same as of a plain map, and shared blocks do not
        /// change with what shares them.
        #[test]
        fn blocks_are_no_different_from_single_cells(
            before in prop::collection::vec((0_u64..100, 0_u64..4), 0..20),
            mine in prop::collection::vec((0_u64..100, 0_u64..4), 0..8),
            theirs in prop::collection::vec((0_u64..100, 0_u64..4), 0..8),
            gone in (0_u64..100, 0_u64..100),
        ) {
            let trace = Trace::off();
            let cell = |bits| Cell::of(Value::exact(bits));
            let write = |cells: &mut Cells, map: &mut BTreeMap<u64, Cell>, all: &[(u64, u64)]| {
                for (word, bits) in all {
                    cells.set(at(8 * word), cell(*bits));
                    map.insert(8 * word, cell(*bits));
                }
            };
            let (mut cells, mut map) = (Cells::default(), BTreeMap::new());
            write(&mut cells, &mut map, &before);
            let (mut one, mut one_map) = (cells.clone(), map.clone());
            write(&mut one, &mut one_map, &mine);
            let (mut two, mut two_map) = (cells.clone(), map.clone());
            write(&mut two, &mut two_map, &theirs);
            two.forget(8 * gone.0, 8 * gone.1);
            two_map.retain(|at, _| !(8 * gone.0..8 * gone.1).contains(at));
            let plain = |cells: &Cells| -> BTreeMap<u64, Cell> {
                cells.iter().map(|(at, cell)| (at.get(), cell)).collect()
            };
            prop_assert_eq!(plain(&cells), map);
            prop_assert_eq!(plain(&two), two_map.clone());
            let below = cell(9);
            let all: BTreeSet<u64> = one_map.keys().chain(two_map.keys()).copied().collect();
            let joined: BTreeMap<u64, Cell> = all
                .into_iter()
                .map(|at| {
                    let of = |map: &BTreeMap<u64, Cell>| map.get(&at).copied().unwrap_or(below);
                    (at, of(&one_map).join(of(&two_map), &trace))
                })
                .collect();
            one.absorb(&two, &trace, |_| below, |_, _, _, joined| joined);
            prop_assert_eq!(plain(&one), joined);
            let mut same = Cells::default();
            one.iter().for_each(|(at, cell)| {
                same.set(at, cell);
            });
            prop_assert!(same == one);
        }
    }
}
