//! Loading and attaching the BPF programs, reading the ring buffer and the park table, calibrating
//! and governing what they cost.
//!
//! Events say *when* goroutines parked and woke, never *that* one waits: some wakes bypass
//! `runtime.ready`. The goroutine's memory decides that.

mod attachment;
mod bpf_call;
mod calibration;
mod closing;
mod error;
mod event;
mod governor;
mod image_file;
mod image_probes;
mod load;
mod maps;
mod multi;
mod object;
mod options;
mod park_table;
mod probes;
mod ring;
mod statistics;
mod target;
mod wire;

pub use attachment::{AttachMethod, ProgramFacts};
pub use calibration::HitCost;
pub use error::ProbeError;
pub use event::Event;
pub use governor::{Budget, Governor, Level};
pub use image_file::ImageFile;
pub use multi::has_links as has_multi_links;
pub use object::OBJECT;
pub use options::Options;
pub use park_table::ParkedWait;
pub use probes::Probes;
pub use ring::{Interrupter, Waiter};
pub use statistics::{Irregularities, Statistics, TargetStatistics, WaitHistogram};
