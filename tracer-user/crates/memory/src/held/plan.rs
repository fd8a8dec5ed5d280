//! What is copied of a process, and in which order.

use std::ops::Range;

use crate::PAGE;
use process::Mappings;

/// Bytes of a page.
pub(super) const PAGE_BYTES: u64 = PAGE as u64;
/// Longest piece that is copied at once.
const MAX_PIECE: u64 = 1 << 20;
/// Pages copied by one call, between two looks at the clock.
const BATCH_PAGES: usize = 4096;

/// What is copied of a process.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// All that it has of its own.
    Own,
    /// These pages, the first ones first.
    Pages(Vec<u64>),
}

/// Memory of ours for a copy, at hand before the process is held.
#[derive(Debug, Default)]
pub struct Room(pub(super) Vec<u8>);

impl Room {
    /// Room for a copy of what is wanted of a process that has `own_bytes` of its own.
    #[must_use]
    pub fn for_copy(wanted: &Wanted, own_bytes: u64) -> Self {
        let bytes = match wanted {
            // It may come to have some more until then.
            Wanted::Own => usize::try_from(own_bytes.saturating_add(own_bytes / 8)).unwrap_or(0),
            Wanted::Pages(pages) => (pages.len() + pages.len() / 8) * PAGE,
        };
        // Not of zeroes: those the kernel would give us only when they are overwritten.
        Self(vec![1; bytes])
    }
}

/// What is wanted, in batches of disjoint ranges.
pub(super) fn batches(wanted: &Wanted, mappings: &Mappings) -> Vec<Vec<Range<u64>>> {
    match wanted {
        Wanted::Pages(pages) => pages.chunks(BATCH_PAGES).map(merged).collect(),
        Wanted::Own => {
            let own = mappings.own.iter().flatten();
            let pieces: Vec<Range<u64>> = own.flat_map(pieces).collect();
            let per_batch = BATCH_PAGES * PAGE / MAX_PIECE as usize;
            pieces.chunks(per_batch).map(<[_]>::to_vec).collect()
        }
    }
}

/// `range` in parts that are copied at once.
fn pieces(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let Range { start, end } = *range;
    let starts = (start..end).step_by(MAX_PIECE as usize);
    starts.map(move |at| at..end.min(at + MAX_PIECE))
}

/// The pages at `bases` as few ranges.
fn merged(bases: &[u64]) -> Vec<Range<u64>> {
    let mut bases = bases.to_vec();
    bases.sort_unstable();
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for base in bases {
        match ranges.last_mut() {
            Some(last) if last.end == base && last.end - last.start < MAX_PIECE => {
                last.end += PAGE_BYTES;
            }
            _ => ranges.push(base..base + PAGE_BYTES),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_lie_together_are_copied_at_once() {
        let wanted = Wanted::Pages(vec![0x9000, 0x2000, 0x1000, 0x5000]);
        let batches = batches(&wanted, &Mappings::default());
        assert_eq!(batches, [[0x1000..0x3000, 0x5000..0x6000, 0x9000..0xa000]]);
    }

    #[test]
    fn own_pages_are_copied_in_pieces() {
        let mappings = Mappings {
            own: Some(vec![0..MAX_PIECE + 0x1000, 0x20_0000..0x20_1000]),
            ..Mappings::default()
        };
        let batches = batches(&Wanted::Own, &mappings);
        let last = 0x20_0000..0x20_1000;
        assert_eq!(
            batches,
            [[0..MAX_PIECE, MAX_PIECE..MAX_PIECE + 0x1000, last]]
        );
    }
}
