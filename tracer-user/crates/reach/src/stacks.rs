//! Stacks as roots: by their maps where a goroutine stands still at a call, word by word elsewhere.

use std::{thread, time::Duration};

use super::{
    frames::FrameMaps,
    goroutine::{self, GoroutineLayout, GoroutineState, RunState},
    mark::{Range, RangeReader, WordSink},
    planned::{Follower, Planned, batch_of, read_together},
};
use ids::TargetAddr;
use memory::{Gather, Memory, ReadError};

/// How often a stack that moves away under the reader is chased within one round.
const TRIES: usize = 3;
/// For how long a goroutine that runs is waited for to stop, so that the maps of its frames hold: most run
/// for microseconds,
const STOP_STEP: Duration = Duration::from_micros(100);
/// in so many steps at most,
const STOP_STEPS: usize = 8;
/// and for so long in all in one walk.
const STOP_LIMIT: Duration = Duration::from_millis(50);
/// So many goroutines' stacks are dealt with at once.
const GROUP: usize = 512;
/// A longer stack is read word by word, in pieces.
const MAX_PLANNED_BYTES: u64 = 1 << 20;
/// The same of a stack whose frames have yet to be found.
const MAX_UNWOUND_BYTES: u64 = 256 << 10;
/// How much is read word by word in one walk: so much, and so much more for each goroutine each time that
/// it is read. A stack that is longer than what is left of that is left out.
const WHOLE_BYTES: u64 = 256 << 20;
const WHOLE_BYTES_EACH: u64 = 64 << 10;

/// Reads stacks and hands what they refer to to a [`WordSink`].
#[derive(Debug)]
pub struct StackReader {
    maps: FrameMaps,
    reader: RangeReader,
    gather: Gather,
    /// The words of one goroutine's `g` and deferred calls.
    words: Vec<u64>,
    broken: u64,
    /// How long goroutines that run were waited for.
    waited: Duration,
    /// How much may still be read word by word.
    whole_bytes: u64,
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
            waited: Duration::ZERO,
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

    /// Hands `sink` what the stacks and the `g` structs of `goroutines` refer to. A goroutine that moved
    /// while its stack was read is read again, in the end as one that runs.
    ///
    /// # Errors
    /// When the target is gone.
    pub fn scan(
        &mut self,
        memory: &dyn Memory,
        layout: &GoroutineLayout,
        goroutines: &[GoroutineState],
        sink: &mut impl WordSink,
    ) -> Result<(), ReadError> {
        let each = WHOLE_BYTES_EACH.saturating_mul(goroutines.len() as u64);
        self.whole_bytes = self.whole_bytes.saturating_add(each);
        for group in goroutines.chunks(GROUP) {
            self.scan_group(memory, layout, group, sink)?;
        }
        Ok(())
    }

    fn scan_group(
        &mut self,
        memory: &dyn Memory,
        layout: &GoroutineLayout,
        goroutines: &[GoroutineState],
        sink: &mut impl WordSink,
    ) -> Result<(), ReadError> {
        let mut todo = goroutines.to_vec();
        for left in (0..TRIES).rev() {
            if todo.is_empty() {
                break;
            }
            if left > 0 {
                self.wait_for_stop(memory, layout, &mut todo)?;
            }
            self.scan_once(memory, layout, &todo, sink)?;
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
                .map(|after| GoroutineState {
                    doing: if left > 1 {
                        after.doing
                    } else {
                        RunState::Running
                    },
                    ..after
                })
                .collect();
        }
        Ok(())
    }

    /// Waits a moment for those of `goroutines` that run: what they refer to is then read by the maps of the
    /// calls that they have stopped in. Whoever runs on is left as one that runs.
    fn wait_for_stop(
        &mut self,
        memory: &dyn Memory,
        layout: &GoroutineLayout,
        goroutines: &mut [GoroutineState],
    ) -> Result<(), ReadError> {
        for _ in 0..STOP_STEPS {
            let running = goroutines
                .iter()
                .filter(|now| now.doing == RunState::Running);
            let gs: Vec<TargetAddr> = running.map(|now| now.g).collect();
            if gs.is_empty() || self.waited >= STOP_LIMIT {
                break;
            }
            thread::sleep(STOP_STEP);
            self.waited += STOP_STEP;
            let after = goroutine::read_all(memory, layout, &gs)?;
            for after in after.found {
                let before = goroutines.iter_mut().find(|before| before.g == after.g);
                if let Some(before) = before {
                    *before = after;
                }
            }
        }
        Ok(())
    }

