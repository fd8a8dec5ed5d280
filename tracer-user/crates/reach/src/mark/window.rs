//! The heap in windows of 64 pages: what is read and looked at in one go.

use std::ops::Range;

use crate::heap::PAGE_BYTES;
use ids::TargetAddr;

/// Pages of a window: one bit of a word for each.
pub(super) const WINDOW_PAGES: usize = 64;
/// Bytes of a window.
pub(super) const WINDOW_BYTES: u64 = WINDOW_PAGES as u64 * PAGE_BYTES;

/// Number of a window: that of its first page ([`SpanTable::page_number`]) divided by
/// [`WINDOW_PAGES`]. An arena has a whole number of them, so what is next to each other in a window
/// is so in memory.
///
/// [`SpanTable::page_number`]: crate::heap::SpanTable::page_number
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Window(pub(super) u32);

impl Window {
    /// No window at all.
    pub(super) const NONE: Self = Self(u32::MAX);

    /// The window that the page with this number lies in.
    pub(super) fn of(page: usize) -> Self {
        u32::try_from(page / WINDOW_PAGES).map_or(Self::NONE, Self)
    }

    /// The numbers of its pages.
    pub(super) fn pages(self) -> Range<usize> {
        let start = self.0 as usize * WINDOW_PAGES;
        start..start + WINDOW_PAGES
    }
}

/// The place of the page at `at` in its window: 0 to 63.
#[inline]
pub(super) fn slot(at: u64) -> u32 {
    (at / PAGE_BYTES) as u32 % WINDOW_PAGES as u32
}

/// Where the window begins that `at` lies in.
pub(super) const fn start(at: TargetAddr) -> TargetAddr {
    TargetAddr(at.0 - at.0 % WINDOW_BYTES)
}
