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

/// A hash of `words`, which lie at `at`: a sum over the words, so that any way of cutting a range
/// into pieces gives the same. Not for use against an adversary: a target that forges it deceives
/// itself only.
///
/// The sum is that of NH of UMAC (RFC 4418, 5.2.2), but for adding key and word as 64 bits and not
/// as two times 32: two different contents have the same sum with a probability of 2^-31 at most,
/// over the keys, which are drawn from the address here.
#[must_use]
#[inline]
pub(super) fn hash(at: u64, words: impl Iterator<Item = u64>) -> u64 {
    const PLACE: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut place = at.wrapping_mul(PLACE);
    let mut sum = 0_u64;
    for word in words {
        let keyed = word.wrapping_add(place);
        sum = sum.wrapping_add((keyed & 0xffff_ffff) * (keyed >> 32));
        place = place.wrapping_add(PLACE.wrapping_mul(8));
    }
    sum
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

    #[test]
    fn pieces_add_up_to_the_whole_and_places_matter() {
        let whole = hash(8, [1, 2, 3].into_iter());
        let pieces = hash(8, [1].into_iter()).wrapping_add(hash(16, [2, 3].into_iter()));
        assert_eq!(whole, pieces);
        assert_ne!(whole, hash(8, [2, 1, 3].into_iter()));
        assert_ne!(whole, hash(16, [1, 2, 3].into_iter()));
    }
}
