//! One bit for each object of the heap, in one row; several threads may set them at once.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bits in words of 64. A word that is not there reads as 0, and is not written.
///
/// No order between two words matters to anyone: who must see a bit that another thread has set
/// waits for that thread to end.
#[derive(Debug, Default)]
pub(super) struct Bitmap(Vec<AtomicU64>);

impl Bitmap {
    /// Makes room for so many words.
    pub(super) fn cover(&mut self, words: usize) {
        if self.0.len() < words {
            self.0.resize_with(words, AtomicU64::default);
        }
    }

    /// Word number `at`.
    #[inline]
    pub(super) fn word(&self, at: usize) -> u64 {
        self.0.get(at).map_or(0, |word| word.load(Relaxed))
    }

    /// Whether bit number `at` is set.
    #[inline]
    pub(super) fn contains(&self, at: u64) -> bool {
        self.word((at / 64) as usize) & (1 << (at % 64)) != 0
    }

    /// Sets bit number `at`. Whether it was not set.
    #[inline]
    pub(super) fn insert(&self, at: u64) -> bool {
        let bit = 1 << (at % 64);
        let word = self.0.get((at / 64) as usize);
        word.is_some_and(|word| word.fetch_or(bit, Relaxed) & bit == 0)
    }

    /// As [`Self::insert`], if no other thread writes meanwhile.
    #[inline]
    pub(super) fn insert_alone(&self, at: u64) -> bool {
        let (bit, at) = (1 << (at % 64), (at / 64) as usize);
        let Some(word) = self.0.get(at) else {
            return false;
        };
        let before = word.load(Relaxed);
        word.store(before | bit, Relaxed);
        before & bit == 0
    }

    /// Sets `bits` in word `at`, which no other thread writes meanwhile.
    #[inline]
    pub(super) fn add_alone(&self, at: usize, bits: u64) {
        if let Some(word) = self.0.get(at) {
            word.store(word.load(Relaxed) | bits, Relaxed);
        }
    }

    /// Takes bit number `at` out. Whether it was set.
    pub(super) fn remove(&mut self, at: u64) -> bool {
        let bit = 1 << (at % 64);
        let Some(word) = self.0.get_mut((at / 64) as usize) else {
            return false;
        };
        let before = *word.get_mut();
        *word.get_mut() = before & !bit;
        before & bit != 0
    }
}

/// The runs of neighbours among the bits of `words`: the number of the first, and how many there
/// are.
pub(super) fn runs(words: impl Iterator<Item = u64>) -> impl Iterator<Item = (u32, u32)> {
    let mut words = words.zip((0..).step_by(64)).peekable();
    let mut rest = 0_u64;
    let mut base = 0_u32;
    std::iter::from_fn(move || {
        while rest == 0 {
            (rest, base) = words.next()?;
        }
        let first = rest.trailing_zeros();
        let mut count = (rest >> first).trailing_ones();
        rest &= u64::MAX.checked_shl(first + count).unwrap_or(0);
        let start = base + first;
        // Up to the end of the word: it may go on in the next.
        while start + count == base + 64 {
            let Some((next, at)) = words.next_if(|(next, _)| next & 1 == 1) else {
                break;
            };
            let more = next.trailing_ones();
            count += more;
            rest = next & u64::MAX.checked_shl(more).unwrap_or(0);
            base = at;
        }
        Some((start, count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_was_inserted_is_there_until_it_is_taken_out() {
        let mut bits = Bitmap::default();
        bits.cover(2);
        assert!(bits.insert(70) && !bits.insert(70));
        bits.add_alone(0, 0b101);
        assert!(bits.insert_alone(3) && !bits.insert_alone(3));
        assert!(bits.contains(0) && !bits.contains(1) && bits.contains(2) && bits.contains(70));
        assert!(bits.remove(70) && !bits.remove(70) && !bits.contains(70));
        // Where there is no room.
        assert!(!bits.insert(128) && !bits.contains(128) && !bits.remove(128));
    }

    proptest! {
        #[test]
        fn runs_are_exactly_the_bits(words in prop::collection::vec(
            prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), Just(u64::MAX << 63), Just(1)],
            0..6,
        )) {
            let mut found = vec![0; words.len()];
            let mut end = None;
            for (first, count) in runs(words.iter().copied()) {
                // Apart from the run before, and not empty.
                prop_assert!(count > 0 && end.is_none_or(|end| first > end));
                end = Some(first + count);
                for bit in first..first + count {
                    found[bit as usize / 64] |= 1_u64 << (bit % 64);
                }
            }
            prop_assert_eq!(found, words);
        }
    }
}
