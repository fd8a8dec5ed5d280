//! Reading scattered ranges of the target in large batches, with a fixed buffer.

use ids::TargetAddr;
use memory::{Memory, ReadError, ReadRequest};

/// A run of bytes in the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    /// First byte.
    pub at: TargetAddr,
    /// Length in bytes.
    pub len: u64,
}

impl Range {
    /// `[start, end)`, empty when they are the wrong way round, cut to whole words.
    #[must_use]
    pub const fn between(start: TargetAddr, end: TargetAddr) -> Self {
        // No whole word begins at or behind the last bytes that there can be.
        let Some(first) = start.0.checked_next_multiple_of(8) else {
            return Self { at: start, len: 0 };
        };
        Self {
            at: TargetAddr(first),
            len: end.0.saturating_sub(first) / 8 * 8,
        }
    }
}

/// What one batch may hold: little enough to be in the cache still when it is looked at.
const BATCH_BYTES: usize = 256 << 10;

/// A buffer for batches of ranges.
#[derive(Debug)]
pub struct RangeReader {
    buffer: Vec<u8>,
    /// Bytes read so far.
    pub bytes_read: u64,
    /// Ranges that could not be read.
    pub unreadable: u64,
}

impl Default for RangeReader {
    fn default() -> Self {
        Self {
            buffer: vec![0; BATCH_BYTES],
            bytes_read: 0,
            unreadable: 0,
        }
    }
}

impl RangeReader {
    /// Reads `ranges` and hands each readable one over, in order; a range longer than the buffer
    /// comes in pieces, each with its own start. Unreadable ranges are counted and left out.
    ///
    /// # Errors
    /// When the target is gone, or must not be read.
    pub fn read(
        &mut self,
        memory: &dyn Memory,
        ranges: &[Range],
        mut each: impl FnMut(Range, &[u8]),
    ) -> Result<(), ReadError> {
        let mut batch: Vec<Range> = Vec::new();
        let mut held = 0;
        for range in ranges {
            let mut rest = *range;
            while rest.len > 0 {
                let room = (BATCH_BYTES - held) as u64;
                let piece = rest.len.min(room);
                batch.push(Range {
                    at: rest.at,
                    len: piece,
                });
                held += usize::try_from(piece).unwrap_or(0);
                rest = Range {
                    at: rest.at.offset(piece),
                    len: rest.len - piece,
                };
                if held == BATCH_BYTES {
                    self.read_batch(memory, &batch, &mut each)?;
                    batch.clear();
                    held = 0;
                }
            }
        }
        self.read_batch(memory, &batch, &mut each)
    }

    fn read_batch(
        &mut self,
        memory: &dyn Memory,
        batch: &[Range],
        each: &mut impl FnMut(Range, &[u8]),
    ) -> Result<(), ReadError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut rest = self.buffer.as_mut_slice();
        let mut requests = Vec::with_capacity(batch.len());
        for range in batch {
            let (into, tail) = rest.split_at_mut(usize::try_from(range.len).unwrap_or(0));
            rest = tail;
            requests.push(ReadRequest {
                at: range.at,
                into,
                ok: false,
            });
        }
        memory.read_many(&mut requests)?;
        for (range, request) in batch.iter().zip(&requests) {
            if request.ok {
                self.bytes_read += range.len;
                each(*range, request.into);
            } else {
                self.unreadable += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::FakeMemory;

    #[test]
    fn a_range_is_cut_to_whole_words() {
        let range = |start, end| {
            let range = Range::between(TargetAddr(start), TargetAddr(end));
            (range.at.0, range.len)
        };
        assert_eq!(range(0x11, 0x2f), (0x18, 0x10));
        assert_eq!(range(0x30, 0x20), (0x30, 0));
        assert_eq!(range(u64::MAX - 1, u64::MAX).1, 0);
    }

    #[test]
    fn a_long_range_comes_in_pieces_and_a_hole_is_skipped() {
        let mut memory = FakeMemory::new();
        let long = BATCH_BYTES as u64 + 4096;
        memory.map(TargetAddr(0x10_0000), vec![1; BATCH_BYTES + 4096]);
        memory.map(TargetAddr(0x8000_0000), vec![2; 64]);
        let range = |at, len| Range {
            at: TargetAddr(at),
            len,
        };
        let mut reader = RangeReader::default();
        let mut seen = 0;
        let ranges = [
            range(0x10_0000, long),
            range(0x20, 8),
            range(0x8000_0000, 64),
        ];
        reader
            .read(&memory, &ranges, |range, bytes| {
                assert_eq!(bytes.len() as u64, range.len);
                seen += range.len;
            })
            .unwrap();
        assert_eq!((seen, reader.unreadable), (long + 64, 1));
    }

    #[test]
    fn only_whole_aligned_words_are_wanted() {
        let range = Range::between(TargetAddr(0x1001), TargetAddr(0x101f));
        assert_eq!((range.at.0, range.len), (0x1008, 16));
        assert_eq!(Range::between(TargetAddr(9), TargetAddr(8)).len, 0);
    }
}
