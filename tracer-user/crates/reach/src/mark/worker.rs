//! What one thread reads and follows with.

use super::{
    Range, RangeReader,
    extent::page_by_page,
    marks::Marks,
    scan::Scanner,
    sheet::{WindowBuffer, fits},
    spans::{Here, WindowSpans},
};
use crate::page_hash::hash;
use ids::TargetAddr;
use memory::{Memory, ReadError, words};

/// A thread's buffers, and what it has counted.
#[derive(Debug, Default)]
pub(super) struct MarkWorker {
    pub(super) sheet: WindowBuffer,
    /// For spans that do not fit on the sheet, and for what lies outside the heap.
    pub(super) stream: RangeReader,
    pub(super) scanner: Scanner,
    unreadable: u64,
}

impl MarkWorker {
    /// Bytes read so far.
    pub(super) fn bytes_read(&self) -> u64 {
        self.sheet.bytes_read + self.stream.bytes_read
    }

    /// Pieces that could not be read.
    pub(super) fn unreadable(&self) -> u64 {
        self.unreadable + self.stream.unreadable
    }

    /// Begins with another window: reads those of its `spans` in `which` that fit on the sheet.
    pub(super) fn open(
        &mut self,
        memory: &dyn Memory,
        spans: &WindowSpans<'_>,
        which: u64,
    ) -> Result<(), ReadError> {
        self.sheet.begin(spans.start());
        self.fetch(memory, spans, which)
    }

    /// Reads those of the spans in `which` too that fit on the sheet.
    pub(super) fn fetch(
        &mut self,
        memory: &dyn Memory,
        spans: &WindowSpans<'_>,
        which: u64,
    ) -> Result<(), ReadError> {
        let spans = spans.each(which).map(|(_, here)| here.span);
        self.sheet.read(memory, spans.filter(|span| fits(span)))
    }

    /// Follows what is pending in `here`. A span that is not on the sheet is read meanwhile, and
    /// how its pages look is noted.
    pub(super) fn follow(
        &mut self,
        marks: &Marks,
        memory: &dyn Memory,
        here: Here<'_>,
    ) -> Result<(), ReadError> {
        for run in here.runs(marks.take_pending(here.cut)) {
            self.each_piece(memory, here, run, |scanner, piece, bytes| {
                scanner.scan(marks, bytes);
                if !fits(here.span) {
                    note(marks, piece, bytes);
                }
            })?;
        }
        Ok(())
    }

    /// Hands over what `run` of the objects in `here` consists of. What fits on the sheet has been
    /// fetched; the rest is read now.
    pub(super) fn each_piece(
        &mut self,
        memory: &dyn Memory,
        here: Here<'_>,
        run: Range,
        mut each: impl FnMut(&mut Scanner, Range, &[u8]),
    ) -> Result<(), ReadError> {
        let Self {
            sheet,
            stream,
            scanner,
            unreadable,
        } = self;
        if !fits(here.span) {
            return stream.read(memory, &[run], |piece, bytes| each(scanner, piece, bytes));
        }
        if let Some(bytes) = sheet.get(run) {
            each(scanner, run, bytes);
            return Ok(());
        }
        // Those objects that could be read.
        let len = here.span.element_size;
        let step = usize::try_from(len).unwrap_or(usize::MAX);
        for at in (run.at.0..run.at.0 + run.len).step_by(step) {
            let at = TargetAddr(at);
            match sheet.get(Range { at, len }) {
                Some(bytes) => each(scanner, Range { at, len }, bytes),
                None => *unreadable += 1,
            }
        }
        Ok(())
    }
}

/// Notes how the pages of `piece` look that was followed.
pub(super) fn note(marks: &Marks, piece: Range, bytes: &[u8]) {
    for (page, hash) in hashes(marks, piece, bytes) {
        marks.changes.first(page, hash);
    }
}

/// The hashes of the parts of `piece` that lie in one page each, with the numbers of the pages.
pub(super) fn hashes(
    marks: &Marks,
    piece: Range,
    bytes: &[u8],
) -> impl Iterator<Item = (usize, u64)> {
    page_by_page(piece).filter_map(move |(part, before)| {
        let page = marks.table.page_number(part.at)?;
        let end = before + usize::try_from(part.len).ok()?;
        Some((page, hash(part.at.0, words(bytes.get(before..end)?))))
    })
}
