//! How the tracer is set up.

use std::time::Duration;

use super::{attachment::AttachMethod, object::OBJECT};

/// How the tracer is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// The BPF programs: an ELF object, aligned as [`aya::include_bytes_aligned`] does.
    pub object: &'static [u8],
    /// Processes traced at once at most.
    pub targets: u32,
    /// Goroutines of all targets together in the park table; one target may have half of it.
    pub park_entries: u32,
    /// Size of the ring buffer, a power of two and a multiple of the page size.
    pub ring_bytes: u32,
    /// Waits that last at least so long give a [`super::Event::Woken`]; shorter ones only a count
    /// in the histogram.
    pub send_wakes_from: Duration,
    /// Give a [`super::Event::Parked`] for every park. Costs a record a park.
    pub send_parks: bool,
    /// How to attach; `None` takes the best the kernel has.
    pub method: Option<AttachMethod>,
    /// Whether to tell of processes that start and end.
    pub processes: bool,
    /// Whether the BPF programs log, at debug level. Without it the kernel's verifier removes their
    /// log statements.
    pub log: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            object: OBJECT,
            targets: 1024,
            park_entries: 1 << 18,
            ring_bytes: 1 << 20,
            send_wakes_from: Duration::from_secs(1),
            send_parks: false,
            method: None,
            processes: true,
            log: false,
        }
    }
}
