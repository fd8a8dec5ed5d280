//! The scheduler's counters: the terms of `checkdead` (`runtime/proc.go`).

use super::{Goroutine, Scheduler, Target, WaitSince, fields::Fields};
use ids::{ImageAddr, TargetAddr};
use memory::{MemoryExt as _, ReadError, words};

/// Most Ps: `_MaxGomaxprocs` was 1024 until Go 1.10 and is unbounded since.
const PS_LIMIT: u64 = 1 << 16;
/// `sched.maxmcount` and the counters beside it are below this in any sound process.
const COUNT_LIMIT: i64 = 1 << 24;

/// Reads the counters; `None` when the image does not know where they are, or they make no sense.
pub(super) fn read(target: &Target) -> Result<Option<Scheduler>, ReadError> {
    let globals = target.image.globals();
    let (Some(sched), Some(allp)) = (globals.sched, globals.allp) else {
        return Ok(None);
    };
    let s = &target.image.layout().sched;
    let fields = [s.nmidle, s.nmidlelocked, s.mnext, s.nmsys, s.nmfreed];
    let last = fields.into_iter().max().unwrap_or(0);
    let len = usize::try_from(last).unwrap_or(0).min(8192) + 8;
    let bytes = target
        .memory
        .read_vec(sched.in_target(target.bias), len, len)?;
    let f = Fields(&bytes);
    let m_count = f.i64(s.mnext).wrapping_sub(f.i64(s.nmfreed));
    let idle = f.i32(s.nmidle);
    if !(1..COUNT_LIMIT).contains(&m_count) || idle < 0 || i64::from(idle) > m_count {
        return Ok(None);
    }
    let ps = ps(target, allp)?;
    Ok(Some(Scheduler {
        gomaxprocs: u32::try_from(ps.len()).unwrap_or(u32::MAX),
        m_count,
        idle,
        idle_locked: f.i32(s.nmidlelocked),
        system: f.i32(s.nmsys),
        is_cgo: flag(target, globals.iscgo)?,
        has_extra_m: has_extra_m(target)?,
        is_library: flag(target, globals.islibrary)? || flag(target, globals.isarchive)?,
        panicking: word(target, globals.panicking)? != 0,
        timers: timers(target, &ps)?,
    }))
}

/// A moment, in `CLOCK_MONOTONIC` nanoseconds, at which a target that has stopped still ran; as late
/// as its memory tells. `sched.lastpoll` is when the netpoller last looked; the garbage collector
/// dates waits that it sees.
pub(super) fn last_moment_ns(target: &Target, goroutines: &[Goroutine]) -> u64 {
    let polled = target.image.globals().sched.and_then(|sched| {
        let at = target.image.layout().sched.lastpoll;
        let at = sched.in_target(target.bias).offset(at);
        target.memory.read_u64(at).ok()
    });
    let waits = goroutines.iter().filter_map(|g| match g.since {
        WaitSince::Exact(ns) | WaitSince::AtLeast(ns) => Some(ns),
        WaitSince::Unknown => None,
    });
    waits.chain(polled).max().unwrap_or(0)
}

/// The Ps in use. `allp` keeps those that a lower GOMAXPROCS put aside behind its length.
fn ps(target: &Target, allp: ImageAddr) -> Result<Vec<TargetAddr>, ReadError> {
    let mut header = [0; 16];
    target
        .memory
        .read(allp.in_target(target.bias), &mut header)?;
    let (array, len) = (Fields(&header).addr(0), Fields(&header).u64(8));
    if len > PS_LIMIT {
        return Ok(Vec::new());
    }
    let bytes = usize::try_from(len * 8).unwrap_or(0);
    let list = target.memory.read_vec(array, bytes, bytes)?;
    Ok(words(&list).map(TargetAddr).collect())
}

/// How many timers are in the heaps of `ps`: `len(p.timers)`, from Go 1.23 on `p.timers.heap`.
fn timers(target: &Target, ps: &[TargetAddr]) -> Result<u64, ReadError> {
    let layout = target.image.layout();
    let heap = layout.p.timers + layout.timers.as_ref().map_or(0, |timers| timers.heap);
    // The length is a slice's second word.
    let len_offset = heap + 8;
    let mut count = 0_u64;
    for p in ps {
        let len = target.memory.read_u64(p.offset(len_offset))?;
        count = count.saturating_add(len.min(1 << 32));
    }
    Ok(count)
}

/// `cgoHasExtraM`, and an extra M is in the list (`extraMLength` from Go 1.21 on, `extraMCount`
/// before).
fn has_extra_m(target: &Target) -> Result<bool, ReadError> {
    let globals = target.image.globals();
    if !flag(target, globals.cgo_has_extra_m)? {
        return Ok(false);
    }
    if globals.extra_m_length.is_some() {
        return Ok(word(target, globals.extra_m_length)? != 0);
    }
    Ok(true)
}

/// A `bool` global; one that the linker removed was never set.
fn flag(target: &Target, at: Option<ImageAddr>) -> Result<bool, ReadError> {
    at.map_or(Ok(false), |at| {
        Ok(target.memory.read_u8(at.in_target(target.bias))? != 0)
    })
}

/// A 32-bit global.
fn word(target: &Target, at: Option<ImageAddr>) -> Result<u32, ReadError> {
    at.map_or(Ok(0), |at| {
        target.memory.read_u32(at.in_target(target.bias))
    })
}
