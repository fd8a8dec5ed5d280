//! An inspection in groups: what a page needs to show a process of any size.
//!
//! Each stack stands there once, with how many goroutines have it. Single goroutines are listed only
//! where a finding names them; [`Members`] has the others, for who asks for them.

use std::{cmp::Reverse, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use super::{
    Clock, DeadlockDetector, Document, Finding, Frame, Goroutine, Incomplete, Object, Precision,
    Process, SCHEMA, Site, Symbolizer, Symbols, Threads,
    frame::shared_site,
    goroutine::{frames, wait_of},
    process_of,
};
use crate::{finding::Diagnosis, inspect::Inspection};
use ids::{Goid, ImageAddr, Tid};

/// Most groups listed, the largest ones.
const MAX_GROUPS: usize = 2_000;
/// Most goroutines, edges and objects listed of one finding, and waiters of one object.
const MAX_LISTED: usize = 1_000;
/// Goroutines of each finding that are described one by one.
const MAX_DESCRIBED: usize = 100;
/// Most threads and gaps listed.
const MAX_ROWS: usize = 1_000;

/// One inspection of one process, its goroutines in groups.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// When the process was read (RFC 3339).
    pub taken: String,
    /// The process.
    pub process: Process,
    /// How many groups there are, listed or not.
    pub groups_total: usize,
    /// Its goroutines by what they have in common, the largest group first, the runtime's own last.
    pub groups: Vec<StackGroup>,
    /// The goroutines that findings name, by ascending id.
    pub goroutines: Vec<Member>,
    /// The objects that findings name, by ascending address.
    pub objects: Vec<Object>,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// Its threads.
    pub threads: Threads,
    /// Whether Go's own detector could fire; `null` when the scheduler could not be read.
    pub deadlock_detector: Option<DeadlockDetector>,
    /// What could not be read.
    pub incomplete: Vec<Incomplete>,
}

/// Goroutines that stand at the same place for the same reason.
#[derive(Debug, Clone, Serialize)]
pub struct StackGroup {
    /// Its number in this inspection.
    pub id: usize,
    /// How many they are.
    pub count: usize,
    /// The longest wait among them, in seconds; `null` where unknown.
    pub oldest_seconds: Option<f64>,
    /// What they do.
    pub status: &'static str,
    /// Why they wait; `null` unless they wait.
    pub wait_reason: Option<&'static str>,
    /// Whether the runtime itself owns them.
    pub system: bool,
    /// Their stack, innermost frame first.
    #[serde(serialize_with = "frames")]
    pub stack: Arc<[Frame]>,
    /// Whether frames are missing at the end of `stack`.
    pub stack_truncated: bool,
    /// The `go` statement that made them.
    #[serde(serialize_with = "shared_site")]
    pub created_by: Option<Arc<Site>>,
    /// The first of them.
    pub examples: Vec<Goid>,
}

impl StackGroup {
    /// Goroutines named of each group.
    pub const MAX_EXAMPLES: usize = 20;

    /// The group of those that are like `goroutine`, which has no member yet.
    #[must_use]
    pub fn like(goroutine: &Goroutine) -> Self {
        Self {
            id: 0,
            count: 0,
            oldest_seconds: None,
            status: goroutine.status,
            wait_reason: goroutine.wait_reason,
            system: goroutine.system,
            stack: Arc::clone(&goroutine.stack),
            stack_truncated: goroutine.stack_truncated,
            created_by: goroutine.created_by.clone(),
            examples: Vec::new(),
        }
    }
}

/// A goroutine as a member of a group, which says the rest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Member {
    /// Its id.
    pub id: Goid,
    /// The number of its group.
    pub group: usize,
    /// For how long it has waited, in seconds; `null` where unknown.
    pub wait_seconds: Option<f64>,
    /// How well `wait_seconds` is known.
    pub wait_since: Precision,
    /// The thread that runs it, or that it is locked to.
    pub thread: Option<Tid>,
}

/// Every goroutine of an inspection, by ascending id.
#[derive(Debug, Clone, Default)]
pub struct Members(Vec<Member>);

