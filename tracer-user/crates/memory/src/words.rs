//! Bytes as words.

/// The whole words of `bytes`, as the target has them: little-endian on every architecture that is
/// read.
#[inline]
pub fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let (words, _) = bytes.as_chunks();
    words.iter().map(|word| u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_first_byte_is_the_lowest_and_what_is_no_whole_word_is_left_out() {
        let bytes: Vec<u8> = (1..20).collect();
        let words: Vec<u64> = super::words(&bytes).collect();
        assert_eq!(words, [0x0807_0605_0403_0201, 0x100f_0e0d_0c0b_0a09]);
    }
}
