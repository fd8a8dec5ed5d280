//! Who takes the words by which roots and stacks refer to objects.

use super::Marker;

/// Takes words that may be pointers.
pub trait WordSink {
    /// Takes one word.
    fn word(&mut self, word: u64);

    /// Takes every word of `bytes`.
    fn words(&mut self, bytes: &[u8]);
}

/// Follows them.
impl WordSink for Marker {
    fn word(&mut self, word: u64) {
        Self::word(self, word);
    }

    fn words(&mut self, bytes: &[u8]) {
        Self::words(self, bytes);
    }
}

/// Keeps them.
impl WordSink for Vec<u64> {
    fn word(&mut self, word: u64) {
        self.push(word);
    }

    fn words(&mut self, bytes: &[u8]) {
        self.extend(memory::words(bytes));
    }
}
