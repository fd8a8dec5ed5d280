//! Goroutines grouped by identical stack and state: how a person reads a hundred thousand of them.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::document::{Document, Frame, Goroutine, Site};

/// Goroutines that stand at the same place for the same reason.
#[derive(Debug)]
pub struct Group<'a> {
    /// Its members, by ascending id; never empty.
    pub members: Vec<&'a Goroutine>,
    /// The longest wait among them, in seconds.
    pub oldest_wait: Option<f64>,
}

impl<'a> Group<'a> {
    /// The stack they share.
    #[must_use]
    pub fn stack(&self) -> &'a [Frame] {
        self.members.first().map_or(&[], |first| &first.stack)
    }

    /// What stands for all of them.
    #[must_use]
    pub fn first(&self) -> Option<&'a Goroutine> {
        self.members.first().copied()
    }

    /// The wait reason, or the status of goroutines that do not wait.
    #[must_use]
    pub fn state(&self) -> &'static str {
        self.first()
            .map_or("", |first| first.wait_reason.unwrap_or(first.status))
    }
}

/// What the members of a group have in common. Equal stacks are one allocation in a document
/// ([`crate::document::Symbolizer`]), so that its address stands for it.
#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    stack: *const Frame,
    depth: usize,
    status: &'static str,
    reason: Option<&'static str>,
    created_by: Option<&'a Site>,
    system: bool,
}

impl<'a> Key<'a> {
    fn of(goroutine: &'a Goroutine) -> Self {
        Self {
            stack: Arc::as_ptr(&goroutine.stack).cast(),
            depth: goroutine.stack.len(),
            status: goroutine.status,
            reason: goroutine.wait_reason,
            created_by: goroutine.created_by.as_deref(),
            system: goroutine.system,
        }
    }
}

/// The goroutines of a document in groups, largest first, the runtime's own last.
#[must_use]
pub fn groups(document: &Document) -> Vec<Group<'_>> {
    let mut groups = group(document.goroutines.iter());
    groups.sort_by_key(|group| {
        let first = group.first();
        (
            first.is_some_and(|g| g.system),
            std::cmp::Reverse(group.members.len()),
            first.map(|g| g.id),
        )
    });
    groups
}

/// Goroutines of one document in groups, in the order in which their first members come.
pub fn group<'a>(goroutines: impl Iterator<Item = &'a Goroutine>) -> Vec<Group<'a>> {
    let mut index = FxHashMap::default();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for goroutine in goroutines {
        let at = *index.entry(Key::of(goroutine)).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Group {
                members: Vec::new(),
                oldest_wait: None,
            });
        }
        if let Some(group) = groups.get_mut(at) {
            group.members.push(goroutine);
            group.oldest_wait = longest(group.oldest_wait, goroutine.wait_seconds);
        }
    }
    groups
}

fn longest(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}
