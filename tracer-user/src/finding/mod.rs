//! Verdicts, their life (appears, confirmed, cleared), and the words that explain them.

mod model;

pub use model::{Edge, Finding, FindingId, FindingKind, Verdict};
