//! Reading what has been reached, in several threads: each looks at its share with the marks as they
//! are, and what it finds is marked afterwards.

use super::{
    Range, RangeReader,
    change::hash,
    extent::{merge, words},
    marks::Marks,
};
use crate::{
    ids::TargetAddr,
    memory::{Memory, ReadError},
    reach::heap::ObjectAt,
};

/// What one share of the reading led to.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Objects that had not been reached; one may be named several times.
    pub(super) objects: Vec<ObjectAt>,
    /// Watched stacks that something points into.
    pub(super) stacks: Vec<TargetAddr>,
    /// By page, the hash of what was read there.
    pub(super) sums: PageSums,
}

/// Hashes of pages, in the order in which the pages come.
#[derive(Debug, Default)]
pub(super) struct PageSums(pub(super) Vec<(usize, u64)>);

impl PageSums {
    fn add(&mut self, page: usize, hash: u64) {
        match self.0.last_mut() {
            Some((last, sum)) if *last == page => *sum = sum.wrapping_add(hash),
            _ => self.0.push((page, hash)),
        }
    }
}

/// Reads `extents` (ascending) and finds what they point to, and if asked to how their pages look.
pub(super) fn follow(
    marks: &Marks,
    memory: &dyn Memory,
    reader: &mut RangeReader,
    extents: &[Range],
    note_pages: bool,
) -> Result<Found, ReadError> {
    let mut found = Found::default();
    read(memory, reader, extents, |at, bytes| {
        for word in words(bytes) {
            marks.look_up(word, &mut found);
        }
        if note_pages && let Some(page) = marks.table.page_number(at) {
            found.sums.add(page, hash(at.0, words(bytes)));
        }
    })?;
    Ok(found)
}

/// Reads `extents` (ascending), followed before, and says how each page of them looks now; one that
/// cannot be read looks like nothing.
pub(super) fn look(
    marks: &Marks,
    memory: &dyn Memory,
    reader: &mut RangeReader,
    extents: &[Range],
) -> Result<PageSums, ReadError> {
    let page = |at| marks.table.page_number(at);
    let mut sums = PageSums::default();
    for extent in extents {
        if let Some(page) = page(extent.at) {
            sums.add(page, 0);
        }
    }
    let mut at_sum = 0;
    read(memory, reader, extents, |at, bytes| {
        let Some(page) = page(at) else { return };
        while sums.0.get(at_sum).is_some_and(|(of, _)| *of != page) {
            at_sum += 1;
        }
        if let Some((_, sum)) = sums.0.get_mut(at_sum) {
            *sum = sum.wrapping_add(hash(at.0, words(bytes)));
        }
    })?;
    Ok(sums)
}

/// Reads `extents` (ascending) and hands over each, or the pieces that it comes in, and nothing
/// between them.
fn read(
    memory: &dyn Memory,
    reader: &mut RangeReader,
    extents: &[Range],
    mut each: impl FnMut(TargetAddr, &[u8]),
) -> Result<(), ReadError> {
    let ranges = merge(extents);
    let mut next = 0;
    reader.read(memory, &ranges, |range, bytes| {
        let end = range.at.0 + range.len;
        while let Some(extent) = extents.get(next) {
            let (start, stop) = (extent.at.0.max(range.at.0), extent.at.0 + extent.len);
            if start >= end {
                break;
            }
            if stop <= range.at.0 {
                // It lay in a range that could not be read.
                next += 1;
                continue;
            }
            let from = usize::try_from(start - range.at.0).unwrap_or(usize::MAX);
            let to = usize::try_from(stop.min(end) - range.at.0).unwrap_or(0);
            if let Some(words) = bytes.get(from..to) {
                each(TargetAddr(start), words);
            }
            if stop > end {
                break;
            }
            next += 1;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FakeMemory;

    #[test]
    fn what_lies_in_an_unreadable_range_is_left_out_and_the_rest_is_not() {
        let mut memory = FakeMemory::new();
        memory.map_words(TargetAddr(0x1000), &[1, 2, 3]);
        memory.map_words(TargetAddr(0x9000), &[4, 5]);
        let range = |at, len| Range {
            at: TargetAddr(at),
            len,
        };
        let extents = [
            range(0x1000, 8),
            range(0x1010, 8),
            range(0x5000, 8),
            range(0x5010, 8),
            range(0x9008, 8),
        ];
        let mut seen = Vec::new();
        let mut reader = RangeReader::default();
        read(&memory, &mut reader, &extents, |at, bytes| {
            seen.extend(words(bytes).map(|word| (at.0, word)));
        })
        .unwrap();
        assert_eq!(seen, [(0x1000, 1), (0x1010, 3), (0x9008, 5)]);
        assert_eq!(reader.unreadable, 1);
    }

    #[test]
    fn hashes_of_one_page_add_up() {
        let mut sums = PageSums::default();
        sums.add(3, 1);
        sums.add(3, 4);
        sums.add(4, 2);
        assert_eq!(sums.0, [(3, 5), (4, 2)]);
    }
}
