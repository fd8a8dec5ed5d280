//! What is asked of `perf_event_open(2)`.

use aya_obj::generated::{
    perf_event_attr, perf_event_attr__bindgen_ty_1, perf_event_attr__bindgen_ty_2,
    perf_event_sample_format as sample, perf_sw_ids, perf_type_id,
};

use super::registers;

/// Largest stack that is copied: a record's size is 16 bits wide, and its stack a multiple of 8.
pub const MAX_STACK_BYTES: u32 = 65_528;

/// An event that samples a thread after each `period_ns` of its time on a CPU, once it is armed.
pub fn attributes(period_ns: u64, stack_bytes: u32) -> perf_event_attr {
    // SAFETY: a struct of integers and unions of integers; the kernel wants unused fields zero.
    let mut attributes: perf_event_attr = unsafe { std::mem::zeroed() };
    attributes.type_ = perf_type_id::PERF_TYPE_SOFTWARE as u32;
    attributes.config = perf_sw_ids::PERF_COUNT_SW_TASK_CLOCK as u64;
    attributes.size = u32::try_from(size_of::<perf_event_attr>()).unwrap_or(0);
    attributes.__bindgen_anon_1 = perf_event_attr__bindgen_ty_1 {
        sample_period: period_ns,
    };
    attributes.__bindgen_anon_2 = perf_event_attr__bindgen_ty_2 { wakeup_events: 1 };
    attributes.sample_type = sample::PERF_SAMPLE_TID as u64
        | sample::PERF_SAMPLE_TIME as u64
        | sample::PERF_SAMPLE_REGS_USER as u64
        | sample::PERF_SAMPLE_STACK_USER as u64;
    attributes.sample_regs_user = registers::mask();
    attributes.sample_stack_user = stack_bytes.min(MAX_STACK_BYTES) & !7;
    attributes.set_disabled(1);
    attributes.set_exclude_kernel(1);
    attributes.set_exclude_hv(1);
    attributes.set_use_clockid(1);
    attributes.clockid = libc::CLOCK_MONOTONIC;
    attributes
}
