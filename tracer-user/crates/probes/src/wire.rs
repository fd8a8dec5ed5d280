//! The types of `tracer-common` as aya's maps want them.

use aya::Pod;
use tracer_common::{Histogram, HostCounters, Target, TargetCounters};

/// A value that the BPF side reads or writes as raw bytes.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Wire<T>(pub T);

// SAFETY: all are repr(C) structs of integers without padding, valid for every bit pattern.
unsafe impl Pod for Wire<Target> {}
// SAFETY: as above.
unsafe impl Pod for Wire<TargetCounters> {}
// SAFETY: as above.
unsafe impl Pod for Wire<HostCounters> {}
// SAFETY: as above.
unsafe impl Pod for Wire<Histogram> {}
