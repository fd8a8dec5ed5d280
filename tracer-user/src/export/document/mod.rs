//! The document of schema `gostuck/1`: what `inspect --format json` prints and the API serves, and
//! what text, web page and terminal view are made from. docs/json.md describes it, and
//! docs/gostuck-1.schema.json checks it.

mod address;
mod clock;
mod detector;
#[cfg(test)]
pub mod example;
mod finding;
mod frame;
mod goroutine;
mod object;
mod process;
mod threads;

use serde::Serialize;

pub use address::Address;
pub use clock::Clock;
pub use detector::{DeadlockDetector, Terms};
pub use finding::{Edge, Finding, Group};
pub use frame::{Frame, Site, Symbolizer, Symbols};
pub use goroutine::{Goroutine, Precision, seconds, status_text};
pub use object::{Holder, Mutex, Object, Release, State, kind_text};
pub use process::{Identity, ImageFacts, Process, command, key_text};
pub use threads::{SiteCount, States, Thread, Threads, state_text};

/// The name of the schema, with the version that changes when a reader would break.
pub const SCHEMA: &str = "gostuck/1";

/// One look at one process.
#[derive(Debug, Clone, Serialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// When the process was read (RFC 3339).
    pub taken: String,
    /// The process.
    pub process: Process,
    /// Its goroutines, by ascending id.
    pub goroutines: Vec<Goroutine>,
    /// The objects they wait on, by ascending address.
    pub objects: Vec<Object>,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// Its threads.
    pub threads: Threads,
    /// Whether Go's own detector could fire; `null` when the scheduler could not be read.
    pub deadlock_detector: Option<DeadlockDetector>,
    /// What could not be read.
    pub incomplete: Vec<Incomplete>,
}

/// One thing that the document lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Incomplete {
    /// What is missing.
    pub what: String,
    /// Why.
    pub why: String,
}
