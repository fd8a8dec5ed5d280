//! Verdicts, their life (appears, confirmed, cleared), and the words that explain them.
//!
//! [`diagnose`] is pure: a snapshot and what was found out about its locks go in, findings come
//! out.

mod disposition;
mod identity;
mod model;
mod phrase;
mod site;

#[cfg(test)]
mod fixture;

pub use model::{Edge, Finding, FindingId, FindingKind, Group, MAX_LISTED, Verdict};
pub use site::{Site, Symbols, is_plumbing};
