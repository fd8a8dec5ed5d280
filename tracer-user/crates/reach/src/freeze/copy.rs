//! A moment of a process: it is held still only while what an inspection reads is copied.
//!
//! Of a process that has little memory of its own, all of that is copied, whatever the inspection will
//! read. Of a larger one an inspection is made first that only notes which pages it reads; those are
//! copied. When the look at the copy asks for others, because the process went on in between, it is
//! held and copied once more: all of it where there is time for that, else those pages too.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{Freeze, FreezeError};
use ids::Pid;
use memory::{
    HeldMemory, LiveMemory, Memory as _, NotingMemory, PAGE, ReadError, Room, ThreadRegisters,
    Wanted,
};
use process::Mappings;
use resources::{clock::monotonic_ns, scheduling::Niceness};
use snapshot::{Motion, Target};

/// A process with at most so many bytes of its own is copied whole: a matter of 20 ms.
const MAX_COPIED_WHOLE: u64 = 64 << 20;
/// How often a process is held at most for one inspection.
const MAX_HOLDS: u32 = 4;
/// Bytes copied of the stack of a thread in use, where not all is copied.
const STACK_BYTES: u64 = 64 << 10;

/// A moment of a process that was held still.
#[derive(Clone)]
pub struct HeldMoment {
    /// Its memory, as it was then.
    pub memory: Arc<HeldMemory>,
    /// Its threads.
    pub threads: Arc<[ThreadRegisters]>,
    /// When.
    pub taken: SystemTime,
    /// The same moment on its `CLOCK_MONOTONIC`, in nanoseconds.
    pub monotonic_ns: u64,
    /// How long it was held still in all.
    pub held: Duration,
}

impl HeldMoment {
    /// Holds `pid` still for `limit` at most, and copies what is wanted of it.
    fn of<E: From<FreezeError>>(
        pid: Pid,
        limit: Duration,
        (wanted, own_bytes): (&Wanted, u64),
        check: &impl Fn() -> Result<(), E>,
    ) -> Result<Self, E> {
        let room = Room::for_copy(wanted, own_bytes);
        // Somebody is held still, and waits for us.
        let urgent = Niceness::least();
        let freeze = Freeze::begin(pid, limit)?;
        check()?;
        let (taken, monotonic_ns) = (SystemTime::now(), monotonic_ns());
        let threads: Arc<[_]> = freeze.registers().into();
        let with_stacks = match wanted {
            Wanted::Own => Wanted::Own,
            Wanted::Pages(pages) => Wanted::Pages(with_stacks(pages, &threads)),
        };
        // The thread that holds it lets go in time, whatever we do.
        let reserve = limit / 20;
        let memory = HeldMemory::copy(pid, &with_stacks, room, || freeze.remaining() > reserve);
        let held = freeze.end()?;
        drop(urgent);
        let memory = memory.map_err(|source| FreezeError::Copy { pid, source })?;
        Ok(Self {
            memory: Arc::new(memory.ok_or(FreezeError::Expired { limit })?),
            threads,
            taken,
            monotonic_ns,
            held,
        })
    }

    /// `target` as it was then.
    #[must_use]
    pub fn target(&self, target: &Target) -> Target {
        Target {
            memory: Arc::clone(&self.memory) as _,
            motion: Motion::Stopped {
                threads: Arc::clone(&self.threads),
                at_ns: Some(self.monotonic_ns),
            },
            ..target.clone()
        }
    }
}

/// `pages`, and those that threads are likely to use of their stacks.
fn with_stacks(pages: &[u64], threads: &[ThreadRegisters]) -> Vec<u64> {
    let page = PAGE as u64;
    let mut pages = pages.to_vec();
    for thread in threads {
        let first = thread.sp.0 & !(page - 1);
        let count = STACK_BYTES / page;
        pages.extend((0..count).map(|index| first.wrapping_add(index * page)));
    }
    let mut known = rustc_hash::FxHashSet::default();
    pages.retain(|base| known.insert(*base));
    pages
}

/// Makes a `look` at one moment of `target`, a process that runs: it is held still, for `limit` at
/// most in all, only while its memory is copied. `check` is called while it is held, and says that
/// it is the process that is meant. The inspection may be made several times; the last one counts.
///
/// What the copy lacks in the end is not readable in it, and [`Memory::is_whole`](memory::Memory::is_whole) says
/// so.
///
/// # Errors
/// When the process cannot be held, the time does not suffice, or the inspection fails.
pub fn look_held<T, E: From<FreezeError>>(
    target: &Target,
    limit: Duration,
    check: impl Fn() -> Result<(), E>,
    mut look: impl FnMut(&Target) -> Result<T, E>,
) -> Result<(T, HeldMoment), E> {
    let pid = target.pid;
    let (mut wanted, own_bytes) = wanted(target, &mut look)?;
    let mut held = Duration::ZERO;
    for hold in 1.. {
        let left = limit.saturating_sub(held);
        let mut moment = HeldMoment::of(pid, left, (&wanted, own_bytes), &check)?;
        let took = moment.held;
        held += took;
        moment.held = held;
        let outcome = look(&moment.target(target));
        let left = limit.saturating_sub(held);
        let is_last = hold >= MAX_HOLDS || left < 2 * took;
        match &mut wanted {
            Wanted::Pages(pages) if !moment.memory.is_whole() && !is_last => {
                if time_for(own_bytes, &moment.memory, took) < left / 2 {
                    wanted = Wanted::Own;
                } else {
                    pages.extend(moment.memory.missing());
                }
            }
            _ => return Ok((outcome?, moment)),
        }
    }
    Err(FreezeError::Expired { limit }.into())
}

/// How long a copy of `bytes` takes, when `copied` took so long.
fn time_for(bytes: u64, copied: &HeldMemory, took: Duration) -> Duration {
    let times = bytes / copied.copied_bytes().max(1);
    took.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX).saturating_add(1))
}

/// What is to be copied of `target`, and how many bytes it has of its own.
fn wanted<T, E: From<FreezeError>>(
    target: &Target,
    look: &mut impl FnMut(&Target) -> Result<T, E>,
) -> Result<(Wanted, u64), E> {
    let pid = target.pid;
    let mappings = Mappings::with_own_pages(pid).map_err(|_| FreezeError::Copy {
        pid,
        source: ReadError::Gone,
    })?;
    let own_bytes = mappings.own_bytes().unwrap_or(u64::MAX);
    if own_bytes <= MAX_COPIED_WHOLE {
        return Ok((Wanted::Own, own_bytes));
    }
    let memory = Arc::new(NotingMemory::new(LiveMemory::new(pid)));
    let unheld = Target {
        memory: Arc::clone(&memory) as _,
        // It runs, and what is read does not fit together; but it is the pages that matter.
        motion: Motion::Stopped {
            threads: Arc::new([]),
            at_ns: Some(monotonic_ns()),
        },
        ..target.clone()
    };
    // A failure says no more of the look at the copy than a success.
    let _ = look(&unheld);
    Ok((Wanted::Pages(memory.noted()), own_bytes))
}
