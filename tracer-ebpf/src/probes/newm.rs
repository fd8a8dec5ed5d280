//! `func newm(fn func(), pp *p, id int64)` (`runtime/proc.go`): the runtime asks for a thread.

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::uprobe, programs::ProbeContext};
use aya_log_ebpf::debug;
use tracer_common::{Record, RecordKind, flags};

use crate::{registers::Registers, send::send, target::Hit};

#[uprobe]
pub fn go_newm(context: ProbeContext) -> u32 {
    if let Some(hit) = Hit::current()
        && let Some(goid) = newm(hit, Registers::of(&context))
    {
        debug!(&context, "newm on behalf of goroutine {}", goid);
    }
    0
}

/// The goroutine on whose behalf; 0 for the runtime's own. `None` when that was no call.
#[inline(always)]
fn newm(hit: Hit, registers: Registers<'_>) -> Option<u64> {
    if hit.target.flags & flags::NEWM_AT_JUMP != 0 && registers.stack_check_fails() {
        return None;
    }
    hit.counters.newm_hits += 1;
    let g = hit.current_g(registers.g());
    let goid = if g == 0 { 0 } else { hit.goid(g) };
    let sent = send(&Record {
        // SAFETY: no arguments.
        time_ns: unsafe { bpf_ktime_get_ns() },
        tgid: hit.tgid,
        tid: hit.tid,
        g,
        goid,
        kind: RecordKind::ThreadStarted as u8,
        ..Record::default()
    });
    if !sent {
        hit.counters.lost += 1;
    }
    Some(goid)
}
