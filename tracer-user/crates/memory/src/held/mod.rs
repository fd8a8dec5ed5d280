//! A copy of a process's memory, made while it was held still.
//!
//! What the process has of its own is copied. What lies there as a file has it is read from the
//! file later on, and untouched memory is zero. Whatever else is asked for is not readable, and
//! noted: the copy is not whole then.

mod plan;

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustc_hash::FxHashSet;

pub use plan::{Room, Wanted};

use self::plan::batches;
use super::{
    LiveMemory, Memory, PAGE, Pages, ReadError, ReadRequest,
    pages::{PAGES_LIMIT, Page, bases},
};
use ids::{Pid, TargetAddr};
use process::{Backing, Mappings};

/// The copy.
pub struct HeldMemory {
    live: LiveMemory,
    executable: Option<File>,
    mappings: Mappings,
    bytes: Vec<u8>,
    /// How many of them are in use.
    filled: usize,
    /// By ascending address.
    pieces: Vec<Piece>,
    unreadable: FxHashSet<u64>,
    /// Pages that were not copied but are known to be as they were.
    others: Mutex<Pages>,
    missing: Mutex<FxHashSet<u64>>,
}

/// Pages that lie together.
struct Piece {
    at: u64,
    /// Where its bytes are.
    place: Range<usize>,
    /// For each page whether it was read.
    read: Box<[AtomicBool]>,
}

impl HeldMemory {
    /// Copies what is `wanted` of the process `pid`, which must be held still; `None` when `goes_on`
    /// says that there is no time left.
    ///
    /// # Errors
    /// When the process is gone, or the kernel refuses.
    pub fn copy(
        pid: Pid,
        wanted: &Wanted,
        room: Room,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<Option<Self>, ReadError> {
        let mappings = match wanted {
            Wanted::Own => Mappings::with_own_pages(pid),
            Wanted::Pages(_) => Mappings::of(pid),
        };
        let mut this = Self {
            live: LiveMemory::new(pid),
            executable: File::open(format!("/proc/{pid}/exe")).ok(),
            mappings: mappings.map_err(|error| match error.kind() {
                io::ErrorKind::PermissionDenied => ReadError::Denied,
                _ => ReadError::Gone,
            })?,
            bytes: room.0,
            filled: 0,
            pieces: Vec::new(),
            unreadable: FxHashSet::default(),
            others: Mutex::default(),
            missing: Mutex::default(),
        };
        for batch in batches(wanted, &this.mappings) {
            if !goes_on() {
                return Ok(None);
            }
            this.copy_batch(&batch)?;
        }
        this.pieces.sort_unstable_by_key(|piece| piece.at);
        Ok(goes_on().then_some(this))
    }

    fn copy_batch(&mut self, ranges: &[Range<u64>]) -> Result<(), ReadError> {
        let len = |range: &Range<u64>| usize::try_from(range.end - range.start).unwrap_or(0);
        let end = self.filled + ranges.iter().map(len).sum::<usize>();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let mut rest = &mut self.bytes[self.filled..end];
        let mut requests = Vec::with_capacity(ranges.len());
        for range in ranges {
            let (into, tail) = rest.split_at_mut(len(range));
            rest = tail;
            requests.push(ReadRequest {
                at: TargetAddr(range.start),
                into,
                ok: false,
            });
        }
        self.live.read_many(&mut requests)?;
        let copied: Vec<bool> = requests.iter().map(|request| request.ok).collect();
        for (range, copied) in ranges.iter().zip(copied) {
            let place = self.filled..self.filled + len(range);
            self.filled = place.end;
            let piece = Piece::new(range.start, place);
            if copied {
                self.pieces.push(piece);
            } else {
                self.copy_singly(&piece);
            }
        }
        Ok(())
    }

    /// Copies the pages of a piece in which one is not readable.
    fn copy_singly(&mut self, piece: &Piece) {
        for (base, start) in piece.pages() {
            let place = start..start + PAGE;
            let read = self
                .live
                .read(TargetAddr(base), &mut self.bytes[place.clone()]);
            if read.is_ok() {
                self.pieces.push(Piece::new(base, place));
            } else {
                self.unreadable.insert(base);
            }
        }
    }

    /// The pages that were asked for and that the process had, but that are not known as they were.
    #[must_use]
    pub fn missing(&self) -> Vec<u64> {
        let missing = self.missing.lock();
        let missing = missing.unwrap_or_else(PoisonError::into_inner);
        missing.iter().copied().collect()
    }

    /// How many bytes were copied.
    #[must_use]
    pub fn copied_bytes(&self) -> u64 {
        self.filled as u64
    }

    /// Everything that was read of it.
    #[must_use]
    pub fn read_pages(&self) -> Pages {
        let mut pages = Pages::default();
        let mut whole = self.is_whole();
        for piece in &self.pieces {
            let each = self.bytes[piece.place.clone()].as_chunks::<PAGE>().0.iter();
            for (((base, _), bytes), read) in piece.pages().zip(each).zip(&piece.read) {
                if read.load(Ordering::Relaxed) {
                    whole &= pages.add(base, Box::new(*bytes));
                }
            }
        }
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        for (base, page) in others.iter() {
            whole &= pages.add(base, page.clone());
        }
        if !whole {
            pages.set_lacking();
        }
        pages
    }

    fn piece(&self, base: u64) -> Option<&Piece> {
        let after = self.pieces.partition_point(|piece| piece.at <= base);
        let piece = self.pieces.get(after.checked_sub(1)?)?;
        (base - piece.at < piece.place.len() as u64).then_some(piece)
    }

    /// Copies from the page at `base`, `skip` bytes into it; whether it is known.
    fn copy_from_page(&self, base: u64, skip: usize, into: &mut [u8]) -> bool {
        if let Some(piece) = self.piece(base) {
            let at = usize::try_from(base - piece.at).unwrap_or(usize::MAX);
            piece.read[at / PAGE].store(true, Ordering::Relaxed);
            let from = piece.place.start + at + skip;
            into.copy_from_slice(&self.bytes[from..from + into.len()]);
            return true;
        }
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        if others.get(base).is_none() {
            let Some(page) = self.uncopied(base) else {
                return false;
            };
            if !others.add(base, page) {
                return false;
            }
        }
        others.get(base).is_some_and(|page| {
            into.copy_from_slice(&page[skip..skip + into.len()]);
            true
        })
    }

    /// A page that was not copied, where it is known all the same.
    fn uncopied(&self, base: u64) -> Option<Page> {
        let mapping = self.mappings.get(base)?;
        if self.unreadable.contains(&base) {
            return None;
        }
        let mut page = Box::new([0; PAGE]);
        let known = match (mapping.backing, self.mappings.own.is_some()) {
            (Backing::Zero, true) => true,
            (Backing::Executable { offset }, true) => {
                let at = offset + (base - mapping.range.start);
                self.executable.as_ref().is_some_and(|file| {
                    // Behind the end of the file there are zeroes up to the end of the page.
                    let read = file.read_at(&mut page[..], at);
                    read.is_ok_and(|read| read > 0)
                })
            }
            (Backing::Executable { .. } | Backing::File, _) if !mapping.writable => {
                let read = self.live.read(TargetAddr(base), &mut page[..]);
                read.is_ok()
            }
            _ => false,
        };
        if !known {
            let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
            if missing.len() < PAGES_LIMIT {
                missing.insert(base);
            }
        }
        known.then_some(page)
    }
}

impl Piece {
    fn new(at: u64, place: Range<usize>) -> Self {
        let read = (0..place.len() / PAGE).map(|_| AtomicBool::new(false));
        Self {
            at,
            read: read.collect(),
            place,
        }
    }

