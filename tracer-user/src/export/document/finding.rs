//! Findings in documents.

use serde::Serialize;

use super::{Address, clock::Clock, seconds};
use crate::{
    finding::{self, FindingKind, Verdict},
    ids::Goid,
};

/// One finding.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Stable over looks: 16 hexadecimal digits.
    pub id: String,
    /// What was found.
    pub kind: FindingKind,
    /// How sure.
    pub verdict: Verdict,
    /// The goroutines concerned; of a cycle in cycle order.
    pub goroutines: Vec<Goid>,
    /// The objects concerned.
    pub objects: Vec<Address>,
    /// Who waits for whom.
    pub edges: Vec<Edge>,
    /// One line.
    pub summary: String,
    /// Who waits for whom, since when, where, and what would free it.
    pub story: Vec<String>,
    /// What is missing for `proven`.
    pub doubts: Vec<String>,
    /// Goroutines that are not concerned themselves but wait behind those that are.
    pub waiting_behind: u64,
    /// Since when it holds (RFC 3339); `null` where unknown.
    pub since: Option<String>,
    /// For how long it holds, in seconds.
    pub age_seconds: Option<f64>,
}

/// `from` waits on `object`, which `to` has to release.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Edge {
    /// Who waits.
    pub from: Goid,
    /// On what.
    pub object: Address,
    /// For whom.
    pub to: Goid,
}

impl Finding {
    /// `finding` with its times told by `clock`.
    pub fn new(finding: &finding::Finding, clock: &Clock) -> Self {
        Self {
            id: format!("{:016x}", finding.id.0),
            kind: finding.kind,
            verdict: finding.verdict,
            goroutines: finding.goroutines.clone(),
            objects: finding
                .objects
                .iter()
                .map(|&object| object.into())
                .collect(),
            edges: finding
                .edges
                .iter()
                .map(|edge| Edge {
                    from: edge.from,
                    object: edge.object.into(),
                    to: edge.to,
                })
                .collect(),
            summary: finding.summary.clone(),
            story: finding.story.clone(),
            doubts: finding.doubts.clone(),
            waiting_behind: finding.waiting_behind,
            since: finding.since_ns.map(|ns| clock.wall_text(ns)),
            age_seconds: finding.since_ns.map(|ns| seconds(clock.age_ns(ns))),
        }
    }
}
