//! The contract between gostuck's BPF programs and its daemon: ring-buffer records, map keys and
//! values, counter indices. No dependencies, no allocation; every type is `repr(C)` without
//! implicit padding.
#![no_std]

mod counters;
mod histogram;
mod park;
mod record;
mod target;

pub use counters::{HostCounters, LOAD_STEP, TargetCounters};
pub use histogram::{BUCKETS, Histogram, bucket_of, bucket_upper_ns, histogram_key};
pub use park::{Park, park_g, park_key, park_slot};
pub use record::{Record, RecordKind};
pub use target::{CLASSES, LOCK_HINT_GAP_NS, REASONS, Target, WaitClass, flags};