    /// The address of each page, and where its bytes are.
    fn pages(&self) -> impl Iterator<Item = (u64, usize)> + use<> {
        let places = self.place.clone().step_by(PAGE);
        (self.at..).step_by(PAGE).zip(places)
    }
}

impl Memory for HeldMemory {
    fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
        let len = into.len();
        let unmapped = ReadError::Unmapped { at, len };
        at.0.checked_add(len as u64).ok_or(unmapped)?;
        if len == 0 {
            return Ok(());
        }
        let mut done = 0;
        for base in bases(at, len) {
            let skip = usize::try_from((at.0 + done as u64) - base).map_err(|_| unmapped)?;
            let end = done + (PAGE - skip).min(len - done);
            if !self.copy_from_page(base, skip, &mut into[done..end]) {
                return Err(unmapped);
            }
            done = end;
        }
        Ok(())
    }

    fn is_whole(&self) -> bool {
        let missing = self.missing.lock();
        let missing = missing.unwrap_or_else(PoisonError::into_inner);
        missing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{plan::PAGE_BYTES, *};
    use crate::MemoryExt as _;

    /// Memory that nobody else writes to, of a process that goes on: ourselves.
    fn own_pages() -> (Vec<u64>, u64) {
        let words = vec![7_u64; 4 * PAGE / 8];
        let first = (words.as_ptr() as u64).next_multiple_of(PAGE_BYTES);
        (words, first)
    }

    fn copy(wanted: &Wanted) -> HeldMemory {
        let pid = Pid(std::process::id());
        HeldMemory::copy(pid, wanted, Room::default(), || true)
            .unwrap()
            .unwrap()
    }

    #[test]
    fn the_copy_is_of_its_moment() {
        let (mut words, first) = own_pages();
        let copy = copy(&Wanted::Own);
        words.fill(8);
        assert_eq!(copy.read_u64(TargetAddr(first)), Ok(7));
        let across = copy.read_u64(TargetAddr(first + PAGE_BYTES - 4));
        assert_eq!(across, Ok(7 << 32));
        assert!(copy.is_whole());
        assert_eq!(copy.read_pages().len(), 2);
        // Nothing is mapped there, so nothing is missing.
        assert!(copy.read_u64(TargetAddr(8)).is_err());
        assert!(copy.is_whole());
    }

    #[test]
    fn code_is_read_from_the_file() {
        let copy = copy(&Wanted::Own);
        let code = TargetAddr(the_copy_is_of_its_moment as fn() as usize as u64);
        let live = LiveMemory::new(Pid(std::process::id()));
        assert_eq!(copy.read_u64(code), live.read_u64(code));
        assert!(copy.piece(code.0 & !(PAGE_BYTES - 1)).is_none());
        assert_eq!(copy.read_pages().read_u64(code), live.read_u64(code));
    }

    #[test]
    fn what_was_not_copied_is_missing() {
        let (words, first) = own_pages();
        let copy = copy(&Wanted::Pages(vec![first + PAGE_BYTES, first]));
        assert_eq!(copy.pieces.len(), 1);
        assert_eq!(copy.read_u64(TargetAddr(first)), Ok(7));
        assert!(copy.is_whole());
        assert!(copy.read_u64(TargetAddr(first + 2 * PAGE_BYTES)).is_err());
        assert_eq!(copy.missing(), [first + 2 * PAGE_BYTES]);
        assert!(!copy.is_whole());
        let kept = copy.read_pages();
        assert_eq!((kept.len(), kept.is_whole()), (1, false));
        drop(words);
    }

    #[test]
    fn without_time_there_is_no_copy() {
        let pid = Pid(std::process::id());
        let copied = HeldMemory::copy(pid, &Wanted::Own, Room::default(), || false);
        assert!(copied.unwrap().is_none());
    }
}
