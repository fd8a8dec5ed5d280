//! What the plans of stacks say, followed: many stacks are read at once.

use super::{
    defers,
    frames::StackPlan,
    goroutine::{GoroutineLayout, GoroutineState},
    mark::{Range, WordSink},
};
use ids::TargetAddr;
use memory::{Gather, Memory, ReadError, words};

/// So many bytes of stacks are read at once.
const BATCH_BYTES: u64 = 1 << 20;

/// A goroutine that stands still and whose stack maps apply.
pub(super) struct Planned<'p> {
    /// As it is now.
    pub(super) now: GoroutineState,
    /// The maps.
    pub(super) plan: &'p StackPlan,
    /// The stack.
    pub(super) range: Range,
}

/// As many of `rest` as are read at once, one at least, and the others.
pub(super) fn batch_of<T>(rest: &[T], bytes_of: impl Fn(&T) -> u64) -> (&[T], &[T]) {
    let mut bytes = 0;
    let fit = rest.iter().take_while(|stack| {
        bytes += bytes_of(stack);
        bytes <= BATCH_BYTES
    });
    rest.split_at(fit.count().max(1))
}

/// Reads stacks, each with its `g` struct behind it: of each the `g`, and where and how long the stack is.
pub(super) fn read_together(
    memory: &dyn Memory,
    gather: &mut Gather,
    layout: &GoroutineLayout,
    stacks: impl Iterator<Item = (TargetAddr, TargetAddr, u64)>,
) -> Result<(), ReadError> {
    let size = usize::try_from(layout.size.min(4096)).unwrap_or(0);
    let ranges = stacks.flat_map(|(g, at, len)| {
        let len = usize::try_from(len).unwrap_or(0);
        [(at, len), (g, size)]
    });
    let ranges: Vec<_> = ranges.collect();
    gather.read(memory, &ranges)
}

/// Follows what the plans of stacks say.
pub(super) struct Follower<'f, S> {
    pub(super) memory: &'f dyn Memory,
    pub(super) layout: &'f GoroutineLayout,
    pub(super) sink: &'f mut S,
    /// For the words of one goroutine's `g` and deferred calls.
    pub(super) words: &'f mut Vec<u64>,
}

impl<S: WordSink> Follower<'_, S> {
    /// Follows what the plans of `batch` say; those that they do not fit are added to `elsewhere`. Returns
    /// how many lists of deferred calls could not be followed to their end.
    pub(super) fn follow(
        &mut self,
        gather: &mut Gather,
        batch: &[Planned<'_>],
        elsewhere: &mut Vec<GoroutineState>,
    ) -> Result<u64, ReadError> {
        let stacks = batch
            .iter()
            .map(|stack| (stack.now.g, stack.range.at, stack.range.len));
        read_together(self.memory, gather, self.layout, stacks)?;
        let mut broken = 0;
        for (index, stack) in batch.iter().enumerate() {
            match gather.get(2 * index).zip(gather.get(2 * index + 1)) {
                Some((bytes, g)) if stack.plan.fits(bytes) => {
                    broken += u64::from(!self.stack(stack, bytes, g));
                }
                _ => elsewhere.push(stack.now),
            }
        }
        Ok(broken)
    }

    /// Follows one stack, as `bytes` have it, and its `g`. Whether its deferred calls could be
    /// followed to their end.
    pub(super) fn stack(&mut self, stack: &Planned<'_>, bytes: &[u8], g: &[u8]) -> bool {
        // Without the bounds of its stack, as in `references`.
        let bounds = usize::try_from(self.layout.references(stack.now.g).at.0 - stack.now.g.0);
        let references = g.get(bounds.unwrap_or(0)..).unwrap_or(g);
        let at = stack.range.at;
        self.words.clear();
        self.words.extend(words(references));
        let complete = defers::read(self.memory, self.layout, g, (at, bytes), self.words);
        let sink = &mut *self.sink;
        stack
            .plan
            .pointers(at, bytes, self.words, |word| sink.word(word));
        for word in &*self.words {
            sink.word(*word);
        }
        complete
    }
}
