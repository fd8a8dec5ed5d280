//! The marking itself: reached objects are read, and what they point to is reached.

use super::{Range, RangeReader, extent::merge, marks::Marks};
use crate::{
    ids::TargetAddr,
    memory::{Memory, ReadError},
    reach::{
        heap::{SpanId, SpanTable},
        progress::Pulse,
    },
};

/// So many spans are read in one go when all are read.
const GROUP_SPANS: usize = 1024;

/// The marks, and what is still to be read. Marks are only ever added.
#[derive(Debug, Default)]
pub struct Marker {
    reader: RangeReader,
    marks: Marks,
    pulse: Pulse,
}

impl Marker {
    /// A marker that tells of its progress by `pulse`.
    pub(in crate::reach) fn new(pulse: Pulse) -> Self {
        Self {
            pulse,
            ..Self::default()
        }
    }

    /// Changes the span table, keeping all marks (span numbers are stable). `change` returns which
    /// spans have taken the place of which others.
    ///
    /// # Errors
    /// What `change` returns.
    pub fn with_table<E>(
        &mut self,
        change: impl FnOnce(&mut SpanTable) -> Result<Vec<(SpanId, SpanId)>, E>,
    ) -> Result<(), E> {
        let recut = change(&mut self.marks.table)?;
        self.marks.table_changed(&recut);
        Ok(())
    }

    /// The spans.
    #[must_use]
    pub fn table(&self) -> &SpanTable {
        &self.marks.table
    }

    /// Bytes read from the target so far.
    #[must_use]
    pub fn bytes_read(&self) -> u64 {
        self.reader.bytes_read
    }

    /// Ranges that could not be read.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.reader.unreadable
    }

    /// Number of objects reached.
    #[must_use]
    pub fn reached_objects(&self) -> u64 {
        self.marks.reached_objects()
    }

    /// Bytes of the objects reached.
    #[must_use]
    pub fn reached_bytes(&self) -> u64 {
        self.marks.reached_bytes
    }

    /// Number of pages that are held to be changing.
    #[must_use]
    pub fn changing_pages(&self) -> u64 {
        self.marks.changes.changing_pages()
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
        self.reader
            .read(memory, ranges, |_, bytes| marks.follow(bytes))
    }

    /// Reads what has been reached and not read yet, until there is nothing more.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn drain(&mut self, memory: &dyn Memory) -> Result<(), ReadError> {
        while !self.marks.is_done() {
            let extents = self.marks.take_pending();
            self.read(memory, &extents, Marks::first_reading)?;
        }
        Ok(())
    }

    /// Reads everything reached so far once more; pages that look different from the last time are
    /// held to be changing from now on. What is on them is followed by [`Self::reread_changing`].
    ///
    /// # Errors
    /// When the target is gone.
    pub fn compare_all(&mut self, memory: &dyn Memory, downwards: bool) -> Result<(), ReadError> {
        self.groups(memory, downwards, false, Marks::compare)?;
        self.marks.changes.compare();
        Ok(())
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
        self.groups(memory, downwards, true, |marks, _, bytes| {
            marks.follow(bytes);
        })?;
        self.drain(memory)
    }

    /// Hands over all reached objects on pages that change, or that do not.
    fn groups(
        &mut self,
        memory: &dyn Memory,
        downwards: bool,
        changing: bool,
        each: impl Fn(&mut Marks, TargetAddr, &[u8]) + Copy,
    ) -> Result<(), ReadError> {
        let spans = self.marks.spans();
        let mut groups: Vec<_> = spans.chunks(GROUP_SPANS).collect();
        if downwards {
            groups.reverse();
        }
        for group in groups {
            let mut extents = Vec::new();
            for (id, span) in group {
                self.marks
                    .reached_in(*id, span, changing, &mut |extent| extents.push(extent));
            }
            self.read(memory, &extents, each)?;
        }
        Ok(())
    }

    /// Reads `extents` (ascending) and hands over each, or the pieces that it comes in, and nothing
    /// between them.
    fn read(
        &mut self,
        memory: &dyn Memory,
        extents: &[Range],
        each: impl Fn(&mut Marks, TargetAddr, &[u8]),
    ) -> Result<(), ReadError> {
        self.pulse.beat(self.reader.bytes_read);
        let ranges = merge(extents);
        let marks = &mut self.marks;
        let mut next = 0;
        self.reader.read(memory, &ranges, |range, bytes| {
            let end = range.at.0 + range.len;
            while let Some(extent) = extents.get(next) {
                let (start, stop) = (extent.at.0.max(range.at.0), extent.at.0 + extent.len);
                if start >= end {
                    break;
                }
                let from = usize::try_from(start - range.at.0).unwrap_or(usize::MAX);
                let to = usize::try_from(stop.min(end) - range.at.0).unwrap_or(0);
                if let Some(words) = bytes.get(from..to) {
                    each(marks, TargetAddr(start), words);
                }
                if stop > end {
                    break;
                }
                next += 1;
            }
        })
    }
}
