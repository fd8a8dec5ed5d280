//! `func ready(gp *g, traceskip int, next bool)` (`runtime/proc.go`): makes a parked goroutine
//! runnable. Runs on the system stack (`g` is `g0`); the waker is `g0.m.curg`, nil when a timer,
//! the netpoller or the scheduler wakes. Never inlined, Go 1.19 to 1.27.

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::uprobe, programs::ProbeContext};
use tracer_common::{
    BUCKETS, Histogram, Record, RecordKind, bucket_of, flags, histogram_key, park_key,
};

use crate::{
    host::note,
    maps::{HISTOGRAMS, PARKS},
    registers::Registers,
    send::send,
    target::Hit,
};

#[uprobe]
pub fn go_ready(context: ProbeContext) -> u32 {
    if let Some(hit) = Hit::current() {
        ready(hit, Registers::of(&context));
    }
    0
}

#[inline(always)]
fn ready(hit: Hit, registers: Registers<'_>) {
    hit.counters.ready_hits += 1;
    if hit.target.flags & flags::READY_AT_JUMP != 0 && registers.stack_check_fails() {
        return;
    }
    let g = registers.first();
    let Some(entry) = PARKS.get_ptr_mut(park_key(hit.target.slot, g)) else {
        return;
    };
    // SAFETY: a map value; the goroutine is parked and this thread wakes it.
    let entry = unsafe { &mut *entry };
    let since = entry.since_ns;
    if since == 0 {
        return;
    }
    entry.since_ns = 0;
    let (reason, class) = (entry.reason, entry.class);
    // SAFETY: no arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    let waited = now.wrapping_sub(since);
    if !measure(hit.target.slot, class, waited) {
        note(|host| host.unmeasured += 1);
    }
    if waited < hit.target.send_wakes_from_ns {
        return;
    }
    let goid = hit.goid(g);
    let waker = hit.current_g(registers.g());
    let waker_goid = if waker == 0 { 0 } else { hit.goid(waker) };
    let sent = send(&Record {
        time_ns: now,
        tgid: hit.tgid,
        tid: hit.tid,
        g,
        goid,
        other: waker_goid,
        value: waited,
        kind: RecordKind::Woken as u8,
        reason,
        padding: [0; 6],
    });
    if !sent {
        hit.counters.lost += 1;
    }
}

static EMPTY: Histogram = Histogram::EMPTY;

/// False when there was no histogram to count the wait, and no memory for a new one.
#[inline(always)]
fn measure(slot: u32, class: u8, waited_ns: u64) -> bool {
    let key = histogram_key(slot, class);
    let mut found = HISTOGRAMS.get_ptr_mut(key);
    if found.is_none() {
        // Whether that went well the next line tells, also where another CPU was faster.
        let _ = HISTOGRAMS.insert(key, &EMPTY, 0);
        found = HISTOGRAMS.get_ptr_mut(key);
    }
    let Some(histogram) = found else {
        return false;
    };
    let bucket = bucket_of(waited_ns) & (BUCKETS - 1);
    // SAFETY: a value of a per-CPU map, which no other CPU touches; the index is masked.
    unsafe {
        *(&raw mut (*histogram).buckets).cast::<u64>().add(bucket) += 1;
        (*histogram).sum_ns += waited_ns;
    }
    true
}