impl Members {
    /// The goroutine `goid`, if it is there.
    #[must_use]
    pub fn get(&self, goid: Goid) -> Option<Member> {
        let at = self
            .0
            .binary_search_by_key(&goid, |member| member.id)
            .ok()?;
        self.0.get(at).copied()
    }

    /// Those of a group.
    pub fn of_group(&self, group: usize) -> impl Iterator<Item = Member> + '_ {
        let members = self.0.iter().copied();
        members.filter(move |member| member.group == group)
    }
}

impl Overview {
    /// What was seen in `look`, and all its goroutines.
    #[must_use]
    pub fn new(look: &Inspection) -> (Self, Members) {
        let clock = Clock::of(look);
        let process = process_of(look, &clock);
        Self::with(process, &look.diagnosis, &*look.image, &clock)
    }

    /// Likewise of a process that is already described, symbolised by `symbols`.
    pub(super) fn with(
        process: Process,
        diagnosis: &Diagnosis,
        symbols: &dyn Symbols,
        clock: &Clock,
    ) -> (Self, Members) {
        let snapshot = &diagnosis.snapshot;
        let mut symbolizer = Symbolizer::new(symbols);
        let (groups, members) = grouped(snapshot, &mut symbolizer);
        let findings = diagnosis.findings.iter();
        let findings: Vec<Finding> = findings
            .map(|finding| shortened(Finding::new(finding, clock)))
            .collect();
        let mut threads = threads(snapshot, &mut symbolizer);
        threads.list.truncate(MAX_ROWS);
        let named = named(&findings);
        let overview = Self {
            schema: SCHEMA,
            taken: clock.text(),
            process,
            groups_total: groups.len(),
            goroutines: named.into_iter().filter_map(|id| members.get(id)).collect(),
            groups: groups.into_iter().take(MAX_GROUPS).collect(),
            objects: objects(diagnosis, &findings, &mut symbolizer),
            findings,
            threads,
            deadlock_detector: diagnosis.detector.as_ref().map(DeadlockDetector::from),
            incomplete: Document::incomplete(diagnosis).take(MAX_ROWS).collect(),
        };
        (overview, members)
    }
}

/// What the members of a group have in common.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    /// Equal stacks are one allocation.
    stack: *const Frame,
    depth: usize,
    status: snapshot::Status,
    reason: Option<&'static str>,
    created_at: Option<ImageAddr>,
    system: bool,
}

/// The goroutines in groups, in the order in which they are listed, and each with its group.
fn grouped(
    snapshot: &snapshot::Snapshot,
    symbolizer: &mut Symbolizer<'_>,
) -> (Vec<StackGroup>, Members) {
    let mut index: FxHashMap<Key, usize> = FxHashMap::default();
    let mut groups: Vec<StackGroup> = Vec::new();
    let mut members = Vec::with_capacity(snapshot.goroutines.len());
    for goroutine in &snapshot.goroutines {
        let stack = symbolizer.stack(&goroutine.stack);
        let key = Key {
            stack: Arc::as_ptr(&stack).cast(),
            depth: stack.len(),
            status: goroutine.status,
            reason: goroutine.wait_reason.map(|reason| reason.as_str()),
            created_at: goroutine.created_at,
            system: goroutine.system,
        };
        let at = *index.entry(key).or_insert_with(|| {
            let shown = Goroutine::new(goroutine, snapshot.taken_ns, symbolizer);
            groups.push(StackGroup::like(&shown));
            groups.len() - 1
        });
        let (wait_since, wait_seconds) = wait_of(goroutine, snapshot.taken_ns);
        if let Some(group) = groups.get_mut(at) {
            group.count += 1;
            group.oldest_seconds = match (group.oldest_seconds, wait_seconds) {
                (Some(a), Some(b)) => Some(a.max(b)),
                (a, b) => a.or(b),
            };
            if group.examples.len() < StackGroup::MAX_EXAMPLES {
                group.examples.push(goroutine.goid);
            }
        }
        members.push(Member {
            id: goroutine.goid,
            group: at,
            wait_seconds,
            wait_since,
            thread: goroutine.thread,
        });
    }
    for (id, group) in groups.iter_mut().enumerate() {
        group.id = id;
    }
    groups.sort_by_key(|group| (group.system, Reverse(group.count), group.id));
    let mut place = vec![0; groups.len()];
    for (at, group) in groups.iter_mut().enumerate() {
        place[group.id] = at;
        group.id = at;
    }
    for member in &mut members {
        member.group = place[member.group];
    }
    members.sort_unstable_by_key(|member| member.id);
    (groups, Members(members))
}

