//! What is done with one window of the heap: what has been reached in it is read and followed,
//! compared with how it looked before, or followed once more.

use super::{
    extent::page_by_page,
    marks::Marks,
    scan::Found,
    sheet::fits,
    spans::WindowSpans,
    window::Window,
    worker::{MarkWorker, hashes, note},
};
use memory::{Memory, ReadError};

/// How what is found in a window while it is looked at is followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Order {
    /// As its span was when it was read, which may have been before the object was found. What has
    /// been written since makes the page look different when it is compared.
    #[default]
    AsRead,
    /// As it is after it was found: it is left for another visit.
    FoundFirst,
}

/// Reads what is pending in `window`, and follows it.
///
/// # Errors
/// When the target is gone.
pub(super) fn follow(
    marks: &Marks,
    memory: &dyn Memory,
    hand: &mut MarkWorker,
    window: Window,
    order: Order,
) -> Result<Found, ReadError> {
    match order {
        Order::AsRead => follow_as_read(marks, memory, hand, window),
        Order::FoundFirst => follow_found_first(marks, memory, hand, window),
    }
}

fn follow_found_first(
    marks: &Marks,
    memory: &dyn Memory,
    hand: &mut MarkWorker,
    window: Window,
) -> Result<Found, ReadError> {
    let spans = WindowSpans::of(marks, window);
    let wanted = spans.which(|here| marks.any_pending(here.cut));
    let mut pending = WordsBySlot::default();
    for (slot, here) in spans.each(wanted) {
        pending.keep(slot, marks.pending(here.cut));
    }
    hand.scanner.begin(Window::NONE, 0);
    hand.open(memory, &spans, wanted)?;
    for (slot, here) in spans.each(wanted) {
        for (at, word) in here.cut.words().zip(pending.of(slot)) {
            marks.followed.add_alone(at, word);
        }
        for run in here.runs(pending.of(slot).take(here.cut.words().len())) {
            hand.each_piece(memory, here, run, |scanner, piece, bytes| {
                scanner.scan(marks, bytes);
                note(marks, piece, bytes);
            })?;
        }
    }
    hand.scanner.flush(marks);
    Ok(hand.scanner.take_found())
}

/// A span is read when the first of its objects is pending, once.
fn follow_as_read(
    marks: &Marks,
    memory: &dyn Memory,
    hand: &mut MarkWorker,
    window: Window,
) -> Result<Found, ReadError> {
    let spans = WindowSpans::of(marks, window);
    let all = spans.which(|_| true);
    let pending = spans.which(|here| marks.any_pending(here.cut));
    hand.scanner.begin(window, pending);
    hand.sheet.begin(spans.start());
    let mut before = WordsBySlot::default();
    let mut held = 0_u64;
    loop {
        let ready = hand.scanner.pending & held;
        let missing = hand.scanner.pending & all & !held;
        if let Some(here) = spans.get(ready.trailing_zeros()) {
            hand.scanner.pending &= !(1 << ready.trailing_zeros());
            hand.follow(marks, memory, here)?;
        } else if !hand.scanner.is_empty() {
            hand.scanner.flush(marks);
        } else if missing != 0 {
            hand.fetch(memory, &spans, missing)?;
            for (slot, here) in spans.each(missing) {
                before.keep(slot, here.cut.words().map(|at| marks.followed.word(at)));
            }
            held |= missing;
        } else {
            break;
        }
    }
    for (slot, here) in spans.each(held).filter(|(_, here)| fits(here.span)) {
        let words = here.cut.words().zip(before.of(slot));
        let since = words.map(|(at, before)| marks.followed.word(at) & !before);
        for run in here.runs(since) {
            hand.each_piece(memory, here, run, |_, piece, bytes| {
                note(marks, piece, bytes)
            })?;
        }
    }
    Ok(hand.scanner.take_found())
}

/// Reads everything in `window` that was followed once more, follows it as it is now, and notes which of
/// its pages look different from then. What differs is followed as it was read, and not on another
/// reading: a reference that is moved on all the time is elsewhere by then.
///
/// # Errors
/// When the target is gone.
pub(super) fn compare(
    marks: &Marks,
    memory: &dyn Memory,
    hand: &mut MarkWorker,
    window: Window,
) -> Result<Found, ReadError> {
    let spans = WindowSpans::of(marks, window);
    let wanted = spans.which(|here| marks.any_followed(here.cut));
    hand.scanner.begin(Window::NONE, 0);
    hand.open(memory, &spans, wanted)?;
    for (_, here) in spans.each(wanted) {
        let mut sums: Vec<(usize, u64)> = Vec::new();
        for run in here.runs(marks.followed(here.cut)) {
            hand.each_piece(memory, here, run, |scanner, piece, bytes| {
                scanner.scan(marks, bytes);
                for (page, hash) in hashes(marks, piece, bytes) {
                    match sums.last_mut() {
                        Some((last, sum)) if *last == page => *sum = sum.wrapping_add(hash),
                        _ => sums.push((page, hash)),
                    }
                }
            })?;
        }
        for (page, sum) in sums {
            marks.changes.again(page, sum);
        }
    }
    hand.scanner.flush(marks);
    Ok(hand.scanner.take_found())
}

/// Reads what was followed on those pages of `window` that change, and follows it once more.
///
/// # Errors
/// When the target is gone.
pub(super) fn follow_changing(
    marks: &Marks,
    memory: &dyn Memory,
    hand: &mut MarkWorker,
    window: Window,
) -> Result<Found, ReadError> {
    let spans = WindowSpans::of(marks, window);
    let wanted = spans.which(|here| marks.any_changing(here.span) && marks.any_followed(here.cut));
    hand.scanner.begin(Window::NONE, 0);
    hand.open(memory, &spans, wanted)?;
    for (_, here) in spans.each(wanted) {
        for run in here.runs(marks.followed(here.cut)) {
            for (part, _) in page_by_page(run) {
                let page = marks.table.page_number(part.at);
                if page.is_some_and(|page| marks.changes.is_changing(page)) {
                    hand.each_piece(memory, here, part, |scanner, _, bytes| {
                        scanner.scan(marks, bytes);
                    })?;
                }
            }
        }
    }
    hand.scanner.flush(marks);
    Ok(hand.scanner.take_found())
}

/// Words of the bits of several spans, as they were at some moment.
#[derive(Debug)]
struct WordsBySlot {
    words: Vec<u64>,
    starts: [usize; 64],
}

impl Default for WordsBySlot {
    fn default() -> Self {
        Self {
            words: Vec::new(),
            starts: [0; 64],
        }
    }
}

impl WordsBySlot {
    fn keep(&mut self, slot: u32, words: impl Iterator<Item = u64>) {
        if let Some(start) = self.starts.get_mut(slot as usize) {
            *start = self.words.len();
            self.words.extend(words);
        }
    }

    /// Those of `slot`, and then others.
    fn of(&self, slot: u32) -> impl Iterator<Item = u64> {
        let start = self.starts.get(slot as usize).copied();
        let words = self.words.iter().copied();
        words.skip(start.unwrap_or(usize::MAX))
    }
}