    fn scan_once(
        &mut self,
        memory: &dyn Memory,
        layout: &GoroutineLayout,
        goroutines: &[GoroutineState],
        sink: &mut impl WordSink,
    ) -> Result<(), ReadError> {
        let (mut planned, mut elsewhere) = (Vec::new(), Vec::new());
        for now in goroutines {
            match self.maps.plan(now) {
                Some(plan) if plan.extent() <= MAX_PLANNED_BYTES => planned.push(Planned {
                    now: *now,
                    plan,
                    range: Range::between(now.sp, now.sp.offset(plan.extent())),
                }),
                _ => elsewhere.push(*now),
            }
        }
        let mut rest = planned.as_slice();
        while !rest.is_empty() {
            let (batch, others) = batch_of(rest, |stack| stack.range.len);
            rest = others;
            let (gather, words) = (&mut self.gather, &mut self.words);
            let mut follower = Follower {
                memory,
                layout,
                sink: &mut *sink,
                words,
            };
            self.broken += follower.follow(gather, batch, &mut elsewhere)?;
        }
        let mut whole = self.scan_elsewhere(memory, layout, &elsewhere, sink)?;
        self.afford(&mut whole);
        self.reader
            .read(memory, &whole, |_, bytes| sink.words(bytes))
    }

    /// Hands `sink` what those of `goroutines` refer to that stand still at places which have yet to be found. Returns what
    /// is to be read word by word.
    fn scan_elsewhere(
        &mut self,
        memory: &dyn Memory,
        layout: &GoroutineLayout,
        goroutines: &[GoroutineState],
        sink: &mut impl WordSink,
    ) -> Result<Vec<Range>, ReadError> {
        let in_use = |now: &GoroutineState| now.stack.1.0 - now.sp.0;
        // Whoever is ready to run stands where it was parked, or where it was preempted, which its frames say.
        let stands =
            |now: &GoroutineState| matches!(now.doing, RunState::Parked | RunState::Runnable);
        let unwinds = |now: &&GoroutineState| {
            stands(now) && now.sp_is_sound() && in_use(now) <= MAX_UNWOUND_BYTES
        };
        let mut whole = Vec::new();
        for now in goroutines.iter().filter(|now| !unwinds(now)) {
            whole.extend(word_by_word(now, layout));
        }
        let standing: Vec<GoroutineState> = goroutines.iter().filter(unwinds).copied().collect();
        let mut rest = standing.as_slice();
        while !rest.is_empty() {
            let (batch, others) = batch_of(rest, in_use);
            rest = others;
            let stacks = batch.iter().map(|now| (now.g, now.sp, in_use(now)));
            read_together(memory, &mut self.gather, layout, stacks)?;
            for (index, now) in batch.iter().enumerate() {
                let read = (self.gather.get(2 * index)).zip(self.gather.get(2 * index + 1));
                let plan = read.and_then(|(bytes, _)| self.maps.plan_anew(now, bytes));
                let (Some((bytes, g)), Some(plan)) = (read, plan) else {
                    whole.extend(word_by_word(now, layout));
                    continue;
                };
                let range = Range::between(now.sp, now.stack.1);
                let stack = Planned {
                    now: *now,
                    plan,
                    range,
                };
                let words = &mut self.words;
                let mut follower = Follower {
                    memory,
                    layout,
                    sink: &mut *sink,
                    words,
                };
                self.broken += u64::from(!follower.stack(&stack, bytes, g));
            }
        }
        Ok(whole)
    }
}

/// Its `g` struct and all of its stack that can matter.
fn word_by_word(now: &GoroutineState, layout: &GoroutineLayout) -> impl Iterator<Item = Range> {
    let g = layout.references(now.g);
    [g].into_iter().chain(conservative(now))
}

/// All of its stack that can matter.
fn conservative(now: &GoroutineState) -> Option<Range> {
    let (lo, hi) = now.stack;
    if !now.has_stack() {
        return None;
    }
    // While it runs, registers are stored below any stack pointer we could know: an asynchronous
    // preemption (runtime/preempt.go: every 10 ms of running) saves all of them on this stack, and
    // what it saved stays there until other frames overwrite it.
    let from = match now.doing {
        RunState::Parked | RunState::Runnable | RunState::Syscall if now.sp_is_sound() => now.sp,
        _ => lo,
    };
    Some(Range::between(from, hi))
}

fn has_moved(before: &GoroutineState, after: &GoroutineState) -> bool {
    if before.doing == RunState::Running {
        before.stack != after.stack
    } else {
        before != after
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goroutine(doing: RunState, sp: u64) -> GoroutineState {
        GoroutineState {
            doing,
            sp: TargetAddr(sp),
            ..GoroutineState::parked(1, 0x100)
        }
    }

    #[test]
    fn a_running_stack_counts_whole_and_a_parked_one_from_its_pointer() {
        let start = |doing, sp| conservative(&goroutine(doing, sp)).unwrap().at.0;
        assert_eq!(start(RunState::Parked, 0x1800), 0x1800);
        assert_eq!(start(RunState::Syscall, 0x1800), 0x1800);
        assert_eq!(start(RunState::Running, 0x1800), 0x1000);
        assert_eq!(start(RunState::Parked, 0x800), 0x1000);
    }

    #[test]
    fn a_parked_goroutine_that_ran_has_moved() {
        let before = goroutine(RunState::Parked, 0x1800);
        let after = GoroutineState {
            runs: Some(2),
            ..before
        };
        assert!(has_moved(&before, &after));
        assert!(!has_moved(&before, &before));
        let running = goroutine(RunState::Running, 0x1800);
        assert!(!has_moved(&running, &goroutine(RunState::Running, 0x1700)));
    }
}