fn shortened(mut finding: Finding) -> Finding {
    finding.goroutines.truncate(MAX_LISTED);
    finding.edges.truncate(MAX_LISTED);
    finding.objects.truncate(MAX_LISTED);
    finding
}

/// The goroutines that are described one by one, by ascending id.
fn named(findings: &[Finding]) -> Vec<Goid> {
    let mut named = Vec::new();
    for finding in findings {
        named.extend(finding.goroutines.iter().take(MAX_DESCRIBED));
        named.extend(finding.group.iter().map(|group| group.example));
        let edges = finding.edges.iter().take(MAX_DESCRIBED);
        named.extend(edges.flat_map(|edge| [edge.from, edge.to]));
    }
    named.sort_unstable();
    named.dedup();
    named
}

fn threads(snapshot: &snapshot::Snapshot, symbolizer: &mut Symbolizer<'_>) -> Threads {
    let on_threads = snapshot.threads.iter().filter_map(|t| t.goroutine);
    let on_threads: FxHashSet<Goid> = on_threads.collect();
    let goroutines = snapshot.goroutines.iter();
    let goroutines: Vec<Goroutine> = goroutines
        .filter(|goroutine| on_threads.contains(&goroutine.goid))
        .map(|goroutine| Goroutine::new(goroutine, snapshot.taken_ns, symbolizer))
        .collect();
    Threads::new(&snapshot.threads, &goroutines)
}

fn objects(
    diagnosis: &Diagnosis,
    findings: &[Finding],
    symbolizer: &mut Symbolizer<'_>,
) -> Vec<Object> {
    let named = findings.iter().flat_map(|finding| {
        let of_edges = finding.edges.iter().map(|edge| edge.object);
        finding.objects.iter().copied().chain(of_edges)
    });
    let named: FxHashSet<u64> = named.map(|address| address.0).collect();
    let mut objects = Document::objects(diagnosis, symbolizer, |object| {
        named.contains(&object.id.addr.0)
    });
    for object in &mut objects {
        object.waiters.truncate(MAX_LISTED);
        object.holders.truncate(MAX_LISTED);
    }
    objects
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use testing::schema::violations;

    use super::super::example;
    use ids::Goid;

    #[test]
    fn an_overview_follows_the_schema_and_names_each_stack_once() {
        let (overview, members) = example::overview();
        let value: Value = serde_json::to_value(&overview).unwrap();
        assert_eq!(violations("/$defs/overview", &value), [""; 0]);
        let counts: Vec<usize> = overview.groups.iter().map(|group| group.count).collect();
        let document = example::document();
        assert_eq!(counts.iter().sum::<usize>(), document.goroutines.len());
        assert!(counts.is_sorted_by(|a, b| a >= b), "{counts:?}");
        for goroutine in &document.goroutines {
            let member = members.get(goroutine.id).unwrap();
            let group = &overview.groups[member.group];
            assert_eq!(group.id, member.group);
            assert_eq!(group.stack.len(), goroutine.stack.len());
            assert_eq!(group.wait_reason, goroutine.wait_reason);
            assert!(members.of_group(member.group).any(|m| m == member));
        }
        assert_eq!(members.get(Goid(999_999)), None);
    }

    #[test]
    fn who_a_finding_names_is_described() {
        let (overview, _) = example::overview();
        let cycle = &overview.findings[0];
        let described: Vec<Goid> = overview.goroutines.iter().map(|g| g.id).collect();
        assert!(cycle.goroutines.iter().all(|goid| described.contains(goid)));
        let objects = json!(overview.objects);
        assert_eq!(objects.as_array().map(Vec::len), Some(2), "{objects}");
    }
}
