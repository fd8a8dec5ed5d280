//! What each page of the heap is used for: one table for each arena.

use super::{ArenaIndex, PAGE_BYTES, PAGES_PER_ARENA};
use ids::TargetAddr;
use memory::ReadError;

/// A page that belongs to no span in use.
pub(super) const UNUSED: u32 = 0;
/// A page of a stack.
pub(super) const STACK: u32 = u32::MAX;
/// Widest range of arena numbers for which a direct table is kept (4 Mi entries, the whole map).
const MAX_SLOTS: u64 = 1 << 22;

/// By page: [`UNUSED`], [`STACK`], or the number of its span plus one.
#[derive(Debug, Default)]
pub(super) struct PageMap {
    /// The pages of all arenas, in order of discovery.
    pages: Vec<u32>,
    /// By arena number minus `first_arena`: which arena of `pages` it is, plus one.
    slots: Vec<u32>,
    first_arena: u64,
}

impl PageMap {
    /// Makes room for `arenas` (ascending). What is known of their pages stays.
    ///
    /// # Errors
    /// When they lie too far apart for any heap.
    pub(super) fn cover(&mut self, arenas: &[(ArenaIndex, TargetAddr)]) -> Result<(), ReadError> {
        let (Some(first), Some(last)) = (arenas.first(), arenas.last()) else {
            return Ok(());
        };
        let (mut low, mut high) = (first.0.0, last.0.0);
        if !self.slots.is_empty() {
            low = low.min(self.first_arena);
            high = high.max(self.first_arena + self.slots.len() as u64 - 1);
        }
        if high - low >= MAX_SLOTS {
            return Err(ReadError::TooLong {
                at: ArenaIndex(low).start(),
                len: usize::try_from(high - low).unwrap_or(usize::MAX),
                limit: usize::try_from(MAX_SLOTS).unwrap_or(usize::MAX),
            });
        }
        let mut slots = vec![0; usize::try_from(high - low + 1).unwrap_or(0)];
        for (at, slot) in self.slots.iter().enumerate() {
            let to = usize::try_from(self.first_arena - low).unwrap_or(0) + at;
            if let Some(to) = slots.get_mut(to) {
                *to = *slot;
            }
        }
        self.slots = slots;
        self.first_arena = low;
        for (index, _) in arenas {
            let at = usize::try_from(index.0 - low).unwrap_or(usize::MAX);
            let Some(slot) = self.slots.get_mut(at) else {
                continue;
            };
            if *slot == 0 {
                let pages = self.pages.len() + PAGES_PER_ARENA;
                self.pages.resize(pages, UNUSED);
                *slot = u32::try_from(pages / PAGES_PER_ARENA).unwrap_or(0);
            }
        }
        Ok(())
    }

    /// What the page that `at` lies in is used for; `None` outside the arenas.
    #[inline]
    pub(super) fn get(&self, at: TargetAddr) -> Option<u32> {
        self.pages.get(self.number(at)?).copied()
    }

    /// Notes what the page that `at` lies in is used for. Returns what it was used for before.
    pub(super) fn set(&mut self, at: TargetAddr, entry: u32) -> Option<u32> {
        let number = self.number(at)?;
        let page = self.pages.get_mut(number)?;
        Some(std::mem::replace(page, entry))
    }

    /// What the pages are used for, by their numbers.
    pub(super) fn entries(&self) -> &[u32] {
        &self.pages
    }

    /// Lowest and first too high address of all arenas.
    pub(super) fn bounds(&self) -> (u64, u64) {
        let low = ArenaIndex(self.first_arena).start().0;
        let high = ArenaIndex(self.first_arena + self.slots.len() as u64)
            .start()
            .0;
        (low, high)
    }

    /// A dense number for the page that `at` lies in, below [`Self::len`].
    #[inline]
    pub(super) fn number(&self, at: TargetAddr) -> Option<usize> {
        Some(self.slot(at)? * PAGES_PER_ARENA + page_of(at))
    }

    /// How many pages the arenas have.
    pub(super) fn len(&self) -> usize {
        self.pages.len()
    }

    #[inline]
    fn slot(&self, at: TargetAddr) -> Option<usize> {
        let number = ArenaIndex::of(at).0.checked_sub(self.first_arena)?;
        let slot = *self.slots.get(usize::try_from(number).ok()?)?;
        (slot != 0).then(|| slot as usize - 1)
    }
}

/// The number of the page that `at` lies in within its arena.
#[inline]
fn page_of(at: TargetAddr) -> usize {
    (at.0 / PAGE_BYTES) as usize % PAGES_PER_ARENA
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arenas_may_come_later_below_and_above() {
        let arena = |index| (ArenaIndex(index), TargetAddr(1));
        let page = |index: u64, page: u64| ArenaIndex(index).start().offset(page * PAGE_BYTES);
        let mut map = PageMap::default();
        map.cover(&[arena(100)]).unwrap();
        assert_eq!(map.set(page(100, 3), 7), Some(UNUSED));
        let number = map.number(page(100, 3)).unwrap();
        map.cover(&[arena(98), arena(100), arena(103)]).unwrap();
        assert_eq!(map.get(page(100, 3)), Some(7));
        assert_eq!(map.number(page(100, 3)), Some(number));
        assert_eq!(map.get(page(98, 0)), Some(UNUSED));
        assert_eq!(map.get(page(99, 0)), None);
        assert_eq!(map.get(page(104, 0)), None);
        assert_eq!(map.len(), 3 * PAGES_PER_ARENA);
        assert_eq!(map.bounds(), (page(98, 0).0, page(104, 0).0));
        assert!(map.cover(&[arena(1), arena(2 + MAX_SLOTS)]).is_err());
    }
}
