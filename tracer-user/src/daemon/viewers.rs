//! What the daemon asks of those who show single processes.

use std::{fmt, time::Duration};

use crate::inspect::Inspection;
use process::ProcessKey;

/// Readers of whole inspections: a page that shows one process, a client that asks for its document. They
/// make no inspection of their own, but have the daemon make one in its turn, on the process's account.
pub trait Viewers: fmt::Debug + Send + Sync {
    /// Returns the processes of which an inspection is wanted now, each once.
    fn take_wanted(&self) -> Vec<ProcessKey>;

    /// Puts off what was wanted of the process `key`: the inspection could not be begun.
    fn postpone(&self, key: ProcessKey);

    /// Whether somebody is looking at the process `key`.
    fn is_watched(&self, key: ProcessKey) -> bool;

    /// Takes an inspection of the process `key`, which took `cost` of CPU time.
    fn inspected(&self, key: ProcessKey, inspection: Inspection, cost: Duration);

    /// Says that the process `key` could not be inspected.
    fn failed(&self, key: ProcessKey, why: &str);

    /// Forgets the process `key`: it has ended, or is not followed any more.
    fn forget(&self, key: ProcessKey);
}

/// Nobody.
impl Viewers for () {
    fn take_wanted(&self) -> Vec<ProcessKey> {
        Vec::new()
    }

    fn postpone(&self, _key: ProcessKey) {}

    fn is_watched(&self, _key: ProcessKey) -> bool {
        false
    }

    fn inspected(&self, _key: ProcessKey, _inspection: Inspection, _cost: Duration) {}

    fn failed(&self, _key: ProcessKey, _why: &str) {}

    fn forget(&self, _key: ProcessKey) {}
}
