//! Many wait behind one goroutine that still moves: the finding people will use most.

use super::{
    abandoned::since_unknown,
    forever::partners,
    identity::Identity,
    idle::is_idle,
    index::{SnapshotIndex, began_ns, capitalised},
    model::{Edge, Finding, FindingKind, MAX_LISTED},
    patience::{Patience, moves_by_itself},
    phrase::{Age, count, duration},
    queue::places,
    timers::waits_for_stopped_timer,
};
use graph::RootBlocker;
use ids::{Goid, TargetAddr};
use image::WaitReason;
use snapshot::{Goroutine, ObjectKind, Snapshot, Status};

/// How many waiters make a blocker worth telling although nobody has waited for long.
const MANY: u64 = 2;
/// From when on they do so behind one that goes on by itself: shorter waits are the daily work of a
/// lock that many want.
const BUSY_AFTER_NS: u64 = 3_000_000_000;

/// Findings for those of `roots` that matter, the most important first. `earlier` is an inspection before
/// this one: whoever holds others up only now and then is not told of.
pub(super) fn root_blockers<'a>(
    scene: &SnapshotIndex<'_>,
    roots: impl Iterator<Item = &'a RootBlocker>,
    earlier: Option<&Snapshot>,
    patience: Patience,
) -> Vec<Finding> {
    let mut told = Vec::new();
    for root in roots {
        let (Some(&(object, _)), Some(g)) = (root.objects.first(), scene.goroutine(root.goid))
        else {
            continue;
        };
        let waiters = waiters(scene, root);
        let oldest_ns = waiters.iter().filter_map(|w| began_ns(w.since)).min();
        let lasting = earlier
            .is_none_or(|earlier| waiters.iter().any(|w| super::confirm::unmoved(earlier, w)));
        let ages = || waiters.iter().map(|w| scene.age(w));
        let stalled = ages().any(|age| patience.is_stalled(age));
        let many = root.waiting >= MANY;
        let matters = ages().any(|age| patience.is_long(age))
            || if moves_by_itself(scene, g) {
                many && (stalled || ages().any(|age| age.known_ns() >= BUSY_AFTER_NS))
            } else {
                many || stalled
            };
        if lasting && matters && !is_daily_work(scene, root, g, patience) {
            told.push(tell(scene, root, object, g, &waiters, oldest_ns, earlier));
        }
    }
    told
}

/// Whether all that `root` holds up is a `WaitGroup`, and it gets on with its work: whoever waits for
/// a group waits for as long as its members live.
fn is_daily_work(
    scene: &SnapshotIndex<'_>,
    root: &RootBlocker,
    g: &Goroutine,
    patience: Patience,
) -> bool {
    let kind = |object| scene.snapshot.objects.get(object).map(|o| o.id.kind);
    let mut objects = root.objects.iter();
    let hangs = !g.waits_on.is_empty() && patience.is_long(scene.age(g));
    objects.all(|(object, _)| kind(object) == Some(ObjectKind::WaitGroup))
        && (!hangs || is_idle(scene, g))
}

/// The goroutines that wait on what `root` holds.
fn waiters<'a>(scene: &SnapshotIndex<'a>, root: &RootBlocker) -> Vec<&'a Goroutine> {
    let objects = root.objects.iter();
    let held = objects.filter_map(|(object, _)| scene.snapshot.objects.get(object));
    let goids = held.flat_map(|object| &object.waiters);
    goids.filter_map(|goid| scene.goroutine(*goid)).collect()
}

