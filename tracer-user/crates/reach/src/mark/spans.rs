//! The spans that begin in one window and may hold pointers.

use super::{
    Range,
    bitmap::runs,
    marks::Marks,
    span_bits::SpanBits,
    window::{self, Window},
};
use crate::heap::{Span, SpanId};
use ids::TargetAddr;

/// One span.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here<'m> {
    pub(super) span: &'m Span,
    pub(super) cut: &'m SpanBits,
}

impl Here<'_> {
    /// Those of its objects that have a bit in `words`, word by word of all their bits: neighbours in
    /// one piece.
    pub(super) fn runs(self, words: impl Iterator<Item = u64>) -> impl Iterator<Item = Range> {
        let (start, size) = (self.span.start, self.span.element_size);
        runs(words).map(move |(first, count)| Range {
            at: start.offset(u64::from(first) * size),
            len: u64::from(count) * size,
        })
    }
}

/// The spans of one window, by the place of their first page.
#[derive(Debug)]
pub(super) struct WindowSpans<'m>([Option<Here<'m>>; 64]);

impl<'m> WindowSpans<'m> {
    pub(super) fn of(marks: &'m Marks, window: Window) -> Self {
        let mut spans = Self([None; 64]);
        let mut previous = 0;
        for &entry in marks.table.entries(window.pages()) {
            if entry == std::mem::replace(&mut previous, entry) {
                continue;
            }
            let Some(cut) = marks.cuts.at_entry(entry) else {
                continue;
            };
            // One that reaches in from another window is looked at there.
            if cut.window != window || !cut.holds_pointers {
                continue;
            }
            let span = entry
                .checked_sub(1)
                .and_then(|id| marks.table.span(SpanId(id)));
            if let Some(slot) = spans.0.get_mut(cut.slot() as usize) {
                *slot = span.map(|span| Here { span, cut });
            }
        }
        spans
    }

    /// The span at this place.
    pub(super) fn get(&self, slot: u32) -> Option<Here<'m>> {
        self.0.get(slot as usize).copied().flatten()
    }

    /// Those of which `is` holds, one bit for each place.
    pub(super) fn which(&self, is: impl Fn(Here<'m>) -> bool) -> u64 {
        let spans = (0..).zip(&self.0);
        let chosen = spans.filter(|(_, here)| here.is_some_and(&is));
        chosen.fold(0, |which, (slot, _): (u32, _)| which | 1 << slot)
    }

    /// Those of `which`, ascending.
    pub(super) fn each(&self, which: u64) -> impl Iterator<Item = (u32, Here<'m>)> {
        let spans = (0_u32..).zip(self.0);
        let spans = spans.filter(move |(slot, _)| which & 1 << slot != 0);
        spans.filter_map(|(slot, here)| Some((slot, here?)))
    }

    /// Where the window begins; nil if no span is there.
    pub(super) fn start(&self) -> TargetAddr {
        let first = self.0.iter().flatten().next();
        first.map_or(TargetAddr(0), |here| window::start(here.span.start))
    }
}
