//! A file's bytes, loaded block by block as they are asked for.
//!
//! Target executables are never mapped: truncating a mapped file would kill us by SIGBUS.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fs::File,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{
    bounds::{ImageBounds, Keeping, MAX_FILE, SharedMemory, Size},
    refusal::Refusal,
    source::Source,
};
use resources::cancellation::is_cut;

const BLOCK: usize = 16 * 1024;
/// Blocks that lie side by side in one list; there is none where nothing was read.
const LIST: usize = 256;
/// Blocks that are remembered for a while where no more may be kept.
const PASSING: usize = 4;
/// The piece in which a long stretch is read.
const PIECE: u64 = 256 << 10;
/// A hole of this length in a table means that nobody wrote the table: file systems that turn zeros
/// into holes find none so long in a sound one.
const HOLE: u64 = 64 << 10;

type Block = Box<[u8]>;
type List = Box<[OnceLock<Block>]>;

/// The bytes of one file. What has been read once stays as it was then, as far as it is kept.
#[derive(Debug)]
pub struct FileBytes {
    source: Source,
    lists: Vec<OnceLock<List>>,
    keeping: Keeping,
    passing: Mutex<VecDeque<(usize, Arc<[u8]>)>>,
    /// Bytes that may still be read while the file is parsed.
    readable: AtomicU64,
}

impl FileBytes {
    /// Takes the length now; nothing is read yet. `path` is where `file` was opened.
    pub fn new(
        file: File,
        path: &Path,
        bounds: &ImageBounds,
        shared: &SharedMemory,
    ) -> Result<Self, Refusal> {
        let source = Source::new(file, path)?;
        let count = source.len().min(MAX_FILE).div_ceil((BLOCK * LIST) as u64);
        let mut lists = Vec::new();
        lists.resize_with(usize::try_from(count).unwrap_or(0), OnceLock::new);
        Ok(Self {
            source,
            lists,
            keeping: Keeping::new(shared.clone(), bounds.kept),
            passing: Mutex::default(),
            readable: AtomicU64::new(bounds.read),
        })
    }

    /// The file's length in bytes when it was opened.
    pub const fn len(&self) -> u64 {
        self.source.len()
    }

    /// Checks that the file may be an executable by its length.
    pub fn check_len(&self) -> Result<(), Refusal> {
        self.source.check_len()
    }

    /// The file has been parsed: it is closed unless there is leave to hold it open.
    pub fn parsed(&mut self) {
        self.source.release();
    }

    /// Where the file is found from now on.
    pub fn found_at(&self, path: &Path) {
        self.source.found_at(path);
    }

    /// Whether `bytes` more may be kept of tables that the image cannot do without; they count from
    /// then on.
    pub fn keeps(&self, bytes: u64) -> bool {
        self.keeping.take_for_table(bytes)
    }

    fn read_block(&self, index: usize) -> Option<Vec<u8>> {
        let start = index as u64 * BLOCK as u64;
        let len = usize::try_from(self.len().checked_sub(start)?.min(BLOCK as u64)).ok()?;
        let mut bytes = vec![0; len];
        self.source.read_exact_at(&mut bytes, start).ok()?;
        Some(bytes)
    }

    /// A block that is kept already.
    fn known(&self, index: usize) -> Option<&[u8]> {
        let list = self.lists.get(index / LIST)?.get()?;
        list[index % LIST].get().map(|block| &**block)
    }

    /// A block that is kept, if it is or may be.
    fn kept(&self, index: usize) -> Option<&[u8]> {
        if let Some(block) = self.known(index) {
            return Some(block);
        }
        let list = self.lists.get(index / LIST)?;
        let is_new = list.get().is_none();
        let cost = BLOCK
            + if is_new {
                size_of::<OnceLock<Block>>() * LIST
            } else {
                0
            };
        if !self.keeping.take(cost as u64) {
            return None;
        }
        let bytes = self.read_block(index)?;
        let list = list.get_or_init(|| (0..LIST).map(|_| OnceLock::new()).collect());
        // Two threads may read the same block; either's copy will do.
        let _ = list[index % LIST].set(bytes.into_boxed_slice());
        list[index % LIST].get().map(|bytes| &**bytes)
    }

