//! Finalizers and cleanups that are due: queued by the sweeper, not yet run.

use ids::TargetAddr;
use memory::{Memory, MemoryExt as _, ReadError, words};

/// `finBlockSize` and `cleanupBlockSize` (`runtime/mfinal.go`, `runtime/mcleanup.go`).
const BLOCK_BYTES: usize = 4096;
/// Blocks are never freed; this many would hold millions of queued finalizers.
const MAX_BLOCKS: usize = 1 << 18;

/// `runtime.allfin`: every `finBlock`, chained by its first word.
#[derive(Debug, Clone, Copy)]
pub struct FinalizerQueue {
    /// Address of the variable.
    pub head: TargetAddr,
}

/// `runtime.gcCleanups.all` (Go 1.25 and later): every `cleanupBlock`, chained by its third word.
#[derive(Debug, Clone, Copy)]
pub struct CleanupQueue {
    /// Address of the field.
    pub head: TargetAddr,
}

impl FinalizerQueue {
    /// Every word of the queued finalizers: function, argument, types.
    ///
    /// # Errors
    /// When a block cannot be read, or there are too many.
    pub fn words(&self, memory: &dyn Memory) -> Result<Vec<u64>, ReadError> {
        // {alllink, next, cnt uint32, _ int32, fin [...]finalizer{fn, arg, nret, fint, ot}}
        queued(memory, self.head, 0, 2, 3, 5)
    }
}

impl CleanupQueue {
    /// Every word of the queued cleanups.
    ///
    /// # Errors
    /// When a block cannot be read, or there are too many.
    pub fn words(&self, memory: &dyn Memory) -> Result<Vec<u64>, ReadError> {
        // {lfnode {next, pushcnt}, alllink, n uint32, cleanups [...]}: a cleanup has one word up
        // to Go 1.26 and three later; counting three only looks at more.
        queued(memory, self.head, 2, 3, 4, 3)
    }
}

/// Follows the blocks from the pointer at `head` by the word `link`, takes the count from the word
/// `count`, and the entries of `entry` words from the word `first` on.
fn queued(
    memory: &dyn Memory,
    head: TargetAddr,
    link: usize,
    count: usize,
    first: usize,
    entry: usize,
) -> Result<Vec<u64>, ReadError> {
    let mut found = Vec::new();
    let mut block = memory.read_addr(head)?;
    for _ in 0..MAX_BLOCKS {
        if block.is_nil() {
            return Ok(found);
        }
        let bytes = memory.read_vec(block, BLOCK_BYTES, BLOCK_BYTES)?;
        let words: Vec<u64> = words(&bytes).collect();
        let queued = usize::try_from(words[count] & 0xffff_ffff).unwrap_or(0);
        let end = first.saturating_add(queued.saturating_mul(entry));
        found.extend(
            words[first..end.min(words.len())]
                .iter()
                .filter(|w| **w != 0),
        );
        block = TargetAddr(words[link]);
    }
    Err(ReadError::TooLong {
        at: head,
        len: usize::MAX,
        limit: MAX_BLOCKS * BLOCK_BYTES,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::FakeMemory;

    #[test]
    fn only_queued_entries_of_every_block_count() {
        let mut memory = FakeMemory::new();
        let mut first = vec![0; 512];
        first[..9].copy_from_slice(&[0x3000, 0, 1, 0xa, 0xb, 1, 0xc, 0xd, 0xe]);
        let mut second = vec![0; 512];
        second[3] = 0xf;
        memory.map_words(TargetAddr(0x1000), &[0x2000]);
        memory.map_words(TargetAddr(0x2000), &first);
        memory.map_words(TargetAddr(0x3000), &second);
        let queue = FinalizerQueue {
            head: TargetAddr(0x1000),
        };
        assert_eq!(queue.words(&memory).unwrap(), [0xa, 0xb, 1, 0xc, 0xd]);
    }
}
