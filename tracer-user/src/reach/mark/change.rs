//! Which pages changed between two readings, without any help of the kernel's.
//!
//! The kernel could tell by soft-dirty bits, but clearing them write-protects the whole target, and
//! many kernels are built without them; its newer write tracking needs a `userfaultfd` inside the
//! target. So the walk compares what it read: a sum of the hashes of everything read in a page.

/// How each page looked when it was last read, and which pages are held to be changing.
#[derive(Debug, Default)]
pub(super) struct PageChanges {
    sums: Vec<u64>,
    changing: Vec<u64>,
}

impl PageChanges {
    /// Makes room for `pages` pages.
    pub(super) fn cover(&mut self, pages: usize) {
        if self.sums.len() < pages {
            self.sums.resize(pages, 0);
            self.changing.resize(pages.div_ceil(64), 0);
        }
    }

    /// Notes that a range of `page` was read with this hash the first time. Ranges add up in any
    /// order.
    #[inline]
    pub(super) fn first(&mut self, page: usize, hash: u64) {
        if let Some(sum) = self.sums.get_mut(page) {
            *sum = sum.wrapping_add(hash);
        }
    }

    /// Whether `page` was found to change.
    #[must_use]
    #[inline]
    pub(super) fn is_changing(&self, page: usize) -> bool {
        self.changing
            .get(page / 64)
            .is_some_and(|word| word & (1 << (page % 64)) != 0)
    }

    /// `page` was read again, all of it that was read before, with this hash in all: it is held to
    /// be changing from now on if it looks different.
    pub(super) fn again(&mut self, page: usize, hash: u64) {
        if self.sums.get(page).is_some_and(|sum| *sum != hash)
            && let Some(word) = self.changing.get_mut(page / 64)
        {
            *word |= 1 << (page % 64);
        }
    }

    /// How many pages are held to be changing.
    #[must_use]
    pub(super) fn changing_pages(&self) -> u64 {
        self.changing
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum()
    }
}

/// A hash of `words`, which lie at `at`: a sum over the words, so that any way of cutting a range
/// into pieces gives the same. Not for use against an adversary: a target that forges it deceives
/// itself only.
///
/// The sum is NH of UMAC (RFC 4418, 5.2.2): two different contents have the same sum with a
/// probability of 2^-32 at most, over the keys, which are drawn from the address here.
#[must_use]
#[inline]
pub(super) fn hash(at: u64, words: impl Iterator<Item = u64>) -> u64 {
    const PLACE: u64 = 0x9e37_79b9_7f4a_7c15;
    let halves = |word: u64| (word as u32, (word >> 32) as u32);
    let mut place = at.wrapping_mul(PLACE);
    let mut sum = 0_u64;
    for word in words {
        let ((low, high), (key, other)) = (halves(word), halves(place));
        let product = u64::from(low.wrapping_add(key)) * u64::from(high.wrapping_add(other));
        sum = sum.wrapping_add(product);
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
        assert_eq!(changes.changing_pages(), 1);
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
