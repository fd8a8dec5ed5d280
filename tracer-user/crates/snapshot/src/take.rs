//! Takes snapshots.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{
    Goroutine, InnermostPc, Motion, SamplingOutcome, Snapshot, SnapshotError, Stack, SyncObject,
    Target, WaitSince, allgs, conds,
    gaps::{Gap, Gaps},
    goroutine_reader::{GoroutineRead, GoroutineReader},
    plausible, scheduler, semaphores,
    system::SystemGoroutines,
    threads::Ms,
    unwind::Unwinder,
    waits::{self, Entry},
};
use ids::{TargetAddr, Tid};
use image::WaitReason;
use memory::Gather;
use resources::clock::monotonic_ns;

/// The first minor version of Go 1 whose goroutines point to their semaphore and Cond entries
/// (`runtime/sema.go`: `s.g.waiting = s`).
const POINTS_TO_SEMAPHORE: u32 = 26;

/// One broken `g` in so many living ones shows a wrong layout, not a torn read.
const LAYOUT_TOLERANCE: u64 = 4;

/// Reads the runtime state of `target` once, without stopping it.
///
/// # Errors
/// [`SnapshotError`]; what is merely missing is listed in [`Snapshot::incomplete`].
pub fn take(target: &Target) -> Result<Snapshot, SnapshotError> {
    Snapshots::new().take(target)
}

/// Reads those goroutines of `target` once more whose `g` structs lie at `gs`, as [`take`] does, in
/// no particular order; those that have ended are missing.
///
/// # Errors
/// As [`take`].
pub fn take_of(target: &Target, gs: &[TargetAddr]) -> Result<Vec<Goroutine>, SnapshotError> {
    let (mut snapshots, mut gaps) = (Snapshots::new(), Gaps::default());
    let waits = snapshots.waits(target, gs, &FxHashMap::default(), &mut gaps)?;
    Ok(waits.goroutines)
}

/// Goroutines, and what they wait on.
struct Waits {
    goroutines: Vec<Goroutine>,
    objects: FxHashMap<TargetAddr, SyncObject>,
}

/// Takes snapshots of one target again and again, sharing what stays the same: frame sizes, equal
/// stacks, which functions are the runtime's own.
#[derive(Debug, Default)]
pub struct Snapshots {
    unwinder: Unwinder,
    system: SystemGoroutines,
}

impl Snapshots {
    /// Nothing shared yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the runtime state of `target`, which must be the same each time.
    ///
    /// # Errors
    /// As [`take`].
    pub fn take(&mut self, target: &Target) -> Result<Snapshot, SnapshotError> {
        let began_ns = monotonic_ns();
        let mut gaps = Gaps::default();
        let all = allgs::read(target)?;
        gaps.add(Gap::TooManyGoroutines, all.left_out, || {
            "the last".to_owned()
        });
        let ms = Ms::read(target, &mut gaps)?;
        let Waits {
            mut goroutines,
            objects,
        } = self.waits(target, &all.list, &ms.tids(), &mut gaps)?;
        check_layout(target, &goroutines, &gaps)?;
        // Every started runtime has goroutines of its own.
        if goroutines.is_empty() {
            return Err(SnapshotError::NotStarted);
        }

        let tasks = tasks(target, &mut gaps);
        let threads = ms.join(target, &goroutines, tasks.as_deref());
        let found = plausible::Found {
            goroutines: &goroutines,
            threads: &threads,
            tasks: tasks.as_deref(),
            objectless: gaps.of(Gap::UnknownObject).0,
        };
        plausible::check(target, &found)?;
        let scheduler = scheduler::read(target)?;
        if scheduler.is_none() {
            gaps.note(Gap::Scheduler, || "runtime.sched is not known".to_owned());
        }
        goroutines.sort_unstable_by_key(|goroutine| goroutine.goid);
        let taken_ns = match target.motion {
            Motion::Running => began_ns,
            Motion::Stopped { at_ns, .. } => {
                at_ns.unwrap_or_else(|| scheduler::last_moment_ns(target, &goroutines))
            }
        };
        Ok(Snapshot {
            pid: target.pid,
            taken_ns,
            bias: target.bias,
            goroutines,
            objects,
            threads,
            scheduler,
            incomplete: gaps.into_incomplete(),
            sampling: SamplingOutcome::default(),
        })
    }

