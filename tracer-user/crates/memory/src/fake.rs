//! A memory made of byte ranges, for tests and for fuzzing the readers above it.

use std::collections::BTreeMap;

use super::{Memory, ReadError};
use ids::TargetAddr;

/// Disjoint byte ranges at chosen addresses; everything else is unmapped.
#[derive(Debug, Default, Clone)]
pub struct FakeMemory {
    ranges: BTreeMap<u64, Vec<u8>>,
}

impl FakeMemory {
    /// A memory in which nothing is mapped.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Maps `bytes` at `at`. Ranges must not overlap: the later one hides nothing of the earlier.
    pub fn map(&mut self, at: TargetAddr, bytes: Vec<u8>) -> &mut Self {
        self.ranges.insert(at.0, bytes);
        self
    }

    /// Maps little-endian 64-bit `words` at `at`.
    pub fn map_words(&mut self, at: TargetAddr, words: &[u64]) -> &mut Self {
        self.map(at, words.iter().flat_map(|w| w.to_le_bytes()).collect())
    }
}

impl Memory for FakeMemory {
    fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
        let len = into.len();
        let unmapped = ReadError::Unmapped { at, len };
        let (start, bytes) = self.ranges.range(..=at.0).next_back().ok_or(unmapped)?;
        let skip = usize::try_from(at.0 - start).map_err(|_| unmapped)?;
        let end = skip.checked_add(len).ok_or(unmapped)?;
        into.copy_from_slice(bytes.get(skip..end).ok_or(unmapped)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryExt as _;

    #[test]
    fn reads_within_a_range_and_nowhere_else() {
        let mut memory = FakeMemory::new();
        memory.map_words(TargetAddr(0x1000), &[1, 2]);
        assert_eq!(memory.read_u64(TargetAddr(0x1008)), Ok(2));
        assert!(memory.read_u64(TargetAddr(0x100c)).is_err());
        assert!(memory.read_u64(TargetAddr(0xfff)).is_err());
        assert!(memory.read_u64(TargetAddr(u64::MAX)).is_err());
    }
}
