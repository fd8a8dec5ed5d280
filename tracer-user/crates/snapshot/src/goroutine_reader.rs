//! Goroutines, their stacks and queue entries, read while the process runs.
//!
//! Everything about one goroutine is read between two looks at its `g`. When the second differs
//! from the first the goroutine has run meanwhile, and it is read again; one that runs every time
//! needs no stack: it is alive.

use std::sync::Arc;

use super::{
    Stack, Status, Target,
    g_record::{Broken, GRecord},
    gaps::{Gap, Gaps},
    sudog::Sudog,
    unwind::{Start, Unwinder, Unwound},
};
use ids::TargetAddr;
use memory::{Gather, ReadError};

/// How many goroutines are read at once: bounds the buffers.
const CHUNK: usize = 1024;
/// How often a goroutine that runs meanwhile is read.
const ATTEMPTS: usize = 4;
/// How much of a stack is read at first. Most are smaller.
const FIRST_BYTES: u64 = 16 << 10;
/// How much of a deep stack is read at most.
const MOST_BYTES: u64 = 8 << 20;
/// How much of deep stacks is read of all goroutines together: so much, and so much more for each
/// goroutine, up to a limit. What is deeper is cut off: stacks that are claimed cost nothing but whoever
/// reads them.
const DEEP_BYTES: u64 = 64 << 20;
const DEEP_BYTES_EACH: u64 = 64 << 10;
const MOST_DEEP_BYTES: u64 = 2 << 30;
/// How many bytes of deep stacks are read at once.
const DEEP_BATCH_BYTES: usize = 64 << 20;
/// Most cases of one select (`reflect.Select` allows 65536).
const CASES_LIMIT: usize = 1 << 16;
/// Most further cases of the selects of the goroutines that are read at once, and of all together
/// beyond [`CASES_EACH`].
const ENTRIES_LIMIT: usize = 1 << 18;
/// So many further cases of all selects together for each goroutine, where there are many.
const CASES_EACH: usize = 64;

/// One goroutine as it was between two looks.
pub(super) struct GoroutineRead {
    pub(super) g: TargetAddr,
    pub(super) record: GRecord,
    /// The status to report: running for a goroutine that never stood still.
    pub(super) status: Status,
    /// Where unwinding started.
    pub(super) sp: TargetAddr,
    pub(super) stack: Arc<Stack>,
    /// Its entries in the queues of channels, and from Go 1.26 on of semaphores.
    pub(super) entries: Vec<Sudog>,
}

/// A goroutine that stands still, as far as the first look tells.
struct Still {
    g: TargetAddr,
    record: GRecord,
    start: Start,
    stack: Option<Arc<Stack>>,
    entries: Vec<Sudog>,
}

/// Reads goroutines of one target.
pub(super) struct GoroutineReader<'reader> {
    pub(super) target: &'reader Target,
    pub(super) unwinder: &'reader mut Unwinder,
    pub(super) gaps: &'reader mut Gaps,
    pub(super) gather: Gather,
    pub(super) no_stack: Arc<Stack>,
    /// So many further cases of selects may still be kept.
    pub(super) room: usize,
    /// So many bytes of deep stacks may still be read.
    pub(super) deep_bytes: u64,
}