    /// The goroutines whose structs are in `list`, and what they wait on.
    fn waits(
        &mut self,
        target: &Target,
        list: &[TargetAddr],
        tids: &FxHashMap<TargetAddr, Tid>,
        gaps: &mut Gaps,
    ) -> Result<Waits, SnapshotError> {
        let by_table = !target.image.go_version().at_least(POINTS_TO_SEMAPHORE);
        let before = if by_table {
            semaphores::walk(target, list.len())?
        } else {
            None
        };
        let (mut goroutines, mut entries) = self.goroutines(target, list, tids, gaps)?;
        if by_table {
            let after = semaphores::walk(target, list.len())?;
            match before.zip(after) {
                Some((before, after)) => {
                    let waits = semaphores::unchanged(before, &after);
                    entries.extend(semaphore_entries(&goroutines, &waits));
                }
                None => gaps.note(Gap::Semaphores, || {
                    "runtime.semtable is not known".to_owned()
                }),
            }
            entries.extend(conds::entries(target, &goroutines)?);
        }
        let objects = waits::join(target, &mut goroutines, entries, gaps)?;
        Ok(Waits {
            goroutines,
            objects,
        })
    }

    fn goroutines(
        &mut self,
        target: &Target,
        list: &[TargetAddr],
        tids: &FxHashMap<TargetAddr, Tid>,
        gaps: &mut Gaps,
    ) -> Result<(Vec<Goroutine>, Vec<Entry>), SnapshotError> {
        let mut goroutines = Vec::new();
        let mut entries = Vec::new();
        self.unwinder.begin();
        let system = &mut self.system;
        let mut looker = GoroutineReader {
            target,
            unwinder: &mut self.unwinder,
            gaps,
            gather: Gather::new(),
            no_stack: Arc::new(Stack {
                frames: Vec::new(),
                truncated: true,
                innermost: InnermostPc::ReturnAddress,
            }),
            room: 0,
            deep_bytes: 0,
        };
        looker.read(list, |look| {
            let index = u32::try_from(goroutines.len()).unwrap_or(u32::MAX);
            entries.extend(look.entries.iter().map(|sudog| Entry {
                goroutine: index,
                sudog: *sudog,
            }));
            goroutines.push(goroutine(target, look, system, tids));
        })?;
        // There may be millions.
        goroutines.shrink_to_fit();
        Ok((goroutines, entries))
    }
}

/// Whether so many goroutines make no sense that the layout must be wrong.
fn check_layout(
    target: &Target,
    goroutines: &[Goroutine],
    gaps: &Gaps,
) -> Result<(), SnapshotError> {
    let (broken, example) = gaps.of(Gap::BrokenGoroutine);
    if broken > goroutines.len() as u64 / LAYOUT_TOLERANCE {
        return Err(SnapshotError::Layout {
            version: target.image.go_version().raw.clone(),
            what: example.to_owned(),
        });
    }
    Ok(())
}

fn goroutine(
    target: &Target,
    look: GoroutineRead,
    system: &mut SystemGoroutines,
    tids: &FxHashMap<TargetAddr, Tid>,
) -> Goroutine {
    let record = &look.record;
    let in_image = |pc: TargetAddr| pc.in_image(target.bias);
    let wait_reason = look
        .status
        .is_parked()
        .then(|| target.image.wait_reason(record.wait_reason))
        .map(|reason| match reason {
            WaitReason::Select if record.waiting.is_nil() => WaitReason::SelectAllNil,
            reason => reason,
        });
    let start = in_image(record.start_pc);
    let on = [record.m, record.locked_m];
    Goroutine {
        goid: record.goid,
        g: look.g,
        status: look.status,
        wait_reason,
        since: match record.wait_since_ns {
            since if since > 0 && look.status.is_parked() => WaitSince::AtLeast(since),
            _ => WaitSince::Unknown,
        },
        waits_on: Vec::new(),
        parent: record.parent,
        created_at: (!record.created_pc.is_nil()).then(|| in_image(record.created_pc)),
        start,
        system: system.is_system(&target.image, start, wait_reason, &look.stack),
        thread: on.iter().find_map(|m| tids.get(m).copied()),
        locked_to_thread: !record.locked_m.is_nil(),
        parks: record.parks,
        stack_bounds: (record.stack_lo, record.stack_hi),
        sp: look.sp,
        stack: look.stack,
        sampled: None,
    }
}

/// The queue entries of the goroutines that wait for semaphores, as the table has them.
fn semaphore_entries(goroutines: &[Goroutine], waits: &semaphores::SemaphoreWaits) -> Vec<Entry> {
    let indexed = (0..).zip(goroutines);
    indexed
        .filter(|(_, g)| g.wait_reason.is_some_and(WaitReason::is_lock_wait))
        .filter_map(|(goroutine, g)| {
            Some(Entry {
                goroutine,
                sudog: *waits.get(&g.g)?,
            })
        })
        .collect()
}

/// The kernel's threads; `None` when they cannot be listed.
fn tasks(target: &Target, gaps: &mut Gaps) -> Option<Vec<Tid>> {
    match &target.motion {
        Motion::Running => match process::task_ids(target.pid) {
            Ok(tasks) => Some(tasks),
            Err(error) => {
                gaps.note(Gap::Tasks, || error.to_string());
                None
            }
        },
        Motion::Stopped { threads, .. } => Some(threads.iter().map(|thread| thread.tid).collect()),
    }
}
