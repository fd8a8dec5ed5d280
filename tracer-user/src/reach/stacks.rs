//! Stacks as roots: by their maps where a goroutine stands still at a call, word by word elsewhere.

use super::{
    defers,
    frames::{FrameMaps, StackPlan},
    goroutine::{self, Doing, GoroutineLayout, GoroutineNow},
    mark::{Marker, Range, RangeReader},
};
use crate::{
    ids::TargetAddr,
    memory::{Gather, Memory, ReadError, words},
};

/// How often a stack that moves away under the reader is chased within one look.
const TRIES: usize = 3;
/// So many goroutines' stacks are dealt with at once,
const GROUP: usize = 512;
/// and read in batches of about this many bytes.
const BATCH_BYTES: u64 = 1 << 20;
/// A longer stack is read word by word, in pieces.
const MAX_PLANNED_BYTES: u64 = 1 << 20;
/// How much is read word by word in one walk: so much, and so much more for each goroutine each time that
/// it is read. A stack that is longer than what is left of that is left out.
const WHOLE_BYTES: u64 = 256 << 20;
const WHOLE_BYTES_EACH: u64 = 64 << 10;

/// Reads stacks and hands what they refer to to a [`Marker`].
#[derive(Debug)]
pub struct StackReader {
    maps: FrameMaps,
    reader: RangeReader,
    gather: Gather,
    /// The words of one goroutine's `g` and deferred calls.
    words: Vec<u64>,
    broken: u64,
    /// How much may still be read word by word.
    whole_bytes: u64,
}

/// A parked goroutine whose stack maps apply.
struct Planned<'p> {
    now: GoroutineNow,
    plan: &'p StackPlan,
    range: Range,
}

impl StackReader {
    /// A reader that knows the frames by `maps`.
    #[must_use]
    pub fn new(maps: FrameMaps) -> Self {
        Self {
            maps,
            reader: RangeReader::default(),
            gather: Gather::new(),
            words: Vec::new(),
            broken: 0,
            whole_bytes: WHOLE_BYTES,
        }
    }

    /// Leaves out of `ranges` what is more than may be read.
    fn afford(&mut self, ranges: &mut Vec<Range>) {
        let before = ranges.len();
        ranges.retain(|range| {
            let left = self.whole_bytes.checked_sub(range.len);
            self.whole_bytes = left.unwrap_or(self.whole_bytes);
            left.is_some()
        });
        self.broken += (before - ranges.len()) as u64;
    }

    /// How many goroutines had something that could not be read whole, since this was last asked.
    pub fn take_broken(&mut self) -> u64 {
        std::mem::take(&mut self.broken)
    }

    /// Ranges that could not be read.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.reader.unreadable
    }

    /// Marks from the stacks and the `g` structs of `goroutines`. A goroutine that moved while its
    /// stack was read is read again, as one that runs.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn scan(
        &mut self,
        memory: &dyn Memory,
        layout: &GoroutineLayout,
        goroutines: &[GoroutineNow],
        marker: &mut Marker,
    ) -> Result<(), ReadError> {
        let each = WHOLE_BYTES_EACH.saturating_mul(goroutines.len() as u64);
        self.whole_bytes = self.whole_bytes.saturating_add(each);
        for group in goroutines.chunks(GROUP) {
            self.scan_group(memory, layout, group, marker)?;
        }
        Ok(())
    }

    fn scan_group(
        &mut self,
        memory: &dyn Memory,
        layout: &GoroutineLayout,
        goroutines: &[GoroutineNow],
        marker: &mut Marker,
    ) -> Result<(), ReadError> {
        let mut todo = goroutines.to_vec();
        for _ in 0..TRIES {
            if todo.is_empty() {
                break;
            }
            self.scan_once(memory, layout, &todo, marker)?;
            let gs: Vec<TargetAddr> = todo.iter().map(|now| now.g).collect();
            let after = goroutine::read_all(memory, layout, &gs)?;
            self.broken += after.unreadable;
            // They come in the order that was asked for, but for those that have ended.
            let mut before = todo.iter();
            todo = after
                .found
                .into_iter()
                .filter(|after| {
                    let before = before.find(|before| before.g == after.g);
                    before.is_none_or(|before| has_moved(before, after))
                })
                .map(|after| GoroutineNow {
                    doing: Doing::Running,
                    ..after
                })
                .collect();
        }
        Ok(())
    }

    fn scan_once(
        &mut self,
        memory: &dyn Memory,
        layout: &GoroutineLayout,
        goroutines: &[GoroutineNow],
        marker: &mut Marker,
    ) -> Result<(), ReadError> {
        let mut whole = Vec::new();
        let mut planned = Vec::new();
        for now in goroutines {
            match self.maps.plan(now) {
                Some(plan) if plan.extent() <= MAX_PLANNED_BYTES => planned.push(Planned {
                    now: *now,
                    plan,
                    range: Range::between(now.sp, now.sp.offset(plan.extent())),
                }),
                _ => whole.extend(word_by_word(now, layout)),
            }
        }
        let mut rest = planned.as_slice();
        while !rest.is_empty() {
            let mut bytes = 0;
            let fit = rest.iter().take_while(|stack| {
                bytes += stack.range.len;
                bytes <= BATCH_BYTES
            });
            // One alone always does.
            let (batch, others) = rest.split_at(fit.count().max(1));
            rest = others;
            let (gather, words) = (&mut self.gather, &mut self.words);
            let mut follower = Follower {
                memory,
                layout,
                marker,
                words,
            };
            self.broken += follower.follow(gather, batch, &mut whole)?;
        }
        self.afford(&mut whole);
        self.reader
            .read(memory, &whole, |_, bytes| marker.words(bytes))
    }
}

