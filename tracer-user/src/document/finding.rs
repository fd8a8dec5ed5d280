//! Findings in documents.

use std::sync::Arc;

use serde::Serialize;

use super::{Address, Site, clock::Clock, seconds};
use crate::{
    finding::{self, FindingKind, Verdict},
    target_text::TargetText,
};
use ids::Goid;

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
    /// All of them, where `goroutines` does not list them all; else empty.
    #[serde(skip)]
    all: Arc<[Goid]>,
    /// How many goroutines (or threads) are concerned; `goroutines` lists 10,000 at most.
    pub count: u64,
    /// What they have in common, where they are told of together.
    pub group: Option<Group>,
    /// The objects concerned.
    pub objects: Vec<Address>,
    /// Who waits for whom.
    pub edges: Vec<Edge>,
    /// One line.
    pub summary: TargetText,
    /// Who waits for whom, since when, where, and what would free it.
    pub story: Vec<TargetText>,
    /// What is missing for `proven`.
    pub doubts: Vec<TargetText>,
    /// The finding that tells why they wait, of those that are queued behind it; else `null`.
    pub cause: Option<String>,
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

/// What goroutines that are told of together have in common.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// Where they wait.
    pub blocked_at: Option<Site>,
    /// Where they were made.
    pub created_at: Option<Site>,
    /// The one that has waited longest.
    pub example: Goid,
    /// For how long the first of them has waited, in seconds.
    pub oldest_seconds: Option<f64>,
    /// For how long the last of them has waited, in seconds.
    pub newest_seconds: Option<f64>,
    /// Memory that they alone keep, in bytes, where it was measured.
    pub retained_bytes: Option<u64>,
    /// How fast their number grows, a minute, where it was measured.
    pub per_minute: Option<f64>,
}

impl Group {
    fn new(group: &finding::Group, clock: &Clock) -> Self {
        let age = |since_ns: Option<u64>| since_ns.map(|ns| seconds(clock.age_ns(ns)));
        Self {
            blocked_at: group.blocked_at.as_ref().map(Site::from),
            created_at: group.created_at.as_ref().map(Site::from),
            example: group.example,
            oldest_seconds: age(group.oldest_ns),
            newest_seconds: age(group.newest_ns),
            retained_bytes: group.retained_bytes,
            per_minute: group.per_minute,
        }
    }
}

/// Sentences, which quote names of the target.
pub(super) fn texts(sentences: &[String]) -> Vec<TargetText> {
    let sentences = sentences.iter();
    sentences.map(|text| text.as_str().into()).collect()
}

impl Finding {
    /// `finding` with its times told by `clock`.
    pub fn new(finding: &finding::Finding, clock: &Clock) -> Self {
        Self {
            id: finding.id.to_string(),
            kind: finding.kind,
            verdict: finding.verdict,
            goroutines: finding.goroutines.clone(),
            all: Arc::clone(&finding.all),
            count: finding.count,
            group: finding.group.as_ref().map(|group| Group::new(group, clock)),
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
            summary: finding.summary.as_str().into(),
            story: texts(&finding.story),
            doubts: texts(&finding.doubts),
            cause: finding.cause.map(|cause| cause.to_string()),
            waiting_behind: finding.waiting_behind,
            since: finding.since_ns.map(|ns| clock.wall_text(ns)),
            age_seconds: finding.since_ns.map(|ns| seconds(clock.age_ns(ns))),
        }
    }

    /// All goroutines concerned, beyond those that are listed, too.
    #[must_use]
    pub fn concerned(&self) -> &[Goid] {
        if self.all.is_empty() {
            &self.goroutines
        } else {
            &self.all
        }
    }
}
