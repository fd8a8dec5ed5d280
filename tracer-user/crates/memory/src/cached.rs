//! A memory that remembers the pages it has read.

use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

use super::{Memory, ReadError};
use ids::TargetAddr;

/// Bytes of one remembered page.
const PAGE: u64 = 4096;
/// Most pages remembered (8 MiB, which caches of processors hold); all are forgotten when it is full.
const PAGES_LIMIT: usize = 2 << 10;

/// Another memory with a cache of whole pages in front of it: for walks that follow pointers one
/// by one. What it says is as old as its first look at a page, so it must be short-lived.
pub struct CachedMemory<M> {
    memory: M,
    pages: Mutex<Remembered>,
}

/// The pages that have been read.
#[derive(Default)]
struct Remembered {
    /// One behind the other. The room stays when they are forgotten.
    bytes: Vec<u8>,
    /// Which of them lies at an address.
    places: FxHashMap<u64, usize>,
    /// The address of the one that was asked for last, and which it is: fields of one object follow
    /// each other.
    last: Option<(u64, usize)>,
}

impl Remembered {
    fn get(&mut self, base: u64) -> Option<&[u8]> {
        let place = match self.last {
            Some((last, place)) if last == base => place,
            _ => {
                let place = *self.places.get(&base)?;
                self.last = Some((base, place));
                place
            }
        };
        self.bytes.get(place..place + PAGE as usize)
    }

    /// Adds the page at `base` if `read` fills it; all others are forgotten when there are too many.
    fn add(
        &mut self,
        base: u64,
        read: impl FnOnce(&mut [u8]) -> Result<(), ReadError>,
    ) -> Result<&[u8], ReadError> {
        if self.places.len() >= PAGES_LIMIT {
            self.places.clear();
            self.last = None;
        }
        let place = self.places.len() * PAGE as usize;
        let end = place + PAGE as usize;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        let page = &mut self.bytes[place..end];
        read(page)?;
        self.places.insert(base, place);
        self.last = Some((base, place));
        Ok(page)
    }
}

impl<M: Memory> CachedMemory<M> {
    /// A cache of `memory` that knows nothing yet.
    pub fn new(memory: M) -> Self {
        Self {
            memory,
            pages: Mutex::default(),
        }
    }

    /// Copies the part of the page at `base` that `into` covers from `at` on; returns how much.
    fn copy_from_page(&self, at: u64, into: &mut [u8]) -> Result<usize, ReadError> {
        let base = at & !(PAGE - 1);
        let skip = usize::try_from(at - base).unwrap_or(0);
        let len = into.len().min(PAGE as usize - skip);
        let mut copy = |page: &[u8]| into[..len].copy_from_slice(&page[skip..skip + len]);
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = pages.get(base) {
            copy(page);
            return Ok(len);
        }
        let page = pages.add(base, |page| self.memory.read(TargetAddr(base), page))?;
        copy(page);
        Ok(len)
    }
}

impl<M: Memory> Memory for CachedMemory<M> {
    fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
        let mut done = 0;
        while done < into.len() {
            let next = at.0.wrapping_add(done as u64);
            match self.copy_from_page(next, &mut into[done..]) {
                Ok(len) => done += len,
                // In a core or a fake a range may end within a page.
                Err(ReadError::Unmapped { .. }) => return self.memory.read(at, into),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{FakeMemory, MemoryExt as _};

    struct Counting(FakeMemory, AtomicUsize);

    impl Memory for Counting {
        fn read(&self, at: TargetAddr, into: &mut [u8]) -> Result<(), ReadError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.read(at, into)
        }
    }

    #[test]
    fn a_page_is_read_once() {
        let mut fake = FakeMemory::new();
        fake.map(TargetAddr(0x1000), (0..0x2000).map(|i| i as u8).collect());
        let cached = CachedMemory::new(Counting(fake, AtomicUsize::new(0)));
        assert_eq!(cached.read_u8(TargetAddr(0x1001)), Ok(1));
        assert_eq!(cached.read_u8(TargetAddr(0x1ff0)), Ok(0xf0));
        assert_eq!(cached.memory.1.load(Ordering::Relaxed), 1);
        let across = cached.read_vec(TargetAddr(0x1ffe), 4, 4);
        assert_eq!(across, Ok(vec![0xfe, 0xff, 0, 1]));
        assert_eq!(cached.memory.1.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_range_within_a_page_is_read_directly() {
        let mut fake = FakeMemory::new();
        fake.map_words(TargetAddr(0x1800), &[7]);
        let cached = CachedMemory::new(fake);
        assert_eq!(cached.read_u64(TargetAddr(0x1800)), Ok(7));
        assert!(cached.read_u64(TargetAddr(0x1808)).is_err());
        assert!(cached.read_u64(TargetAddr(u64::MAX - 3)).is_err());
    }
}
