//! A window of the heap as it was read: spans in the places that they have in the target.

use super::{Range, window::WINDOW_BYTES};
use crate::heap::{PAGE_BYTES, Span};
use ids::TargetAddr;
use memory::{Memory, ReadError, ReadRequest};

/// A span that is longer than this is read in pieces. Those of small objects are not: the longest
/// has ten pages (`class_to_allocnpages`, runtime/sizeclasses.go).
const SMALL_SPAN_BYTES: u64 = 16 * PAGE_BYTES;
/// Unreadable memory is left out by pages of the kernel.
const HOLE_BYTES: u64 = 4096;

/// Whether `span` is read as a whole.
#[inline]
pub(super) fn fits(span: &Span) -> bool {
    span.bytes <= SMALL_SPAN_BYTES
}

/// A buffer for the spans that begin in one window.
#[derive(Debug)]
pub(super) struct WindowBuffer {
    bytes: Vec<u8>,
    start: u64,
    /// First addresses of kernel pages that could not be read.
    holes: Vec<u64>,
    /// Bytes read so far.
    pub(super) bytes_read: u64,
}

impl Default for WindowBuffer {
    fn default() -> Self {
        let len = usize::try_from(WINDOW_BYTES + SMALL_SPAN_BYTES).unwrap_or(0);
        Self {
            bytes: vec![0; len],
            start: 0,
            holes: Vec::new(),
            bytes_read: 0,
        }
    }
}

impl WindowBuffer {
    /// Begins anew with the window at `start`.
    pub(super) fn begin(&mut self, start: TargetAddr) {
        self.start = start.0;
        self.holes.clear();
    }

    /// Reads `spans` of the window: ascending, none longer than [`SMALL_SPAN_BYTES`].
    ///
    /// # Errors
    /// When the target is gone. What cannot be read is left out.
    pub(super) fn read<'s>(
        &mut self,
        memory: &dyn Memory,
        spans: impl Iterator<Item = &'s Span>,
    ) -> Result<(), ReadError> {
        let mut pieces: Vec<(u64, u64)> = Vec::new();
        for span in spans {
            match pieces.last_mut() {
                Some((_, end)) if *end == span.start.0 => *end += span.bytes,
                _ => pieces.push((span.start.0, span.start.0 + span.bytes)),
            }
        }
        let mut requests = Vec::with_capacity(pieces.len());
        let mut rest = self.bytes.as_mut_slice();
        let mut at = self.start;
        for (start, end) in pieces {
            let skip = usize::try_from(start.wrapping_sub(at)).unwrap_or(usize::MAX);
            let len = usize::try_from(end - start).unwrap_or(usize::MAX);
            let Some((_, tail)) = rest.split_at_mut_checked(skip) else {
                break;
            };
            let Some((into, tail)) = tail.split_at_mut_checked(len) else {
                break;
            };
            (rest, at) = (tail, end);
            requests.push(ReadRequest {
                at: TargetAddr(start),
                into,
                ok: false,
            });
        }
        memory.read_many(&mut requests)?;
        for request in &mut requests {
            self.bytes_read += request.into.len() as u64;
            if !request.ok {
                page_by_page(memory, request, &mut self.holes)?;
            }
        }
        Ok(())
    }

    /// What was read of `range`; `None` when some of it could not be.
    pub(super) fn get(&self, range: Range) -> Option<&[u8]> {
        let Range { at, len } = range;
        let end = at.0 + len;
        let hole = |hole: &u64| *hole < end && at.0 < hole + HOLE_BYTES;
        if self.holes.iter().any(hole) {
            return None;
        }
        let from = usize::try_from(at.0.checked_sub(self.start)?).ok()?;
        let to = usize::try_from(end - self.start).ok()?;
        self.bytes.get(from..to)
    }
}

fn page_by_page(
    memory: &dyn Memory,
    request: &mut ReadRequest<'_>,
    holes: &mut Vec<u64>,
) -> Result<(), ReadError> {
    let page = usize::try_from(HOLE_BYTES).unwrap_or(usize::MAX);
    let pages = request.into.chunks_mut(page);
    let mut pages: Vec<ReadRequest<'_>> = (request.at.0..)
        .step_by(page)
        .zip(pages)
        .map(|(at, into)| ReadRequest {
            at: TargetAddr(at),
            into,
            ok: false,
        })
        .collect();
    memory.read_many(&mut pages)?;
    let failed = pages.iter().filter(|page| !page.ok);
    holes.extend(failed.map(|page| page.at.0));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use memory::FakeMemory;

    const START: TargetAddr = TargetAddr(0xc0_0008_0000);

    fn get(sheet: &WindowBuffer, at: TargetAddr, len: u64) -> Option<&[u8]> {
        sheet.get(Range { at, len })
    }

    fn span(page: u64, pages: u64) -> Span {
        let at = START.offset(page * PAGE_BYTES);
        Span::new(at, pages, 64, true, TargetAddr(0)).unwrap()
    }

    #[test]
    fn spans_lie_where_they_do_in_the_target() {
        let mut memory = FakeMemory::new();
        let bytes: Vec<u8> = (0..70 * PAGE_BYTES).map(|at| (at / 512) as u8).collect();
        memory.map(START, bytes.clone());
        let spans = [span(1, 1), span(2, 1), span(5, 2), span(63, 2)];
        let mut sheet = WindowBuffer::default();
        sheet.begin(START);
        sheet.read(&memory, spans.iter()).unwrap();
        for span in spans {
            let from = usize::try_from(span.start.0 - START.0).unwrap();
            let to = from + usize::try_from(span.bytes).unwrap();
            assert_eq!(get(&sheet, span.start, span.bytes), Some(&bytes[from..to]));
        }
        assert_eq!(sheet.bytes_read, 6 * PAGE_BYTES);
        assert_eq!(get(&sheet, START.back(8), 8), None);
        assert_eq!(get(&sheet, START.offset(80 * PAGE_BYTES), 8), None);
    }

    #[test]
    fn only_what_cannot_be_read_is_missing() {
        let mut memory = FakeMemory::new();
        memory.map(START, vec![1; 4096]);
        memory.map(START.offset(8192), vec![2; 8192]);
        let mut sheet = WindowBuffer::default();
        sheet.begin(START);
        sheet.read(&memory, [span(0, 2)].iter()).unwrap();
        assert_eq!(get(&sheet, START, 4096), Some(&[1; 4096][..]));
        assert_eq!(get(&sheet, START.offset(4088), 16), None);
        assert_eq!(get(&sheet, START.offset(8192), 8192), Some(&[2; 8192][..]));
        sheet.begin(START);
        assert!(sheet.holes.is_empty());
    }
}
