//! One span: a run of pages cut into objects of one size.

use super::{PAGE_BYTES, SpanLayout};
use ids::TargetAddr;

/// Number of a span in its [`SpanTable`](super::SpanTable).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(pub u32);

/// No size class cuts a span into more slots (8-byte objects in one page: 1024).
const MAX_ELEMENTS: u64 = 8192;

/// `runtime.mspan`, as far as the walk needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: TargetAddr,
    /// Length in bytes, a multiple of [`PAGE_BYTES`].
    pub bytes: u64,
    /// Size of each object.
    pub element_size: u64,
    /// Number of slots that fit. The runtime may use fewer (Go 1.25 and later keep mark bits at
    /// the end of small spans), never more.
    pub elements: u32,
    /// Whether its objects may hold pointers.
    pub holds_pointers: bool,
    /// Head of its list of specials; nil mostly.
    pub specials: TargetAddr,
    /// 2^32 divided by the size of an object, rounded up; 0 when there is one object only.
    pub(crate) reciprocal: u32,
}

/// `runtime.mSpanState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanUse {
    /// `mSpanDead`.
    Dead,
    /// It contradicts itself, or could not be read.
    Torn,
    /// `mSpanInUse`: heap objects.
    Heap(Span),
    /// `mSpanManual`: a stack or the runtime's own. `[start, start+bytes)`.
    Manual,
}

fn word(bytes: &[u8], offset: u64) -> Option<u64> {
    let at = usize::try_from(offset).ok()?;
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn byte(bytes: &[u8], offset: u64) -> Option<u8> {
    bytes.get(usize::try_from(offset).ok()?).copied()
}

impl SpanUse {
    /// Decodes the bytes of one `mspan`, `None` when they are too few.
    pub fn decode(bytes: &[u8], layout: &SpanLayout) -> Option<Self> {
        Some(match byte(bytes, layout.state)? {
            1 => Span::new(
                TargetAddr(word(bytes, layout.start)?),
                word(bytes, layout.pages)?,
                word(bytes, layout.element_size)?,
                byte(bytes, layout.class)? & 1 == 0,
                TargetAddr(word(bytes, layout.specials)?),
            )
            .map_or(Self::Torn, Self::Heap),
            2 => Self::Manual,
            0 => Self::Dead,
            _ => Self::Torn,
        })
    }
}

impl Span {
    /// The span's description, `None` when it contradicts itself: a span that was read while the
    /// runtime filled it in, or a hostile one.
    #[must_use]
    pub fn new(
        start: TargetAddr,
        pages: u64,
        element_size: u64,
        holds_pointers: bool,
        specials: TargetAddr,
    ) -> Option<Self> {
        let bytes = pages.checked_mul(PAGE_BYTES)?;
        let end = start.0.checked_add(bytes)?;
        let sound = start.0.is_multiple_of(PAGE_BYTES)
            && end < 1 << 48
            && element_size >= 8
            && element_size.is_multiple_of(8)
            && element_size <= bytes
            && bytes / element_size <= MAX_ELEMENTS
            && (bytes < 1 << 32 || bytes < 2 * element_size);
        if !sound {
            return None;
        }
        let elements = u32::try_from(bytes / element_size).ok()?;
        // As `mspan.divMul` (runtime/msize.go, mkalloc.go): exact for every size class. In a span
        // of one object every address leads to that.
        let reciprocal = match elements {
            1 => 0,
            _ => u32::try_from(u64::from(u32::MAX) / element_size + 1).ok()?,
        };
        Some(Self {
            start,
            bytes,
            element_size,
            elements,
            holds_pointers,
            specials,
            reciprocal,
        })
    }

    /// The first address behind it.
    #[must_use]
    pub const fn end(&self) -> TargetAddr {
        self.start.offset(self.bytes)
    }

    /// Whether `at` lies in it.
    #[must_use]
    pub const fn contains(&self, at: TargetAddr) -> bool {
        at.0.wrapping_sub(self.start.0) < self.bytes
    }

    /// The slot that holds `at`; `None` in the waste behind the last slot or outside.
    #[must_use]
    pub fn index_of(&self, at: TargetAddr) -> Option<u32> {
        let offset = at.0.wrapping_sub(self.start.0);
        if self.elements == 1 {
            return (offset < self.element_size).then_some(0);
        }
        if offset >= self.bytes {
            return None;
        }
        let index = u32::try_from((offset * u64::from(self.reciprocal)) >> 32).ok()?;
        (index < self.elements).then_some(index)
    }

    /// First byte of slot `index`.
    #[must_use]
    #[inline]
    pub const fn object(&self, index: u32) -> TargetAddr {
        self.start.offset(index as u64 * self.element_size)
    }

    /// Whether `other` cuts the same memory the same way, so that slot numbers carry over.
    #[must_use]
    pub fn same_cut(&self, other: &Self) -> bool {
        self.start == other.start
            && self.bytes == other.bytes
            && self.element_size == other.element_size
            && self.holds_pointers == other.holds_pointers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(pages: u64, element_size: u64) -> Span {
        Span::new(
            TargetAddr(0xc0_0000_0000),
            pages,
            element_size,
            true,
            TargetAddr(0),
        )
        .unwrap()
    }

    #[test]
    fn every_address_of_every_small_size_class_finds_its_slot() {
        for element_size in (8..=1024_u64).step_by(8) {
            let span = span(4, element_size);
            for offset in 0..span.bytes {
                let expected = u32::try_from(offset / element_size).unwrap();
                assert_eq!(
                    span.index_of(span.start.offset(offset)),
                    (expected < span.elements).then_some(expected),
                    "size {element_size} offset {offset}"
                );
            }
        }
    }

    #[test]
    fn a_large_object_is_one_slot() {
        let span = span(3, 3 * PAGE_BYTES);
        assert_eq!(span.elements, 1);
        assert_eq!(
            span.index_of(span.start.offset(3 * PAGE_BYTES - 1)),
            Some(0)
        );
        assert_eq!(span.index_of(span.end()), None);
        assert_eq!(span.index_of(span.start.back(1)), None);
    }

    #[test]
    fn nonsense_is_refused() {
        let at = TargetAddr(0xc0_0000_0000);
        for (start, pages, size) in [
            (at.offset(8), 1, 64),
            (at, 0, 64),
            (at, u64::MAX, 64),
            (at, 1, 0),
            (at, 1, 12),
            (at, 1, 16384),
        ] {
            assert_eq!(Span::new(start, pages, size, true, TargetAddr(0)), None);
        }
    }
}
