//! Objects as ranges of memory, and ranges as words.

use super::Range;
use crate::reach::heap::{PAGE_BYTES, Span};

/// Objects nearer to each other than this are read in one range.
const GAP_BYTES: u64 = 1024;

/// One object as a range, or page by page when it is larger than a page.
pub(super) fn pieces(span: &Span, index: u32, each: &mut impl FnMut(Range)) {
    let (mut at, mut rest) = (span.object(index), span.element_size);
    if rest <= PAGE_BYTES {
        return each(Range { at, len: rest });
    }
    while rest > 0 {
        let len = (PAGE_BYTES - at.0 % PAGE_BYTES).min(rest);
        each(Range { at, len });
        at = at.offset(len);
        rest -= len;
    }
}

/// The ranges to read so that all of `extents` (ascending) are in them.
pub(super) fn merge(extents: &[Range]) -> Vec<Range> {
    let mut ranges: Vec<Range> = Vec::new();
    for extent in extents {
        let end = extent.at.0 + extent.len;
        match ranges.last_mut() {
            Some(last) if extent.at.0 <= last.at.0 + last.len + GAP_BYTES => {
                last.len = last.len.max(end - last.at.0);
            }
            _ => ranges.push(*extent),
        }
    }
    ranges
}

/// The whole words of `bytes`.
#[inline]
pub(super) fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let (words, _) = bytes.as_chunks();
    words.iter().map(|word| u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TargetAddr;

    #[test]
    fn neighbours_are_read_together_and_strangers_apart() {
        let range = |at, len| Range {
            at: TargetAddr(at),
            len,
        };
        let merged = merge(&[range(0, 8), range(16, 8), range(0x10_0000, 8)]);
        assert_eq!(merged, [range(0, 24), range(0x10_0000, 8)]);
    }

    #[test]
    fn a_large_object_comes_page_by_page() {
        let start = TargetAddr(0xc0_0000_0000);
        let span = Span::new(start, 3, 3 * PAGE_BYTES, true, TargetAddr(0)).unwrap();
        let mut found = Vec::new();
        pieces(&span, 0, &mut |range| {
            found.push((range.at.0 - start.0, range.len))
        });
        assert_eq!(found, [0, 1, 2].map(|page| (page * PAGE_BYTES, PAGE_BYTES)));
    }
}
