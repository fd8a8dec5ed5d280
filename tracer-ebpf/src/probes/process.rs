//! Processes that start a program or end. Raw tracepoints: they need neither tracefs nor a
//! tracepoint's id, and nothing of their arguments.

use aya_ebpf::{
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};
use aya_log_ebpf::debug;
use tracer_common::{Record, RecordKind};

use crate::{maps::TARGETS, send::send};

#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn process_exec(context: RawTracePointContext) -> i32 {
    let ids = bpf_get_current_pid_tgid();
    tell(RecordKind::ProcessStarted, ids);
    debug!(&context, "process {} executed a program", ids >> 32);
    0
}

/// Hit by every thread that ends; told for the leader of a target.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn process_exit(context: RawTracePointContext) -> i32 {
    let ids = bpf_get_current_pid_tgid();
    let (tgid, tid) = ((ids >> 32) as u32, ids as u32);
    if tgid == tid && TARGETS.get_ptr(tgid).is_some() {
        tell(RecordKind::ProcessExited, ids);
        debug!(&context, "target {} ended", tgid);
    }
    0
}

#[inline(always)]
fn tell(kind: RecordKind, ids: u64) {
    send(&Record {
        // SAFETY: no arguments.
        time_ns: unsafe { bpf_ktime_get_ns() },
        tgid: (ids >> 32) as u32,
        tid: ids as u32,
        kind: kind as u8,
        ..Record::default()
    });
}
