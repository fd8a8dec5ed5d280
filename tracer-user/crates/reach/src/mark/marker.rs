//! The marking itself: reached objects are read, and what they point to is reached.

use super::{
    Range,
    marks::Marks,
    pool::MarkPool,
    scan_window::{self, Order},
    window::Window,
};
use crate::{
    heap::{Refreshed, SpanTable},
    progress::ProgressReporter,
};
use ids::TargetAddr;
use memory::{Memory, ReadError};

/// So many windows are shared out before what was found is put in order, and progress told.
const ROUND_WINDOWS: usize = 64;

/// The marks, and what is still to be read. Marks are only ever added.
#[derive(Debug, Default)]
pub struct Marker {
    crew: MarkPool,
    marks: Marks,
    pulse: ProgressReporter,
    order: Order,
}

impl Marker {
    /// A marker that reads in so many threads, and tells of its progress by `pulse`.
    pub(crate) fn new(threads: usize, pulse: ProgressReporter) -> Self {
        let crew = MarkPool::of(threads);
        Self {
            marks: Marks::new(crew.is_many()),
            crew,
            pulse,
            order: Order::AsRead,
        }
    }

    /// Refreshes the span table, keeping all marks (span numbers are stable).
    ///
    /// # Errors
    /// What `refresh` returns.
    pub fn with_table<E>(
        &mut self,
        refresh: impl FnOnce(&mut SpanTable) -> Result<Refreshed, E>,
    ) -> Result<Refreshed, E> {
        let refreshed = refresh(&mut self.marks.table)?;
        if refreshed.changed {
            self.marks.table_changed(&refreshed.recut);
        }
        Ok(refreshed)
    }

    /// Becomes another number whenever what is reached, or can be told of it, becomes another.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.marks.generation
    }

    /// The spans.
    #[must_use]
    pub fn table(&self) -> &SpanTable {
        &self.marks.table
    }

    /// Bytes read from the target so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.crew.bytes_read()
    }

    /// Ranges that could not be read.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.crew.unreadable()
    }

    /// Number of objects reached.
    #[must_use]
    pub fn reached_objects(&self) -> u64 {
        self.marks.reached_objects()
    }

    /// Bytes of the objects reached.
    #[must_use]
    pub fn reached_bytes(&self) -> u64 {
        self.marks.reached_bytes()
    }

    /// Number of pages that are held to be changing.
    #[must_use]
    pub fn changing_pages(&self) -> u64 {
        self.marks.changes.changing().count() as u64
    }

    /// The object at `at` will not be read when reached.
    pub fn set_opaque(&mut self, at: TargetAddr) {
        self.marks.set_opaque(at);
    }

    /// The object at `at`, opaque so far, is reached and read.
    pub fn clear_opaque(&mut self, at: TargetAddr) {
        self.marks.clear_opaque(at);
    }

    /// Whoever reaches the block that holds the weak handle at `handle` can get at `target`.
    pub fn set_weak(&mut self, handle: TargetAddr, target: TargetAddr) {
        self.marks.set_weak(handle, target);
    }

    /// Whether the object that `at` lies in is not read when reached.
    #[must_use]
    pub fn is_opaque(&self, at: TargetAddr) -> bool {
        self.marks.is_opaque(at)
    }

    /// From now on it is noted when a word that is read points into `stack`.
    pub fn watch(&mut self, stack: Range) {
        self.marks.watch(stack);
    }

    /// Whether something that was read points into the watched stack at `start`.
    #[must_use]
    pub fn is_pointed_at(&self, start: TargetAddr) -> bool {
        self.marks.is_pointed_at(start)
    }

    /// Whether the object that `at` lies in has been reached; `None` outside the heap's objects.
    #[must_use]
    pub fn is_reached(&self, at: TargetAddr) -> Option<bool> {
        self.marks.is_reached(at)
    }

    /// Follows one word.
    pub fn word(&mut self, word: u64) {
        self.marks.word(word);
    }

    /// Follows every word of `bytes`.
    pub fn words(&mut self, bytes: &[u8]) {
        self.marks.follow(bytes);
    }

    /// Follows every word of `ranges`, which lie outside the heap's objects.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn roots(&mut self, memory: &dyn Memory, ranges: &[Range]) -> Result<(), ReadError> {
        let marks = &mut self.marks;
        match self.crew.hand() {
            Some(hand) => hand
                .stream
                .read(memory, ranges, |_, bytes| marks.follow(bytes)),
            None => Ok(()),
        }
    }

    /// From now on an object is read after it was found, as nobody may compare later how it looked
    /// then; or, if not `strictly`, a little before perhaps, which is much faster.
    pub fn read_what_is_found(&mut self, strictly: bool) {
        self.order = match strictly {
            true => Order::FoundFirst,
            false => Order::AsRead,
        };
    }

    /// Reads what has been reached and not read yet, until there is nothing more.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn drain(&mut self, memory: &dyn Memory) -> Result<(), ReadError> {
        while !self.marks.is_done() {
            let windows = self.marks.take_queued(ROUND_WINDOWS);
            self.pulse.beat(self.crew.bytes_read());
            let (marks, order) = (&self.marks, self.order);
            let found = self.crew.share(&windows, |hand, window| {
                scan_window::follow(marks, memory, hand, *window, order)
            })?;
            for found in found {
                self.marks.take(found);
            }
        }
        Ok(())
    }

    /// Reads everything reached so far once more and follows it; pages that look different from the first
    /// time are held to be changing from now on: [`Self::reread_changing`] reads them at each round.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn compare_all(&mut self, memory: &dyn Memory, downwards: bool) -> Result<(), ReadError> {
        let windows = ordered(self.marks.windows(), downwards);
        for windows in windows.chunks(ROUND_WINDOWS) {
            self.pulse.beat(self.crew.bytes_read());
            let marks = &self.marks;
            let found = self.crew.share(windows, |hand, window| {
                scan_window::compare(marks, memory, hand, *window)
            })?;
            for found in found {
                self.marks.take(found);
            }
        }
        self.drain(memory)
    }

    /// Reads the reached objects on changing pages once more, upwards or downwards, and follows
    /// them.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn reread_changing(
        &mut self,
        memory: &dyn Memory,
        downwards: bool,
    ) -> Result<(), ReadError> {
        let windows = ordered(self.marks.changing_windows(), downwards);
        for windows in windows.chunks(ROUND_WINDOWS) {
            let marks = &self.marks;
            let found = self.crew.share(windows, |hand, window| {
                scan_window::follow_changing(marks, memory, hand, *window)
            })?;
            for found in found {
                self.marks.take(found);
            }
        }
        self.drain(memory)
    }
}

fn ordered(mut windows: Vec<Window>, downwards: bool) -> Vec<Window> {
    if downwards {
        windows.reverse();
    }
    windows
}