fn tell(
    scene: &SnapshotIndex<'_>,
    root: &RootBlocker,
    object: TargetAddr,
    g: &Goroutine,
    waiters: &[&Goroutine],
    oldest_ns: Option<u64>,
    earlier: Option<&Snapshot>,
) -> Finding {
    let kind = FindingKind::RootBlocker;
    let id = Identity::new(scene.process, kind)
        .goroutines(&[root.goid])
        .objects(&[object])
        .id();
    let verb = if root.waiting == 1 { "waits" } else { "wait" };
    let lock = scene.object(object);
    let name = SnapshotIndex::name(root.goid);
    let summary = format!(
        "{} {verb} behind {name}, which has held {lock}{} {}",
        count(root.waiting, "goroutine"),
        held_for(scene, g),
        meanwhile(scene, g),
    );
    let mut story = vec![format!("{} {}.", capitalised(&name), scene.doing(g))];
    if let Some(earlier) = earlier.filter(|earlier| runs_in(earlier, g)) {
        let apart = scene.snapshot.taken_ns.saturating_sub(earlier.taken_ns);
        story.push(format!(
            "It was seen running in both looks, {} apart.",
            duration(apart)
        ));
    }
    story.extend(scene.holds(root.goid, object, waiters.first().copied(), &lock));
    story.extend(partners(scene, g));
    let others = root.objects.get(1..3).unwrap_or_default();
    story.push(format!(
        "{} {verb} behind it{}.",
        count(root.waiting, "goroutine"),
        places(scene, waiters),
    ));
    for (object, behind) in others {
        let (verb, object) = (
            if *behind == 1 { "waits" } else { "wait" },
            scene.object(*object),
        );
        let who = count(*behind, "goroutine");
        story.push(format!("Of these, {who} {verb} behind {object}."));
    }
    if let Some(oldest) = oldest_ns {
        let age = scene.snapshot.taken_ns.saturating_sub(oldest);
        story.push(match waiters.len() {
            1 => format!("It has waited for {}.", at_least(scene, waiters, age)),
            _ => format!(
                "The oldest of them has waited for {}.",
                at_least(scene, waiters, age)
            ),
        });
    }
    story.extend(since_unknown(scene, waiters));
    story.push(ending(scene, g));
    let edges = waiters.iter().map(|waiter| Edge {
        from: waiter.goid,
        object: waiter.waits_on.first().map_or(object, |w| w.object.addr),
        to: root.goid,
    });
    let mut goroutines: Vec<Goid> = waiters.iter().map(|w| w.goid).collect();
    goroutines.push(root.goid);
    goroutines.sort_unstable();
    goroutines.dedup();
    Finding {
        count: root.waiting + 1,
        objects: root.objects.iter().map(|(object, _)| *object).collect(),
        edges: edges.take(MAX_LISTED).collect(),
        summary,
        story,
        doubts: doubts(scene, root, object, g),
        since_ns: oldest_ns,
        waiting_behind: root.waiting,
        ..Finding::new(kind, id).of(goroutines)
    }
}

/// Whether `g` runs, and did so in an `earlier` look.
fn runs_in(earlier: &Snapshot, g: &Goroutine) -> bool {
    let then = earlier.goroutine(g.goid);
    g.status == Status::Running && then.is_some_and(|then| then.status == Status::Running)
}

/// ` for 4 m 10 s`: it has held the lock at least as long as it has been in its own wait.
fn held_for(scene: &SnapshotIndex<'_>, g: &Goroutine) -> String {
    if !g.status.is_parked() {
        return String::new();
    }
    match scene.age(g).known_ns() {
        0 => String::new(),
        ns => format!(" for at least {}", duration(ns)),
    }
}

/// What the holder does while the others wait.
fn meanwhile(scene: &SnapshotIndex<'_>, g: &Goroutine) -> String {
    let at = scene.at(g);
    match (g.status, g.wait_reason) {
        (Status::Waiting | Status::Leaked, Some(WaitReason::IoWait)) => format!("in IO wait{at}"),
        (Status::Waiting | Status::Leaked, Some(WaitReason::Sleep)) => format!("sleeping{at}"),
        (Status::Waiting | Status::Leaked, Some(_)) if waits_for_stopped_timer(scene, g) => {
            format!("and waits for a timer that does not run{at}")
        }
        (Status::Waiting | Status::Leaked, Some(reason)) => format!("in {reason}{at}"),
        (Status::Syscall, _) => format!("in a system call{at}"),
        (Status::Running, _) => format!("and runs{at}"),
        _ => format!("and is ready to run{at}"),
    }
}

/// `4 m 10 s`, or `at least 4 m 10 s` where nobody saw the oldest wait begin.
fn at_least(scene: &SnapshotIndex<'_>, waiters: &[&Goroutine], age_ns: u64) -> String {
    let exact = |w: &&Goroutine| scene.age(w) == Age::Exact(age_ns);
    let length = duration(age_ns);
    if waiters.iter().any(exact) {
        length
    } else {
        format!("at least {length}")
    }
}

/// What has to happen before those behind `g` go on.
fn ending(scene: &SnapshotIndex<'_>, g: &Goroutine) -> String {
    let name = SnapshotIndex::name(g.goid);
    if moves_by_itself(scene, g) {
        return format!("They go on as soon as {name} releases what it holds.");
    }
    if waits_for_stopped_timer(scene, g) {
        return format!(
            "They go on only if somebody resets the timer for which {name} waits: since Go 1.23 \
             the channel of a stopped timer stays empty."
        );
    }
    format!("They go on only after {name} does, and for that somebody else has to act.")
}

fn doubts(
    scene: &SnapshotIndex<'_>,
    root: &RootBlocker,
    object: TargetAddr,
    g: &Goroutine,
) -> Vec<String> {
    let name = SnapshotIndex::name(root.goid);
    let mut doubts = vec![if moves_by_itself(scene, g) {
        format!("{name} is alive and may release it at any moment")
    } else {
        format!("{name} may still be freed by one that was not seen to")
    }];
    if g.sampled.is_some() {
        doubts.push("the holder runs: its stack is as it was at one instant".to_owned());
    } else if !g.status.is_parked() {
        doubts.push("the holder could run while its stack was read".to_owned());
    }
    if let Some(holders) = scene.holders.get(&object) {
        doubts.extend(holders.doubts.iter().cloned());
    }
    doubts
}
