//! Ranges of memory, page by page.

use super::Range;
use crate::heap::PAGE_BYTES;

/// `range` in pieces that lie in one page each, with how many bytes of it lie before the piece.
pub(super) fn page_by_page(range: Range) -> impl Iterator<Item = (Range, usize)> {
    let end = range.at.0 + range.len;
    let mut at = range.at;
    std::iter::from_fn(move || {
        let len = (PAGE_BYTES - at.0 % PAGE_BYTES).min(end.checked_sub(at.0)?);
        let piece = (len > 0).then_some(Range { at, len })?;
        let before = usize::try_from(at.0 - range.at.0).ok()?;
        at = at.offset(len);
        Some((piece, before))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::TargetAddr;

    #[test]
    fn pieces_end_where_pages_do() {
        let pieces = |at, len| -> Vec<(u64, u64, usize)> {
            let at = TargetAddr(at);
            let pieces = page_by_page(Range { at, len });
            pieces
                .map(|(piece, before)| (piece.at.0, piece.len, before))
                .collect()
        };
        assert_eq!(pieces(0x2000, 0x2000), [(0x2000, 0x2000, 0)]);
        assert_eq!(
            pieces(0x3ff8, 0x2010),
            [(0x3ff8, 8, 0), (0x4000, 0x2000, 8), (0x6000, 8, 0x2008)]
        );
        assert_eq!(pieces(0x3ff8, 0), []);
    }
}
