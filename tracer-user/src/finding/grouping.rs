//! Goroutines grouped by where they wait and where they were created: ten thousand at one site are
//! one thing to tell.

use std::{cmp::Reverse, sync::Arc};

use rustc_hash::FxHashMap;

use super::{
    identity::Identity,
    index::{SnapshotIndex, began_ns},
    model::{FindingKind, Group, MAX_LISTED},
    site::Site,
};
use ids::{Goid, TargetAddr};
use snapshot::Goroutine;

/// Goroutines that wait at one place and were created by one function.
#[derive(Debug)]
pub(super) struct Members<'a> {
    pub(super) blocked_at: Option<Arc<Site>>,
    /// The `go` statement of the first that was met.
    pub(super) created_at: Option<Arc<Site>>,
    /// Never empty; the one that has waited longest first.
    pub(super) goroutines: Vec<&'a Goroutine>,
}

/// Groups `goroutines`, the largest group first. Several `go` statements of one function count as
/// one place.
pub(super) fn by_site<'a>(
    scene: &SnapshotIndex<'_>,
    goroutines: impl Iterator<Item = &'a Goroutine>,
) -> Vec<Members<'a>> {
    let address = |site: &Option<Arc<Site>>| site.as_ref().map_or(0, |s| Arc::as_ptr(s).addr());
    let mut creators: FxHashMap<Option<Arc<str>>, usize> = FxHashMap::default();
    let mut index: FxHashMap<(usize, usize), usize> = FxHashMap::default();
    let mut groups: Vec<Members<'a>> = Vec::new();
    for g in goroutines {
        let blocked_at = scene.blocked_at(g);
        let created_at = scene.created_at(g);
        let number = creators.len();
        let creator = created_at.as_ref().map(|site| Arc::clone(&site.function));
        let creator = *creators.entry(creator).or_insert(number);
        let at = *index
            .entry((address(&blocked_at), creator))
            .or_insert_with(|| {
                groups.push(Members {
                    blocked_at,
                    created_at,
                    goroutines: Vec::new(),
                });
                groups.len() - 1
            });
        if let Some(group) = groups.get_mut(at) {
            group.goroutines.push(g);
        }
    }
    for group in &mut groups {
        let age = |g: &&Goroutine| (Reverse(scene.age(g).known_ns()), g.goid);
        group.goroutines.sort_by_key(age);
    }
    groups.sort_by_key(|group| {
        (
            Reverse(group.goroutines.len()),
            group.goroutines.first().map(|g| g.goid),
        )
    });
    groups
}

impl<'a> Members<'a> {
    pub(super) fn count(&self) -> u64 {
        self.goroutines.len() as u64
    }

    /// The one whose stack is shown.
    pub(super) fn example(&self) -> Option<&'a Goroutine> {
        self.goroutines.first().copied()
    }

    /// Ids, ascending.
    pub(super) fn goids(&self) -> Vec<Goid> {
        let mut goids: Vec<Goid> = self.goroutines.iter().map(|g| g.goid).collect();
        goids.sort_unstable();
        goids
    }

    /// The objects they wait on, ascending and bounded.
    pub(super) fn objects(&self) -> Vec<TargetAddr> {
        let waits = self.goroutines.iter().flat_map(|g| &g.waits_on);
        let mut objects: Vec<TargetAddr> = waits.map(|wait| wait.object.addr).collect();
        objects.sort_unstable();
        objects.dedup();
        objects.truncate(MAX_LISTED);
        objects
    }

    pub(super) fn oldest_ns(&self) -> Option<u64> {
        let began = self.goroutines.iter().filter_map(|g| began_ns(g.since));
        began.min()
    }

    pub(super) fn group(&self) -> Option<Group> {
        let began = self.goroutines.iter().filter_map(|g| began_ns(g.since));
        Some(Group {
            blocked_at: self.blocked_at.as_deref().cloned(),
            created_at: self.created_at.as_deref().cloned(),
            example: self.example()?.goid,
            oldest_ns: self.oldest_ns(),
            newest_ns: began.max(),
            retained_bytes: None,
            per_minute: None,
        })
    }

    /// What makes this group itself, whoever its members are.
    pub(super) fn identity(&self, scene: &SnapshotIndex<'_>, kind: FindingKind) -> Identity {
        let id = Identity::new(scene.process, kind);
        let id = match &self.blocked_at {
            None => id.number(0),
            Some(site) => id
                .text(&site.function)
                .text(&site.file)
                .number(site.line.into()),
        };
        match &self.created_at {
            None => id.number(0),
            Some(site) => id.text(&site.function),
        }
    }

    /// ` at main.f (x.go:3), created by main.g (x.go:9)`.
    pub(super) fn place(&self) -> String {
        let part = |words: &str, site: &Option<Arc<Site>>| {
            site.as_ref()
                .map(|site| format!("{words}{site}"))
                .unwrap_or_default()
        };
        let created = part(", created by ", &self.created_at);
        part(" at ", &self.blocked_at) + &created
    }
}
