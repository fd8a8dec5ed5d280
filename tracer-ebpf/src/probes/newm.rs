//! `func newm(fn func(), pp *p, id int64)` (`runtime/proc.go`): the runtime asks for a thread.

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::uprobe, programs::ProbeContext};
use tracer_common::{Record, RecordKind, flags};

use crate::{registers::Registers, send::send, target::Hit};

#[uprobe]
pub fn go_newm(context: ProbeContext) -> u32 {
    if let Some(hit) = Hit::current() {
        newm(hit, Registers::of(&context));
    }
    0
}

#[inline(always)]
fn newm(mut hit: Hit, registers: Registers<'_>) {
    if hit.target.flags & flags::NEWM_AT_JUMP != 0 && registers.stack_check_fails() {
        return;
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
}
