//! A file's bytes, loaded block by block as they are asked for.
//!
//! Target executables are never mapped: truncating a mapped file would kill us by SIGBUS.

use std::{borrow::Cow, fs::File, io, os::unix::fs::FileExt as _, sync::OnceLock};

const BLOCK: usize = 16 * 1024;

/// The bytes of one file. What has been read once stays as it was then.
#[derive(Debug)]
pub(super) struct FileBytes {
    file: File,
    len: u64,
    blocks: Vec<OnceLock<Box<[u8]>>>,
}

impl FileBytes {
    /// Takes the length now; nothing is read yet.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        let count = usize::try_from(len.div_ceil(BLOCK as u64)).unwrap_or(0);
        let mut blocks = Vec::new();
        blocks.resize_with(count, OnceLock::new);
        Ok(Self { file, len, blocks })
    }

    /// The file's length in bytes when it was opened.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    fn block(&self, index: usize) -> Option<&[u8]> {
        let slot = self.blocks.get(index)?;
        if slot.get().is_none() {
            let start = index as u64 * BLOCK as u64;
            let len = usize::try_from((self.len - start).min(BLOCK as u64)).ok()?;
            let mut bytes = vec![0; len];
            self.file.read_exact_at(&mut bytes, start).ok()?;
            // Two threads may read the same block; either's copy will do.
            let _ = slot.set(bytes.into_boxed_slice());
        }
        slot.get().map(|bytes| &**bytes)
    }

    /// `len` bytes at `offset`; `None` when the file does not hold them all.
    pub(super) fn get(&self, offset: u64, len: usize) -> Option<Cow<'_, [u8]>> {
        let end = offset.checked_add(len as u64)?;
        if end > self.len {
            return None;
        }
        let start = usize::try_from(offset).ok()?;
        let (first, skip) = (start / BLOCK, start % BLOCK);
        if len == 0 {
            return Some(Cow::Borrowed(&[]));
        }
        if skip + len <= BLOCK {
            return self.block(first)?.get(skip..skip + len).map(Cow::Borrowed);
        }
        let mut whole = Vec::with_capacity(len);
        let mut index = first;
        let mut from = skip;
        while whole.len() < len {
            let block = self.block(index)?;
            let take = (block.len().checked_sub(from)?).min(len - whole.len());
            whole.extend_from_slice(block.get(from..from + take)?);
            index += 1;
            from = 0;
        }
        Some(Cow::Owned(whole))
    }

    /// The bytes from `offset` to the end of its block: at least one, for byte-wise decoders.
    pub(super) fn tail(&self, offset: u64) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        let tail = self.block(start / BLOCK)?.get(start % BLOCK..)?;
        (!tail.is_empty()).then_some(tail)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn reads_across_blocks_and_stops_at_the_end() {
        let mut file = tempfile::tempfile().unwrap();
        let content: Vec<u8> = (0..BLOCK * 2 + 100).map(|i| (i % 251) as u8).collect();
        file.write_all(&content).unwrap();
        let bytes = FileBytes::new(file).unwrap();
        assert_eq!(bytes.get(5, 10).unwrap().as_ref(), &content[5..15]);
        assert_eq!(
            bytes.get(BLOCK as u64 - 3, BLOCK + 6).unwrap().as_ref(),
            &content[BLOCK - 3..2 * BLOCK + 3]
        );
        assert_eq!(bytes.get(content.len() as u64, 0).unwrap().len(), 0);
        assert!(bytes.get(content.len() as u64 - 1, 2).is_none());
        assert!(bytes.get(u64::MAX, 2).is_none());
        assert_eq!(bytes.tail(2 * BLOCK as u64 + 98).unwrap().len(), 2);
        assert!(bytes.tail(content.len() as u64).is_none());
    }

    #[test]
    fn a_file_truncated_after_opening_is_an_error_and_no_crash() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; BLOCK * 3]).unwrap();
        let bytes = FileBytes::new(file.reopen().unwrap()).unwrap();
        file.as_file().set_len(10).unwrap();
        assert!(bytes.get(BLOCK as u64, 8).is_none());
    }
}