/// Follows what the plans of stacks say.
struct Follower<'f> {
    memory: &'f dyn Memory,
    layout: &'f GoroutineLayout,
    marker: &'f mut Marker,
    words: &'f mut Vec<u64>,
}

impl Follower<'_> {
    /// Follows what the plans of `batch` say; what must be read whole instead goes to `whole`. Returns
    /// how many lists of deferred calls could not be followed to their end.
    fn follow(
        &mut self,
        gather: &mut Gather,
        batch: &[Planned<'_>],
        whole: &mut Vec<Range>,
    ) -> Result<u64, ReadError> {
        let size = usize::try_from(self.layout.size.min(4096)).unwrap_or(0);
        let ranges = batch.iter().flat_map(|stack| {
            let len = usize::try_from(stack.range.len).unwrap_or(0);
            [(stack.range.at, len), (stack.now.g, size)]
        });
        let ranges: Vec<_> = ranges.collect();
        gather.read(self.memory, &ranges)?;
        let mut broken = 0;
        for (index, stack) in batch.iter().enumerate() {
            match gather.get(2 * index).zip(gather.get(2 * index + 1)) {
                Some((bytes, g)) if stack.plan.fits(bytes) => {
                    broken += u64::from(!self.stack(stack, bytes, g));
                }
                _ => whole.extend(word_by_word(&stack.now, self.layout)),
            }
        }
        Ok(broken)
    }

    /// Follows one stack, as `bytes` have it, and its `g`. Whether its deferred calls could be
    /// followed to their end.
    fn stack(&mut self, stack: &Planned<'_>, bytes: &[u8], g: &[u8]) -> bool {
        // Without the bounds of its stack, as in `references`.
        let bounds = usize::try_from(self.layout.references(stack.now.g).at.0 - stack.now.g.0);
        let references = g.get(bounds.unwrap_or(0)..).unwrap_or(g);
        let at = stack.range.at;
        self.words.clear();
        self.words.extend(words(references));
        let complete = defers::read(self.memory, self.layout, g, (at, bytes), self.words);
        let marker = &mut *self.marker;
        stack
            .plan
            .pointers(at, bytes, self.words, |word| marker.word(word));
        for word in &*self.words {
            marker.word(*word);
        }
        complete
    }
}

/// Its `g` struct and all of its stack that can matter.
fn word_by_word(now: &GoroutineNow, layout: &GoroutineLayout) -> impl Iterator<Item = Range> {
    let g = layout.references(now.g);
    [g].into_iter().chain(conservative(now))
}

/// All of its stack that can matter.
fn conservative(now: &GoroutineNow) -> Option<Range> {
    let (lo, hi) = now.stack;
    if !now.has_stack() {
        return None;
    }
    // While it runs, registers are stored below any stack pointer we could know: an asynchronous
    // preemption (runtime/preempt.go: every 10 ms of running) saves all of them on this stack, and
    // what it saved stays there until other frames overwrite it.
    let from = match now.doing {
        Doing::Parked | Doing::Runnable | Doing::Syscall if now.sp_is_sound() => now.sp,
        _ => lo,
    };
    Some(Range::between(from, hi))
}

fn has_moved(before: &GoroutineNow, after: &GoroutineNow) -> bool {
    if before.doing == Doing::Running {
        before.stack != after.stack
    } else {
        before != after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goroutine(doing: Doing, sp: u64) -> GoroutineNow {
        GoroutineNow {
            doing,
            sp: TargetAddr(sp),
            ..GoroutineNow::parked(1, 0x100)
        }
    }

    #[test]
    fn a_running_stack_counts_whole_and_a_parked_one_from_its_pointer() {
        let start = |doing, sp| conservative(&goroutine(doing, sp)).unwrap().at.0;
        assert_eq!(start(Doing::Parked, 0x1800), 0x1800);
        assert_eq!(start(Doing::Syscall, 0x1800), 0x1800);
        assert_eq!(start(Doing::Running, 0x1800), 0x1000);
        assert_eq!(start(Doing::Parked, 0x800), 0x1000);
    }

    #[test]
    fn a_parked_goroutine_that_ran_has_moved() {
        let before = goroutine(Doing::Parked, 0x1800);
        let after = GoroutineNow {
            runs: Some(2),
            ..before
        };
        assert!(has_moved(&before, &after));
        assert!(!has_moved(&before, &before));
        let running = goroutine(Doing::Running, 0x1800);
        assert!(!has_moved(&running, &goroutine(Doing::Running, 0x1700)));
    }
}
