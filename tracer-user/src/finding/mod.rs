//! Verdicts, their life (appears, confirmed, cleared), and the words that explain them.
//!
//! [`diagnose`] is pure: a snapshot and what was found out about its locks go in, findings come
//! out.

mod abandoned;
mod budget;
pub(crate) mod confirm;
pub(crate) mod coroutine;
mod creation_site;
mod deadlock;
mod detector;
pub(crate) mod diagnose;
mod disposition;
mod doing;
mod doubt;
mod evidence_level;
mod forever;
mod gomaxprocs;
pub(crate) mod graphs;
mod grouping;
mod growth;
mod identity;
mod idle;
pub(crate) mod index;
mod lifecycle;
pub(crate) mod model;
mod patience;
pub(crate) mod phrase;
mod queue;
mod root_blocker;
mod shape;
pub(crate) mod site;
mod starvation;
mod stuck;
mod supposed;
mod tenure;
mod thread_sites;
pub(crate) mod timers;
mod trend;
mod unreachable;
mod walk;
mod whole_process;

#[cfg(test)]
pub(crate) mod fixture;

pub use budget::MemoryBudget;
pub use creation_site::CreationSite;
pub use detector::{Detector, detector};
pub use diagnose::{Diagnosis, Evidence, Options, diagnose};
pub use growth::{GROWTH_WINDOW, Growth, SiteGrowth};
pub use lifecycle::{Change, FindingTracker};
pub use model::{Edge, Finding, FindingId, FindingKind, Group, MAX_LISTED, Verdict};
pub use site::{Site, Symbols, is_plumbing, without_type_arguments};
pub use starvation::Readiness;
pub use walk::{HeapWalker, Walked};

#[cfg(test)]
pub(crate) mod tests;
