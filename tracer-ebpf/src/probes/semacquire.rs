//! `func semacquire1(addr *uint32, lifo bool, …)` (`runtime/sema.go`): the current goroutine takes a
//! semaphore and perhaps parks on it. `gopark` is then given the address of the semaphore table's
//! lock, which says nothing; so the semaphore's own address is kept for the park that may follow.
//!
//! Every wait for a lock begins here, so here the daemon is told that there may be one: a hint, now
//! and then, which costs a contended lock next to nothing. Where the park and wake probes are off,
//! the hint is left in the target's entry for the daemon to find: to be woken costs more than a
//! hint is worth there.

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::uprobe, programs::ProbeContext};
use aya_log_ebpf::debug;
use tracer_common::{LOAD_STEP, LOCK_HINT_GAP_NS, Park, Record, RecordKind, flags, park_key};

use crate::{
    maps::PARKS,
    probes::park::insert,
    registers::Registers,
    send::{send, tell_load},
    target::Hit,
};

#[uprobe]
pub fn go_semacquire(context: ProbeContext) -> u32 {
    if let Some(hit) = Hit::current()
        && semacquire(hit, Registers::of(&context))
    {
        debug!(&context, "semacquire1: told of a possible wait for a lock");
    }
    0
}

/// Whether the daemon was told.
#[inline(always)]
fn semacquire(mut hit: Hit, registers: Registers<'_>) -> bool {
    hit.counters.semacquire_hits += 1;
    if hit.counters.semacquire_hits.is_multiple_of(LOAD_STEP) {
        tell_load(&mut hit);
    }
    if hit.target.flags & flags::SEMACQUIRE_AT_JUMP != 0 && registers.stack_check_fails() {
        return false;
    }
    // The runtime's own semaphores (`semacquire`, `semaProfileFlags` 0 in Go 1.19 to 1.27): every
    // garbage collection takes some, and none is a lock of the program.
    let is_own = registers.third() == 0;
    if hit.target.flags & flags::WAITS_OFF != 0 {
        if !is_own {
            leave_hint(&hit);
        }
        return false;
    }
    let g = registers.g();
    let key = park_key(hit.target.slot, g);
    if let Some(entry) = PARKS.get_ptr_mut(key) {
        // SAFETY: a map value; only the thread that runs this goroutine writes the entry now.
        let entry = unsafe { &mut *entry };
        entry.semaphore = registers.first();
        // It runs, whatever the table believed.
        entry.since_ns = 0;
    } else {
        let park = Park {
            semaphore: registers.first(),
            ..Park::default()
        };
        insert(&mut hit, key, &park);
    }
    !is_own && hint(&mut hit, g, registers.first())
}

/// Notes that somebody may wait for a lock: when, unless that was noted just now.
#[inline(always)]
fn leave_hint(hit: &Hit) -> Option<u64> {
    // SAFETY: no arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    let told = &raw const hit.target.lock_hint_ns;
    // SAFETY: a word of a map value. Two threads at once may both tell, which does no harm.
    if now.wrapping_sub(unsafe { told.read_volatile() }) < LOCK_HINT_GAP_NS {
        return None;
    }
    // SAFETY: as above.
    unsafe { told.cast_mut().write_volatile(now) };
    Some(now)
}

/// Tells of a possible wait for a lock, unless that was told just now.
#[inline(always)]
fn hint(hit: &mut Hit, g: u64, semaphore: u64) -> bool {
    let Some(now) = leave_hint(hit) else {
        return false;
    };
    let sent = send(&Record {
        time_ns: now,
        tgid: hit.tgid,
        tid: hit.tid,
        g,
        other: semaphore,
        kind: RecordKind::LockWait as u8,
        ..Record::default()
    });
    if !sent {
        hit.counters.lost += 1;
    }
    sent
}
