//! The cost of a hit, measured on a private function of gostuck itself. Does what `runtime.ready`
//! does on a short wait, so that the figure is that of a real hit.

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::uprobe, programs::ProbeContext};
use tracer_common::park_key;

use crate::maps::{HOST, PARKS, TARGETS};

#[uprobe]
pub fn calibrate(context: ProbeContext) -> u32 {
    let Some(host) = HOST.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: no arguments; the context is the kernel's.
    let seed = unsafe { bpf_ktime_get_ns() ^ (*context.regs).rip };
    let found = TARGETS.get_ptr(seed as u32).is_some();
    let parked = PARKS.get_ptr_mut(park_key(u32::MAX, seed)).is_some();
    // SAFETY: a value of a per-CPU array, which no other CPU touches.
    unsafe { (*host).calibration_hits += 1 + u64::from(found & parked) };
    0
}
