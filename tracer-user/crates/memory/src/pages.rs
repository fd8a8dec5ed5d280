//! A memory made of pages that were kept.

use std::collections::BTreeMap;

use super::{Memory, ReadError};
use ids::TargetAddr;

/// Bytes of one page.
pub const PAGE: usize = 4096;
/// Most pages kept (2 GiB); the others are missing afterwards, and said to be.
pub const PAGES_LIMIT: usize = 512 << 10;

/// One page.
pub type Page = Box<[u8; PAGE]>;

/// Pages by their addresses.
#[derive(Debug, Default)]
pub struct Pages {
    pages: BTreeMap<u64, Page>,
    lacking: bool,
}

/// The addresses of the pages that hold `len` bytes at `at`.
pub(super) fn bases(at: TargetAddr, len: usize) -> impl Iterator<Item = u64> {
    let page = PAGE as u64;
    let first = at.0 / page;
    let last = at.0.saturating_add((len as u64).saturating_sub(1)) / page;
    (first..=last).map(move |number| number * page)
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

    /// Notes that pages are missing that the process had.
    pub fn set_lacking(&mut self) {
        self.lacking = true;
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

    fn is_whole(&self) -> bool {
        !self.lacking
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryExt as _;

    #[test]
    fn a_read_may_cross_pages_but_no_gap() {
        let mut pages = Pages::default();
        for base in [0x1000, 0x2000] {
            assert!(pages.add(base, Box::new([(base >> 12) as u8; PAGE])));
        }
        let across = pages.read_vec(TargetAddr(0x1ffe), 4, 4);
        assert_eq!(across, Ok(vec![1, 1, 2, 2]));
        assert!(pages.read_u8(TargetAddr(0x3000)).is_err());
        assert!(pages.read_vec(TargetAddr(u64::MAX - 2), 8, 8).is_err());
        assert!(pages.is_whole());
        pages.set_lacking();
        assert!(!pages.is_whole());
    }

    #[test]
    fn a_page_has_an_address_of_a_page() {
        assert!(!Pages::default().add(7, Box::new([0; PAGE])));
    }
}
