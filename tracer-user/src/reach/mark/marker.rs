//! The marking itself: reached objects are read, and what they point to is reached.

use super::{Range, crew::Crew, marks::Marks, scan};
use crate::{
    ids::TargetAddr,
    memory::{Memory, ReadError},
    reach::{
        heap::{Span, SpanId, SpanTable},
        progress::Pulse,
    },
};

/// So many spans are read in one go when all are read.
const GROUP_SPANS: usize = 256;
/// So many groups are read before progress is told.
const GROUPS_AT_ONCE: usize = 256;
/// What is to be read is shared out in pieces of about this many bytes.
const SHARE_BYTES: u64 = 512 << 10;

/// The marks, and what is still to be read. Marks are only ever added.
#[derive(Debug, Default)]
pub struct Marker {
    crew: Crew,
    marks: Marks,
    pulse: Pulse,
}

impl Marker {
    /// A marker that reads in so many threads, and tells of its progress by `pulse`.
    pub(in crate::reach) fn new(threads: usize, pulse: Pulse) -> Self {
        Self {
            crew: Crew::of(threads),
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
        match self.crew.reader() {
            Some(reader) => reader.read(memory, ranges, |_, bytes| marks.follow(bytes)),
            None => Ok(()),
        }
    }

    /// Reads what has been reached and not read yet, until there is nothing more.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn drain(&mut self, memory: &dyn Memory) -> Result<(), ReadError> {
        while !self.marks.is_done() {
            let extents = self.marks.take_pending();
            self.pulse.beat(self.crew.bytes_read());
            let marks = &self.marks;
            let found = self.crew.share(&shares(&extents), |reader, share| {
                scan::follow(marks, memory, reader, share, true)
            })?;
            for found in found {
                self.marks.take(found);
            }
        }
        Ok(())
    }

    /// Reads everything reached so far once more; pages that look different from the last time are
    /// held to be changing from now on. What is on them is followed by [`Self::reread_changing`].
    ///
    /// # Errors
    /// When the target is gone.
    pub fn compare_all(&mut self, memory: &dyn Memory, downwards: bool) -> Result<(), ReadError> {
        self.spans_at_once(downwards, |marks, crew, groups| {
            let looks = crew.share(groups, |reader, spans| {
                let extents = reached(marks, spans, false);
                scan::look(marks, memory, reader, &extents)
            })?;
            for (page, hash) in looks.into_iter().flat_map(|sums| sums.0) {
                marks.changes.again(page, hash);
            }
            Ok(())
        })
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
        self.spans_at_once(downwards, |marks, crew, groups| {
            let found = crew.share(groups, |reader, spans| {
                let extents = reached(marks, spans, true);
                scan::follow(marks, memory, reader, &extents, false)
            })?;
            for found in found {
                marks.take(found);
            }
            Ok(())
        })?;
        self.drain(memory)
    }

    /// Hands over all spans that may hold pointers, in groups, many groups at once.
    fn spans_at_once(
        &mut self,
        downwards: bool,
        mut each: impl FnMut(&mut Marks, &mut Crew, &[&[(SpanId, Span)]]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let spans = self.marks.spans().to_vec();
        let mut groups: Vec<_> = spans.chunks(GROUP_SPANS).collect();
        if downwards {
            groups.reverse();
        }
        for groups in groups.chunks(GROUPS_AT_ONCE) {
            self.pulse.beat(self.crew.bytes_read());
            each(&mut self.marks, &mut self.crew, groups)?;
        }
        Ok(())
    }
}

/// What has been reached in `spans` on pages that change, or that do not.
fn reached(marks: &Marks, spans: &[(SpanId, Span)], changing: bool) -> Vec<Range> {
    let mut extents = Vec::new();
    for (id, span) in spans {
        marks.reached_in(*id, span, changing, &mut |extent| extents.push(extent));
    }
    extents
}

/// `extents` in pieces of about [`SHARE_BYTES`].
fn shares(extents: &[Range]) -> Vec<&[Range]> {
    let mut bytes = 0;
    let mut share = 0;
    let chunks = extents.chunk_by(|extent, _| {
        bytes += extent.len;
        let before = std::mem::replace(&mut share, bytes / SHARE_BYTES);
        before == share
    });
    chunks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_about_equal_and_hold_everything() {
        let extents: Vec<Range> = (0..1000)
            .map(|n| Range {
                at: TargetAddr(n * 8192),
                len: 8192,
            })
            .collect();
        let shares = shares(&extents);
        assert_eq!(shares.concat(), extents);
        let sizes: Vec<u64> = shares
            .iter()
            .map(|share| share.len() as u64 * 8192)
            .collect();
        assert!(
            sizes.iter().all(|size| *size <= SHARE_BYTES + 8192),
            "{sizes:?}"
        );
        assert!(shares.len() > 10);
    }
}
