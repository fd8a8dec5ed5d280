//! Which pages changed between two readings, without any help of the kernel's.
//!
//! The kernel could tell by soft-dirty bits, but clearing them write-protects the whole target, and
//! many kernels are built without them; its newer write tracking needs a `userfaultfd` inside the
//! target. So the walk compares what it read: a sum of the hashes of everything read in a page.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::bitmap::{Bitmap, runs};

/// How each page looked when it was last read, and which pages are held to be changing. Several
/// threads may note things of different pages at once.
#[derive(Debug, Default)]
pub(super) struct PageChanges {
    sums: Vec<AtomicU64>,
    changing: Bitmap,
}

impl PageChanges {
    /// Makes room for `pages` pages.
    pub(super) fn cover(&mut self, pages: usize) {
        if self.sums.len() < pages {
            self.sums.resize_with(pages, AtomicU64::default);
            self.changing.cover(pages.div_ceil(64));
        }
    }

    /// Notes that a range of `page` was read with this hash the first time. Ranges add up in any
    /// order.
    pub(super) fn first(&self, page: usize, hash: u64) {
        if let Some(sum) = self.sums.get(page) {
            sum.store(sum.load(Relaxed).wrapping_add(hash), Relaxed);
        }
    }

    /// Whether `page` was found to change.
    #[must_use]
    pub(super) fn is_changing(&self, page: usize) -> bool {
        self.changing.contains(page as u64)
    }

    /// `page` was read again, all of it that was read before, with this hash in all: it is held to
    /// be changing from now on if it looks different.
    pub(super) fn again(&self, page: usize, hash: u64) {
        let sum = self.sums.get(page).map(|sum| sum.load(Relaxed));
        if sum.is_some_and(|sum| sum != hash) {
            self.changing.insert(page as u64);
        }
    }

    /// The pages that are held to be changing, ascending.
    pub(super) fn changing(&self) -> impl Iterator<Item = usize> + '_ {
        let words = (0..self.sums.len().div_ceil(64)).map(|at| self.changing.word(at));
        runs(words).flat_map(|(first, count)| first as usize..(first + count) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page_hash::hash;

    #[test]
    fn only_pages_that_differ_are_changing() {
        let mut changes = PageChanges::default();
        changes.cover(3);
        let (a, b) = (hash(8, [1, 2].into_iter()), hash(64, [3].into_iter()));
        changes.first(0, a);
        changes.first(0, b);
        changes.first(1, a);
        changes.again(0, a.wrapping_add(b));
        changes.again(1, hash(8, [2, 1].into_iter()));
        changes.again(2, 0);
        assert_eq!(
            [0, 1, 2].map(|page| changes.is_changing(page)),
            [false, true, false]
        );
        assert_eq!(changes.changing().collect::<Vec<_>>(), [1]);
    }
}
