//! One inspection of one process, from its pid, a core dump or a recording to findings, and what is kept of
//! a process from inspection to inspection.

mod core_file;
mod explain;
mod history;
mod inspector;
mod lingering;
mod stopped;
mod unseen;

pub use explain::{ExplainedFinding, ExplainedObject, Explanation};
pub use history::History;
pub use inspector::{InspectError, Inspection, Inspector, Origin};
pub use stopped::StoppedProcess;
