//! Sending records.

use aya_ebpf::helpers::bpf_ktime_get_ns;
use tracer_common::{Record, RecordKind};

use crate::{
    maps::{EVENTS, HOST},
    target::Hit,
};

/// Wakes the reader if it has read all records before this one.
const BPF_RB_ADAPTIVE_WAKEUP: u64 = 0;
const BPF_RB_FORCE_WAKEUP: u64 = 2;
const BPF_RB_AVAIL_DATA: u64 = 0;

/// Bytes waiting in the ring buffer from which the reader is woken again. The first record after it
/// has read all wakes it as well; then it lets others gather for a moment. A wake-up a record would
/// double the cost of a hit.
#[unsafe(no_mangle)]
static WAKE_FROM_BYTES: u64 = 256 * 1024;

/// Puts a record into the ring buffer; says whether there was room.
#[inline(always)]
pub fn send(record: &Record) -> bool {
    let Some(host) = HOST.get_ptr_mut(0) else {
        return false;
    };
    let Some(mut entry) = EVENTS.reserve::<Record>(0) else {
        // SAFETY: a value of a per-CPU array, which no other CPU touches.
        unsafe { (*host).lost += 1 };
        return false;
    };
    entry.write(*record);
    // SAFETY: a static that the loader set and nobody writes.
    let wake_from = unsafe { core::ptr::read_volatile(&raw const WAKE_FROM_BYTES) };
    let wake = EVENTS.query(BPF_RB_AVAIL_DATA) >= wake_from;
    entry.submit(if wake {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_ADAPTIVE_WAKEUP
    });
    // SAFETY: as above.
    unsafe { (*host).sent += 1 };
    true
}

/// Tells that the probes of a target were hit many times more: whoever keeps its budget looks then,
/// and need not ask those that are hardly ever hit.
#[inline(always)]
pub fn tell_load(hit: &mut Hit) {
    let sent = send(&Record {
        // SAFETY: no arguments.
        time_ns: unsafe { bpf_ktime_get_ns() },
        tgid: hit.tgid,
        tid: hit.tid,
        kind: RecordKind::Load as u8,
        ..Record::default()
    });
    if !sent {
        hit.counters.lost += 1;
    }
}
