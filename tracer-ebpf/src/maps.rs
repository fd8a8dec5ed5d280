//! The maps. Sizes here are those of a small host; the loader sets them by its options.

use aya_ebpf::{
    macros::map,
    maps::{HashMap, PerCpuArray, PerCpuHashMap, RingBuf},
};
use tracer_common::{CLASSES, Histogram, HostCounters, Park, Target, TargetCounters};

/// Memory of an entry is taken when it is first needed, not for the whole table at load.
const BPF_F_NO_PREALLOC: u32 = 1;

/// Slots of targets when the loader says nothing.
const SLOTS: u32 = 64;

/// Process id to target.
#[map]
pub static TARGETS: HashMap<u32, Target> = HashMap::with_max_entries(SLOTS, 0);

/// [`tracer_common::park_key`] to what the goroutine last parked on.
#[map]
pub static PARKS: HashMap<u64, Park> = HashMap::with_max_entries(1 << 16, BPF_F_NO_PREALLOC);

/// [`tracer_common::histogram_key`] to durations.
#[map]
pub static HISTOGRAMS: PerCpuHashMap<u32, Histogram> =
    PerCpuHashMap::with_max_entries(SLOTS * CLASSES as u32, BPF_F_NO_PREALLOC);

/// Slot to counters.
#[map]
pub static COUNTERS: PerCpuArray<TargetCounters> = PerCpuArray::with_max_entries(SLOTS, 0);

/// Counters that belong to no target.
#[map]
pub static HOST: PerCpuArray<HostCounters> = PerCpuArray::with_max_entries(1, 0);

/// The one ring buffer.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);
