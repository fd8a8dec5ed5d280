//! A hash by which to tell whether memory still looks the same.

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
    fn pieces_add_up_to_the_whole_and_places_matter() {
        let whole = hash(8, [1, 2, 3].into_iter());
        let pieces = hash(8, [1].into_iter()).wrapping_add(hash(16, [2, 3].into_iter()));
        assert_eq!(whole, pieces);
        assert_ne!(whole, hash(8, [2, 1, 3].into_iter()));
        assert_ne!(whole, hash(16, [1, 2, 3].into_iter()));
    }
}
