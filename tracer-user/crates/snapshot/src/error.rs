//! Why no snapshot could be taken.

use memory::ReadError;

/// Why no snapshot could be taken. What merely lacks a part is no error: the snapshot says so in
/// [`Snapshot::incomplete`](super::Snapshot::incomplete).
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The target's memory cannot be read.
    #[error("cannot read the list of goroutines: {0}")]
    Memory(#[from] ReadError),
    /// The runtime's list of goroutines was not found.
    #[error("cannot find the list of goroutines (runtime.allgs) in this {version} process")]
    NoGoroutines {
        /// The Go version, for example `go1.22.10`.
        version: String,
    },
    /// The structures in memory are not those of the Go version that the image claims.
    #[error(
        "the runtime's structures are not where {version} has them ({what}); this build of Go is not supported"
    )]
    Layout {
        /// The Go version.
        version: String,
        /// Which rule was broken, and where.
        what: String,
    },
    /// The process has not started its first goroutine yet.
    #[error("the Go runtime of this process has not started yet")]
    NotStarted,
}
