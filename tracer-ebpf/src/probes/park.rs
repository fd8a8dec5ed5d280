//! `func gopark(unlockf, lock unsafe.Pointer, reason waitReason, traceReason, traceskip)`
//! (`runtime/proc.go`): the current goroutine parks. Never inlined, Go 1.19 to 1.27.
//!
//! It may go on at once when `unlockf` says no, and wakes without `runtime.ready` on some paths
//! (netpoller, garbage collector, coroutines): an entry says *since when*, never *that* it waits.

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::uprobe, programs::ProbeContext};
use aya_log_ebpf::debug;
use tracer_common::{LOAD_STEP, Park, Record, RecordKind, WaitClass, flags, park_key};

use crate::{
    host::note,
    maps::PARKS,
    registers::Registers,
    send::{send, tell_load},
    target::Hit,
};

#[uprobe]
pub fn go_park(context: ProbeContext) -> u32 {
    if let Some(hit) = Hit::current()
        && !park(hit, Registers::of(&context))
    {
        debug!(&context, "gopark: no room in the park table");
    }
    0
}

/// False when there was no room to keep the park.
#[inline(always)]
fn park(mut hit: Hit, registers: Registers<'_>) -> bool {
    hit.counters.park_hits += 1;
    if hit.counters.park_hits.is_multiple_of(LOAD_STEP) {
        tell_load(&mut hit);
    }
    if hit.target.flags & flags::PARK_AT_JUMP != 0 && registers.stack_check_fails() {
        return true;
    }
    let reason = registers.third() as u8;
    let class = hit.target.classes[usize::from(reason & 63)];
    if reason >= 64 || class == WaitClass::Ignored as u8 {
        return true;
    }
    let (g, lock) = (registers.g(), registers.second());
    // SAFETY: no arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    let key = park_key(hit.target.slot, g);
    let mut object = lock;
    let mut kept = true;
    if let Some(entry) = PARKS.get_ptr_mut(key) {
        // SAFETY: a map value; only the thread that runs this goroutine writes the entry now.
        let entry = unsafe { &mut *entry };
        if entry.since_ns != 0 {
            note(|host| host.unseen_wakes += 1);
        }
        if WaitClass::byte_has_semaphore(class) {
            object = entry.semaphore;
        }
        entry.object = object;
        entry.reason = reason;
        entry.class = class;
        // Last: a reader that sees the time sees what belongs to it.
        entry.since_ns = now;
    } else {
        let park = Park {
            since_ns: now,
            object,
            semaphore: 0,
            reason,
            class,
            padding: [0; 6],
        };
        kept = insert(&mut hit, key, &park);
    }
    if hit.target.flags & flags::SEND_PARKS != 0 {
        let goid = hit.goid(g);
        let sent = send(&Record {
            time_ns: now,
            tgid: hit.tgid,
            tid: hit.tid,
            g,
            goid,
            other: object,
            value: lock,
            kind: RecordKind::Parked as u8,
            reason,
            padding: [0; 6],
        });
        if !sent {
            hit.counters.lost += 1;
        }
    }
    kept
}

/// A first entry for a goroutine, within the target's quota. False when there was no room.
#[inline(always)]
pub fn insert(hit: &mut Hit, key: u64, park: &Park) -> bool {
    let entries = hit.target.park_entries;
    if entries >= u64::from(hit.target.park_quota) || PARKS.insert(key, park, 0).is_err() {
        hit.counters.untracked += 1;
        return false;
    }
    // SAFETY: a word of a map value. Threads may overwrite each other's count: a quota need not be
    // exact, and the BPF target of rustc has no atomic addition.
    unsafe {
        (&raw const hit.target.park_entries)
            .cast_mut()
            .write_volatile(entries + 1)
    };
    true
}
