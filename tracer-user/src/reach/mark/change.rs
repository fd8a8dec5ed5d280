//! Which pages changed between two readings, without any help of the kernel's.
//!
//! The kernel could tell by soft-dirty bits, but clearing them write-protects the whole target, and
//! many kernels are built without them; its newer write tracking needs a `userfaultfd` inside the
//! target. So the walk compares what it read: a sum of the hashes of everything read in a page.

/// Sums of two readings per page, and the pages held to be changing.
#[derive(Debug, Default)]
pub struct PageChanges {
    sums: Vec<u64>,
    changing: Vec<u64>,
}

impl PageChanges {
    /// Makes room for `pages` pages.
    pub fn cover(&mut self, pages: usize) {
        if self.sums.len() < pages {
            self.sums.resize(pages, 0);
            self.changing.resize(pages.div_ceil(64), 0);
        }
    }

    /// Notes that a range of `page` was read with this hash the first time. Ranges add up in any
    /// order.
    #[inline]
    pub fn first(&mut self, page: usize, hash: u64) {
        if let Some(sum) = self.sums.get_mut(page) {
            *sum = sum.wrapping_add(hash);
        }
    }

    /// The same for the second reading.
    #[inline]
    pub fn second(&mut self, page: usize, hash: u64) {
        if let Some(sum) = self.sums.get_mut(page) {
            *sum = sum.wrapping_sub(hash);
        }
    }

    /// Declares `page` changing.
    #[inline]
    pub fn set_changing(&mut self, page: usize) {
        if let Some(word) = self.changing.get_mut(page / 64) {
            *word |= 1 << (page % 64);
        }
    }

    /// Whether `page` was declared changing.
    #[must_use]
    #[inline]
    pub fn is_changing(&self, page: usize) -> bool {
        self.changing
            .get(page / 64)
            .is_some_and(|word| word & (1 << (page % 64)) != 0)
    }

    /// Declares changing every page whose two readings differ.
    pub fn compare(&mut self) {
        for page in 0..self.sums.len() {
            if self.sums[page] != 0 {
                self.set_changing(page);
            }
        }
    }

    /// How many pages are held to be changing.
    #[must_use]
    pub fn changing_pages(&self) -> u64 {
        self.changing
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum()
    }
}

/// A hash of `words`, never 0 for the sake of [`PageChanges`]; not for use against an adversary:
/// a target that forges it deceives itself only.
#[must_use]
#[inline]
pub fn hash(at: u64, words: impl Iterator<Item = u64>) -> u64 {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    let sum = words.fold(at, |sum, word| {
        (sum.rotate_left(5) ^ word).wrapping_mul(MIX)
    });
    sum ^ (sum >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_that_differ_are_changing() {
        let mut changes = PageChanges::default();
        changes.cover(3);
        let (a, b) = (hash(8, [1, 2].into_iter()), hash(64, [3].into_iter()));
        changes.first(0, a);
        changes.first(0, b);
        changes.second(0, b);
        changes.second(0, a);
        changes.first(1, a);
        changes.second(1, hash(8, [2, 1].into_iter()));
        changes.compare();
        assert_eq!(
            [0, 1, 2].map(|page| changes.is_changing(page)),
            [false, true, false]
        );
        assert_eq!(changes.changing_pages(), 1);
    }
}
