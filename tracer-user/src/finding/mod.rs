//! Verdicts, their life (appears, confirmed, cleared), and the words that explain them.
//!
//! [`diagnose`] is pure: a snapshot and what was found out about its locks go in, findings come
//! out.

mod abandoned;
mod budget;
mod confirm;
mod core;
mod coroutine;
mod creation_site;
mod deadlock;
mod detector;
mod diagnose;
mod disposition;
mod doing;
mod doubt;
mod explain;
mod forever;
mod graphs;
mod growth;
mod identity;
mod idle;
mod life;
mod limits;
mod lingering;
mod look;
mod members;
mod model;
mod past;
mod patience;
mod phrase;
mod proof;
mod queue;
mod root_blocker;
mod scene;
mod shape;
mod site;
mod slope;
mod starvation;
mod still;
mod stuck;
mod supposed;
mod tenure;
mod thread_sites;
mod timers;
mod unreachable;
mod unseen;
mod walk;
mod whole_process;

#[cfg(test)]
mod fixture;

pub use budget::MemoryBudget;
pub use creation_site::CreationSite;
pub use detector::{Detector, detector};
pub use diagnose::{Diagnosis, Evidence, Options, diagnose};
pub use explain::{ExplainedFinding, ExplainedObject, Explanation};
pub use growth::{GROWTH_WINDOW, Growth, SiteGrowth};
pub use life::{Change, Life};
pub use look::{Look, LookError, Looker, Origin};
pub use model::{Edge, Finding, FindingId, FindingKind, Group, MAX_LISTED, Verdict};
pub use past::Past;
pub use site::{Site, Symbols, is_plumbing, without_type_arguments};
pub use starvation::Readiness;
pub use still::Still;
pub use walk::{HeapWalker, Walked};

#[cfg(test)]
mod tests;
