//! A memory that keeps what was read, and the memory made of what was kept.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::{Memory, ReadError};
use crate::ids::TargetAddr;

/// Bytes of one page.
pub const PAGE: usize = 4096;
/// Most pages kept (2 GiB); what is read beyond is missing afterwards, and said to be.
pub const PAGES_LIMIT: usize = 512 << 10;

/// One page.
pub type Page = Box<[u8; PAGE]>;

/// Another memory, and a copy of every page of it that was read. The target must stand still: of a
/// page that changes the copy has the last state only.
pub struct RecordingMemory<M> {
    memory: M,
    pages: Mutex<Pages>,
}

/// Pages by their addresses.
#[derive(Debug, Default)]
pub struct Pages {
    pages: BTreeMap<u64, Page>,
}

impl<M: Memory> RecordingMemory<M> {
    /// Reads `memory`, and has read nothing yet.
    pub fn new(memory: M) -> Self {
        Self {
            memory,
            pages: Mutex::default(),
        }
    }

    /// Everything that was read until now; what is read from now on is kept anew.
    pub fn take(&self) -> Pages {
        std::mem::take(&mut self.pages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the pages that hold `len` bytes at `at`. A page that is not readable whole is none.
    fn keep(&self, at: TargetAddr, len: usize) {
        let mut kept = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        for base in bases(at, len) {
            if kept.pages.len() >= PAGES_LIMIT || kept.pages.contains_key(&base) {
                continue;
            }
            let mut page = Box::new([0; PAGE]);
            if self.memory.read(TargetAddr(base), &mut page[..]).is_ok() {
                kept.pages.insert(base, page);
            }
        }
    }
}

/// The addresses of the pages that hold `len` bytes at `at`.
fn bases(at: TargetAddr, len: usize) -> impl Iterator<Item = u64> {
    let page = PAGE as u64;
    let first = at.0 / page;
    let last = at.0.saturating_add((len as u64).saturating_sub(1)) / page;
    (first..=last).map(move |number| number * page)
}

impl<M: Memory> Memory for RecordingMemory<M> {
    fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
        self.memory.read(at, into)?;
        self.keep(at, into.len());
        Ok(())
    }
}

impl Pages {
    /// Adds the page at `base`; whether there was room for it, and `base` is the address of a page.
    pub fn add(&mut self, base: u64, page: Page) -> bool {
        let sound = self.pages.len() < PAGES_LIMIT && base.is_multiple_of(PAGE as u64);
        if sound {
            self.pages.insert(base, page);
        }
        sound
    }

    /// The page at `base`.
    #[must_use]
    pub fn get(&self, base: u64) -> Option<&Page> {
        self.pages.get(&base)
    }

    /// Takes the page at `base` away.
    pub fn remove(&mut self, base: u64) -> Option<Page> {
        self.pages.remove(&base)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// All of them by ascending address.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Page)> {
        self.pages.iter().map(|(base, page)| (*base, page))
    }
}

impl Memory for Pages {
    fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
        let len = into.len();
        let unmapped = ReadError::Unmapped { at, len };
        at.0.checked_add(len as u64).ok_or(unmapped)?;
        let mut done = 0;
        for base in bases(at, len) {
            let page = self.pages.get(&base).ok_or(unmapped)?;
            let skip = usize::try_from((at.0 + done as u64) - base).map_err(|_| unmapped)?;
            let piece = (PAGE - skip).min(len - done);
            into[done..done + piece].copy_from_slice(&page[skip..skip + piece]);
            done += piece;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{FakeMemory, MemoryExt as _};

    #[test]
    fn what_was_read_can_be_read_again() {
        let mut fake = FakeMemory::new();
        fake.map(
            TargetAddr(0x1000),
            (0..0x3000).map(|i| (i / 7) as u8).collect(),
        );
        let recording = RecordingMemory::new(fake.clone());
        let at = TargetAddr(0x1ffc);
        let across = recording.read_vec(at, 8, 8).unwrap();
        let pages = recording.take();
        assert_eq!(pages.len(), 2);
        assert_eq!(pages.read_vec(at, 8, 8).unwrap(), across);
        assert_eq!(
            pages.read_u8(TargetAddr(0x1000)),
            fake.read_u8(TargetAddr(0x1000))
        );
        assert!(pages.read_u8(TargetAddr(0x3000)).is_err());
        assert!(pages.read_vec(TargetAddr(u64::MAX - 2), 8, 8).is_err());
        assert!(recording.read_u8(TargetAddr(0x9000)).is_err());
        assert!(recording.take().is_empty());
    }

    #[test]
    fn a_page_has_an_address_of_a_page() {
        assert!(!Pages::default().add(7, Box::new([0; PAGE])));
    }
}