    /// A block that nothing is kept of for long.
    fn passing(&self, index: usize) -> Option<Arc<[u8]>> {
        if let Some(bytes) = self.passing_known(index) {
            return Some(bytes);
        }
        let bytes: Arc<[u8]> = self.read_block(index)?.into();
        let mut passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        passing.truncate(PASSING - 1);
        passing.push_front((index, Arc::clone(&bytes)));
        Some(bytes)
    }

    fn passing_known(&self, index: usize) -> Option<Arc<[u8]>> {
        let passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = passing.iter().find(|(at, _)| *at == index);
        known.map(|(_, bytes)| Arc::clone(bytes))
    }

    /// The bytes of a block from `from` on, and no more than `most`.
    fn part(&self, index: usize, from: usize, most: usize) -> Option<Cow<'_, [u8]>> {
        let within = |len: usize| from..from.saturating_add(most).min(len);
        if let Some(block) = self.kept(index) {
            return block.get(within(block.len())).map(Cow::Borrowed);
        }
        let block = self.passing(index)?;
        let part = block.get(within(block.len()))?;
        Some(Cow::Owned(part.to_vec()))
    }

    /// `len` bytes at `offset`; `None` when the file does not hold them all.
    pub fn get(&self, offset: u64, len: usize) -> Option<Cow<'_, [u8]>> {
        let end = offset.checked_add(len as u64)?;
        if end > self.len() {
            return None;
        }
        if len == 0 {
            return Some(Cow::Borrowed(&[]));
        }
        let start = usize::try_from(offset).ok()?;
        let (first, skip) = (start / BLOCK, start % BLOCK);
        if skip + len <= BLOCK {
            return self.part(first, skip, len);
        }
        let mut whole = Vec::with_capacity(len);
        let (mut index, mut from) = (first, skip);
        while whole.len() < len {
            let part = self.part(index, from, len - whole.len())?;
            if part.is_empty() {
                return None;
            }
            whole.extend_from_slice(&part);
            (index, from) = (index + 1, 0);
        }
        Some(Cow::Owned(whole))
    }

    /// The bytes from `offset` on, at most `most` of them and at least one, for byte-wise decoders.
    pub fn tail(&self, offset: u64, most: usize) -> Option<Cow<'_, [u8]>> {
        let start = usize::try_from(offset).ok()?;
        let tail = self.part(start / BLOCK, start % BLOCK, most)?;
        (!tail.is_empty()).then_some(tail)
    }

    /// Likewise while the file is parsed; nothing is kept for it.
    pub fn glance(&self, offset: u64, most: usize) -> Result<Option<Vec<u8>>, Refusal> {
        let mut bytes = Vec::new();
        let end = offset.saturating_add(most as u64).min(self.len());
        let mut at = offset;
        while at < end {
            let (Ok(index), skip) = (
                usize::try_from(at / BLOCK as u64),
                (at % BLOCK as u64) as usize,
            ) else {
                break;
            };
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let part =
                |block: &[u8]| block[skip..block.len().min(skip.saturating_add(left))].to_vec();
            let known = self.known(index).map(part);
            let part = match known.or_else(|| self.passing_known(index).as_deref().map(part)) {
                Some(part) => part,
                None => {
                    self.read_on(BLOCK as u64)?;
                    let Some(block) = self.passing(index) else {
                        break;
                    };
                    part(&block)
                }
            };
            at += part.len() as u64;
            bytes.extend(part);
        }
        Ok((!bytes.is_empty()).then_some(bytes))
    }

    /// Checks that a table of `len` bytes at `offset` is there: in the file, no longer than `most`,
    /// and written by somebody. `what` names it in the refusal.
    pub fn check_table(&self, what: &str, offset: u64, len: u64, most: u64) -> Result<(), Refusal> {
        if len > most {
            let (len, most) = (Size(len), Size(most));
            return Err(Refusal::unfit(format!(
                "its {what} claims {len}, and {most} is the most that is read"
            )));
        }
        let end = offset.checked_add(len).filter(|end| *end <= self.len());
        let Some(end) = end else {
            return Err(Refusal::unfit(format!(
                "its {what} goes beyond the end of the file"
            )));
        };
        let mut from = offset;
        while end - from >= HOLE {
            let run = self.source.data(from, end)?;
            let hole = run.map_or(end, |run| run.start) - from;
            if hole >= HOLE {
                return Err(Refusal::unfit(format!(
                    "its {what} has a hole of {}: nobody wrote it",
                    Size(hole)
                )));
            }
            let Some(run) = run else { break };
            from = run.end;
        }
        Ok(())
    }

    /// A whole table, which is not kept.
    pub fn table(&self, what: &str, offset: u64, len: u64, most: u64) -> Result<Vec<u8>, Refusal> {
        self.check_table(what, offset, len, most)?;
        self.read_on(len)?;
        let len =
            usize::try_from(len).map_err(|_| Refusal::unfit(format!("its {what} is too long")))?;
        let mut bytes = vec![0; len];
        self.source.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// Hands all that was written between `offset` and `offset + len` to `each`, piece by piece with
    /// where it lies, until that breaks off. Pieces begin at a multiple of `unit` bytes from `offset`,
    /// and all but the last one have a multiple of it. Holes are left out. Nothing is kept.
    pub fn scan(
        &self,
        offset: u64,
        len: u64,
        unit: u64,
        mut each: impl FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Refusal> {
        let end = offset.saturating_add(len).min(self.len());
        let most = PIECE.next_multiple_of(unit);
        let mut buffer = vec![0; usize::try_from(most.min(len)).unwrap_or(0)];
        let mut at = offset;
        while let Some(run) = self
            .source
            .data(at, end)
            .map(|run| run.filter(|_| at < end))?
        {
            // Whoever reads units sees those that begin in a hole and end in data, too.
            at = (offset + (run.start.max(at) - offset) / unit * unit).max(at);
            while at < run.end {
                if is_cut() {
                    return Err(Refusal::Cut);
                }
                let piece = most.min(end - at);
                self.read_on(piece)?;
                let bytes = &mut buffer[..usize::try_from(piece).unwrap_or(0)];
                self.source.read_exact_at(bytes, at)?;
                if each(at, bytes).is_break() {
                    return Ok(());
                }
                at += piece;
            }
        }
        Ok(())
    }

    /// Accounts for `bytes` that are read while the file is parsed.
    fn read_on(&self, bytes: u64) -> Result<(), Refusal> {
        let less = |left: u64| left.checked_sub(bytes);
        let order = Ordering::Relaxed;
        let left = self.readable.fetch_update(order, order, less);
        left.map(|_| ()).map_err(|_| {
            Refusal::unfit("its tables lead to more of the file than is read of one executable")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, os::unix::fs::FileExt as _};

    use super::*;

    fn bounds(kept: u64) -> ImageBounds {
        ImageBounds {
            kept,
            ..ImageBounds::COMMAND
        }
    }

    fn open(file: &tempfile::NamedTempFile, kept: u64) -> FileBytes {
        let opened = file.reopen().unwrap();
        FileBytes::new(opened, file.path(), &bounds(kept), &SharedMemory::default()).unwrap()
    }

    #[test]
    fn reads_across_blocks_and_stops_at_the_end_kept_or_not() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let content: Vec<u8> = (0..BLOCK * 2 + 100).map(|i| (i % 251) as u8).collect();
        file.write_all(&content).unwrap();
        for kept in [1 << 20, 0] {
            let bytes = open(&file, kept);
            assert_eq!(bytes.get(5, 10).unwrap().as_ref(), &content[5..15]);
            assert_eq!(
                bytes.get(BLOCK as u64 - 3, BLOCK + 6).unwrap().as_ref(),
                &content[BLOCK - 3..2 * BLOCK + 3]
            );
            assert_eq!(bytes.get(content.len() as u64, 0).unwrap().len(), 0);
            assert!(bytes.get(content.len() as u64 - 1, 2).is_none());
            assert!(bytes.get(u64::MAX, 2).is_none());
            assert_eq!(bytes.tail(2 * BLOCK as u64 + 98, 99).unwrap().len(), 2);
            assert_eq!(bytes.tail(7, 3).unwrap().as_ref(), &content[7..10]);
            assert!(bytes.tail(content.len() as u64, 1).is_none());
        }
    }

    #[test]
    fn a_file_truncated_after_opening_is_an_error_and_no_crash() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; BLOCK * 3]).unwrap();
        let bytes = open(&file, 1 << 20);
        file.as_file().set_len(10).unwrap();
        assert!(bytes.get(BLOCK as u64, 8).is_none());
        assert!(bytes.table("table", 0, 100, 100).is_err());
    }

    /// 4 MiB, of which 8 KiB at 1 MiB are written.
    fn sparse() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4 << 20).unwrap();
        file.as_file().write_all_at(&[1; 8192], 1 << 20).unwrap();
        file
    }

    #[test]
    fn tables_are_refused_that_are_too_long_or_that_nobody_wrote() {
        let file = sparse();
        let bytes = open(&file, 0);
        let refusal = |offset, len, most| {
            let refused = bytes.check_table("symbol table", offset, len, most);
            refused
                .err()
                .map(|refusal| refusal.to_string())
                .unwrap_or_default()
        };
        assert!(refusal(1 << 20, 8192, 8191).contains("claims 8 kB"));
        assert!(refusal(4 << 20, 1, 8).contains("beyond the end"));
        assert!(refusal(0, 2 << 20, 4 << 20).contains("has a hole of 1 MB"));
        assert!(refusal(1 << 20, 1 << 20, 4 << 20).contains("has a hole of 1 MB"));
        assert_eq!(refusal(1 << 20, 8192, 8192), "");
        assert_eq!(refusal((1 << 20) - 100, 8192, 8192), "");
        assert_eq!(bytes.table("table", 1 << 20, 3, 3).unwrap(), [1, 1, 1]);
    }

    #[test]
    fn a_scan_leaves_out_holes_and_ends_when_too_much_is_read() {
        let file = sparse();
        let bytes = open(&file, 0);
        let mut ones = 0;
        let mut seen = 0;
        bytes
            .scan(4, 4 << 20, 24, |at, piece| {
                assert_eq!((at - 4) % 24, 0);
                seen += piece.len();
                ones += piece.iter().filter(|byte| **byte == 1).count();
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(ones, 8192);
        assert!(seen < 1 << 20, "{seen}");
        let greedy = || bytes.scan(1 << 20, 8192, 8, |_, _| ControlFlow::Continue(()));
        bytes.readable.store(10_000, Ordering::Relaxed);
        assert!(greedy().is_ok() && greedy().is_err());
    }

    #[test]
    fn what_many_keep_together_is_bounded() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; BLOCK * 64]).unwrap();
        let shared = SharedMemory::of(40 * BLOCK as u64);
        let images: Vec<FileBytes> = (0..2)
            .map(|_| {
                let opened = file.reopen().unwrap();
                FileBytes::new(opened, file.path(), &bounds(u64::MAX), &shared).unwrap()
            })
            .collect();
        for image in &images {
            assert_eq!(image.get(0, BLOCK * 64).unwrap().len(), BLOCK * 64);
        }
        assert!(shared.held() <= 20 * BLOCK as u64);
        drop(images);
        assert_eq!(shared.held(), 0);
    }
}