impl GoroutineReader<'_> {
    /// Reads every goroutine of `list` that is alive, in the list's order but for those that ran.
    pub(super) fn read(
        &mut self,
        list: &[TargetAddr],
        mut found: impl FnMut(GoroutineRead),
    ) -> Result<(), ReadError> {
        self.room = ENTRIES_LIMIT + CASES_EACH * list.len();
        let each = DEEP_BYTES_EACH.saturating_mul(list.len() as u64);
        self.deep_bytes = (DEEP_BYTES + each).min(MOST_DEEP_BYTES);
        for chunk in list.chunks(CHUNK) {
            self.read_chunk(chunk, &mut found)?;
        }
        Ok(())
    }

    fn read_chunk(
        &mut self,
        chunk: &[TargetAddr],
        found: &mut impl FnMut(GoroutineRead),
    ) -> Result<(), ReadError> {
        let mut todo = chunk.to_vec();
        for attempt in 1..=ATTEMPTS {
            let last = attempt == ATTEMPTS;
            let records = self.records(&todo)?;
            let mut again = Vec::new();
            let mut still = Vec::new();
            for (g, record) in todo.into_iter().zip(records) {
                match self.sort_out(g, record, last) {
                    Sorted::Still(goroutine) => still.push(goroutine),
                    Sorted::Moving(look) => found(look),
                    Sorted::Again => again.push(g),
                    Sorted::Dead => {}
                }
            }
            self.fill_stacks(&mut still)?;
            self.fill_entries(&mut still)?;
            let addresses: Vec<_> = still.iter().map(|goroutine| goroutine.g).collect();
            let after = self.records(&addresses)?;
            for (goroutine, after) in still.into_iter().zip(after) {
                match after {
                    Ok(Ok(after)) if after.has_not_run_since(&goroutine.record) => {
                        found(self.accept(goroutine));
                    }
                    _ if last => found(self.restless(goroutine)),
                    _ => again.push(goroutine.g),
                }
            }
            todo = again;
            if todo.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// The `g` structs at `addresses`; unreadable ones are `Err`.
    #[allow(clippy::type_complexity)]
    fn records(
        &mut self,
        addresses: &[TargetAddr],
    ) -> Result<Vec<Result<Result<GRecord, Broken>, ()>>, ReadError> {
        let layout = self.target.image.layout();
        let len = GRecord::len(layout);
        let ranges: Vec<_> = addresses.iter().map(|g| (*g, len)).collect();
        self.gather.read(&*self.target.memory, &ranges)?;
        Ok((0..ranges.len())
            .map(|index| match self.gather.get(index) {
                Some(bytes) => Ok(GRecord::decode(bytes, layout)),
                None => Err(()),
            })
            .collect())
    }

    fn sort_out(
        &mut self,
        g: TargetAddr,
        record: Result<Result<GRecord, Broken>, ()>,
        last: bool,
    ) -> Sorted {
        let record = match record {
            Ok(Ok(record)) => record,
            // A g that is being reused breaks rules for a moment.
            _ if !last => return Sorted::Again,
            Ok(Err(Broken(rule))) => {
                self.gaps
                    .note(Gap::BrokenGoroutine, || format!("{rule} at {g}"));
                return Sorted::Dead;
            }
            Err(()) => {
                self.gaps
                    .note(Gap::UnreadableGoroutine, || format!("g at {g}"));
                return Sorted::Dead;
            }
        };
        let Some(status) = record.status else {
            return Sorted::Dead;
        };
        // Being created: it has no id yet.
        if status == Status::Idle {
            return Sorted::Dead;
        }
        if let Err(Broken(rule)) = record.check(g) {
            if !last {
                return Sorted::Again;
            }
            self.gaps
                .note(Gap::BrokenGoroutine, || format!("{rule} at {g}"));
            return Sorted::Dead;
        }
        match record.unwind_from() {
            Some(start) => Sorted::Still(Still {
                g,
                record,
                start,
                stack: None,
                entries: Vec::new(),
            }),
            None => Sorted::Moving(self.moving(g, record, status)),
        }
    }

    fn moving(&self, g: TargetAddr, record: GRecord, status: Status) -> GoroutineRead {
        GoroutineRead {
            g,
            record,
            // A parked goroutine always has a place to unwind from.
            status: if status.is_parked() {
                Status::Running
            } else {
                status
            },
            sp: record.sched_sp,
            stack: Arc::clone(&self.no_stack),
            entries: Vec::new(),
        }
    }

    fn accept(&mut self, goroutine: Still) -> GoroutineRead {
        let goid = goroutine.record.goid;
        let further = goroutine.entries.len().saturating_sub(1);
        self.room = self.room.saturating_sub(further);
        let stack = goroutine.stack.unwrap_or_else(|| {
            self.gaps
                .note(Gap::UnreadableStack, || format!("goroutine {goid}"));
            Arc::clone(&self.no_stack)
        });
        if stack.truncated && !stack.frames.is_empty() {
            self.gaps
                .note(Gap::TruncatedStack, || format!("goroutine {goid}"));
        }
        GoroutineRead {
            g: goroutine.g,
            record: goroutine.record,
            status: goroutine.record.status.unwrap_or(Status::Running),
            sp: goroutine.start.sp,
            stack,
            entries: goroutine.entries,
        }
    }

    fn restless(&mut self, goroutine: Still) -> GoroutineRead {
        let goid = goroutine.record.goid;
        self.gaps
            .note(Gap::Restless, || format!("goroutine {goid}"));
        self.moving(goroutine.g, goroutine.record, Status::Running)
    }

    fn fill_stacks(&mut self, still: &mut [Still]) -> Result<(), ReadError> {
        let ranges: Vec<_> = still.iter().map(|s| range(s, FIRST_BYTES)).collect();
        self.gather.read(&*self.target.memory, &ranges)?;
        let mut deep = Vec::new();
        for (index, goroutine) in still.iter_mut().enumerate() {
            let Some(bytes) = self.gather.get(index) else {
                continue;
            };
            let whole = range(goroutine, u64::MAX).1 == bytes.len();
            match self.unwinder.unwind(
                &self.target.image,
                self.target.bias,
                goroutine.start,
                bytes,
                whole,
            ) {
                Unwound::Done(stack) => goroutine.stack = Some(stack),
                Unwound::NeedsMore => deep.push(index),
            }
        }
        let batch = DEEP_BATCH_BYTES / MOST_BYTES as usize;
        for indices in deep.chunks(batch) {
            let ranges: Vec<_> = indices
                .iter()
                .map(|i| range(&still[*i], MOST_BYTES.min(self.deep_bytes).max(FIRST_BYTES)))
                .collect();
            let bytes: u64 = ranges.iter().map(|(_, len)| *len as u64).sum();
            self.deep_bytes = self.deep_bytes.saturating_sub(bytes);
            self.gather.read(&*self.target.memory, &ranges)?;
            for (place, index) in indices.iter().enumerate() {
                let goroutine = &mut still[*index];
                let Some(bytes) = self.gather.get(place) else {
                    continue;
                };
                if let Unwound::Done(stack) = self.unwinder.unwind(
                    &self.target.image,
                    self.target.bias,
                    goroutine.start,
                    bytes,
                    true,
                ) {
                    goroutine.stack = Some(stack);
                }
            }
        }
        Ok(())
    }

    /// Follows `g.waiting`: one entry for a channel operation, one a case for a select, in the
    /// order in which the select locks its channels.
    fn fill_entries(&mut self, still: &mut [Still]) -> Result<(), ReadError> {
        let layout = self.target.image.layout();
        let len = Sudog::len(layout);
        let mut next: Vec<(usize, TargetAddr)> = still
            .iter()
            .enumerate()
            .filter(|(_, s)| s.record.status.is_some_and(Status::is_parked))
            .map(|(index, s)| (index, s.record.waiting))
            .filter(|(_, waiting)| !waiting.is_nil())
            .collect();
        let mut room = ENTRIES_LIMIT.min(self.room);
        for _ in 0..CASES_LIMIT {
            if next.is_empty() {
                break;
            }
            let ranges: Vec<_> = next.iter().map(|(_, at)| (*at, len)).collect();
            self.gather.read(&*self.target.memory, &ranges)?;
            let mut further = Vec::new();
            for (place, (index, at)) in next.iter().enumerate() {
                let goroutine = &mut still[*index];
                let sudog = self
                    .gather
                    .get(place)
                    .map(|bytes| Sudog::decode(*at, bytes, layout))
                    .filter(|sudog| sudog.g == goroutine.g);
                match sudog.map(|sudog| goroutine.add_entry(sudog)) {
                    Some(Chain::Ends) => {}
                    Some(Chain::GoesOn(link)) => further.push((*index, link)),
                    Some(Chain::Broken) | None => goroutine.entries.clear(),
                }
            }
            next = further;
            let Some(left) = room.checked_sub(next.len()) else {
                break;
            };
            room = left;
        }
        // Half a select would look blocked where its other half is not: all cases or none.
        for (index, _) in next {
            still[index].entries.clear();
        }
        Ok(())
    }
}

/// How a goroutine's chain of queue entries goes on.
enum Chain {
    Ends,
    GoesOn(TargetAddr),
    Broken,
}

impl Still {
    fn add_entry(&mut self, sudog: Sudog) -> Chain {
        self.entries.push(sudog);
        // In a semaphore's queue waitlink leads to another goroutine.
        if !sudog.is_select || sudog.wait_link.is_nil() {
            Chain::Ends
        } else if loops(&self.entries) {
            Chain::Broken
        } else {
            Chain::GoesOn(sudog.wait_link)
        }
    }
}

enum Sorted {
    Still(Still),
    Moving(GoroutineRead),
    Again,
    Dead,
}

/// Whether the last entry leads back to an earlier one (Brent: compared with the entry at the
/// last power of two, every loop shows sooner or later).
fn loops(entries: &[Sudog]) -> bool {
    let checkpoint = (entries.len().next_power_of_two() / 2).max(1) - 1;
    match (entries.last(), entries.get(checkpoint)) {
        (Some(last), Some(earlier)) => last.wait_link == earlier.at,
        _ => false,
    }
}

/// The part of its stack in use, at most `limit` bytes of it.
fn range(goroutine: &Still, limit: u64) -> (TargetAddr, usize) {
    let used = goroutine
        .record
        .stack_hi
        .0
        .saturating_sub(goroutine.start.sp.0);
    let len = usize::try_from(used.min(limit)).unwrap_or(0);
    (goroutine.start.sp, len)
}
