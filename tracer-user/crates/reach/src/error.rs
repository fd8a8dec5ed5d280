//! Why a walk could not be made.

use std::time::Duration;

use memory::ReadError;
use snapshot::SnapshotError;

/// Why a walk could not be made. The waits concerned stay `suspected`.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// A structure that the walk cannot do without is not known for this image.
    #[error("{what} of this image is not known")]
    Unknown {
        /// Which, for example `runtime.mheap_`.
        what: &'static str,
    },
    /// The target's tables could not be read.
    #[error("reading {what}: {source}")]
    Read {
        /// What was being read.
        what: &'static str,
        /// Why it failed.
        source: ReadError,
    },
    /// It took too long.
    #[error("the walk was given up after {} s", .0.as_secs())]
    TooLong(Duration),
    /// The goroutines could not be read a second time.
    #[error("reading the goroutines again: {0}")]
    Snapshot(SnapshotError),
}
