//! Many wait behind one goroutine that still moves: the finding people will use most.

use super::{
    diagnose::Options,
    forever::partners,
    identity::Identity,
    idle::is_idle,
    model::{Edge, Finding, FindingKind, MAX_LISTED},
    phrase::{count, duration},
    scene::{Scene, began_ns, capitalised},
};
use crate::{
    graph::RootBlocker,
    ids::{Goid, TargetAddr},
    image::WaitReason,
    snapshot::{Goroutine, ObjectKind, Snapshot, Status},
};

/// How many waiters make a blocker worth telling although nobody has waited for long.
const MANY: u64 = 2;

/// Findings for those of `roots` that matter, the most important first. `earlier` is a look before
/// this one: whoever holds others up only now and then is not told of.
pub(super) fn root_blockers<'a>(
    scene: &Scene<'_>,
    roots: impl Iterator<Item = &'a RootBlocker>,
    earlier: Option<&Snapshot>,
    options: &Options,
) -> Vec<Finding> {
    let mut told = Vec::new();
    for root in roots {
        let (Some(&(object, _)), Some(g)) = (root.objects.first(), scene.goroutine(root.goid))
        else {
            continue;
        };
        let waiters = waiters(scene, root);
        let oldest_ns = waiters.iter().filter_map(|w| began_ns(w.since)).min();
        let waited_ns = oldest_ns.map_or(0, |ns| scene.snapshot.taken_ns.saturating_sub(ns));
        let long = waited_ns >= options.stuck_after_ns();
        let lasting = earlier
            .is_none_or(|earlier| waiters.iter().any(|w| super::confirm::unmoved(earlier, w)));
        if lasting && (long || root.waiting >= MANY) && !is_daily_work(scene, root, g, options) {
            told.push(tell(scene, root, object, g, &waiters, oldest_ns, earlier));
        }
    }
    told
}

/// Whether all that `root` holds up is a `WaitGroup`, and it gets on with its work: whoever waits for
/// a group waits for as long as its members live.
fn is_daily_work(scene: &Scene<'_>, root: &RootBlocker, g: &Goroutine, options: &Options) -> bool {
    let kind = |object| scene.snapshot.objects.get(object).map(|o| o.id.kind);
    let mut objects = root.objects.iter();
    let hangs = !g.waits_on.is_empty() && scene.age(g).known_ns() >= options.stuck_after_ns();
    objects.all(|(object, _)| kind(object) == Some(ObjectKind::WaitGroup))
        && (!hangs || is_idle(scene, g))
}

/// The goroutines that wait on what `root` holds.
fn waiters<'a>(scene: &Scene<'a>, root: &RootBlocker) -> Vec<&'a Goroutine> {
    let objects = root.objects.iter();
    let held = objects.filter_map(|(object, _)| scene.snapshot.objects.get(object));
    let goids = held.flat_map(|object| &object.waiters);
    goids
        .filter_map(|goid| scene.goroutine(*goid))
        .take(MAX_LISTED)
        .collect()
}

fn tell(
    scene: &Scene<'_>,
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
    let name = Scene::name(root.goid);
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
    story.extend(scene.holds(root.goid, object, waiters.first().copied()));
    story.extend(partners(scene, g));
    for (object, behind) in root.objects.iter().take(3) {
        let verb = if *behind == 1 { "waits" } else { "wait" };
        story.push(format!(
            "{} {verb} behind {}.",
            count(*behind, "goroutine"),
            scene.object(*object)
        ));
    }
    if let Some(oldest) = oldest_ns {
        let age = scene.snapshot.taken_ns.saturating_sub(oldest);
        story.push(format!("The oldest of them has waited {}.", duration(age)));
    }
    story.push(format!(
        "They go on as soon as {name} releases what it holds."
    ));
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
        goroutines,
        summary,
        story,
        doubts: doubts(scene, root, object, g),
        since_ns: oldest_ns,
        waiting_behind: root.waiting,
        ..Finding::new(kind, id)
    }
}

/// Whether `g` runs, and did so in an `earlier` look.
fn runs_in(earlier: &Snapshot, g: &Goroutine) -> bool {
    let at = earlier.goroutines.binary_search_by_key(&g.goid, |g| g.goid);
    let then = at.ok().and_then(|at| earlier.goroutines.get(at));
    g.status == Status::Running && then.is_some_and(|then| then.status == Status::Running)
}

/// ` for 4 m 10 s`: it has held the lock at least as long as it has been in its own wait.
fn held_for(scene: &Scene<'_>, g: &Goroutine) -> String {
    if !g.status.is_parked() {
        return String::new();
    }
    match scene.age(g).known_ns() {
        0 => String::new(),
        ns => format!(" for at least {}", duration(ns)),
    }
}

/// What the holder does while the others wait.
fn meanwhile(scene: &Scene<'_>, g: &Goroutine) -> String {
    let at = scene.at(g);
    match (g.status, g.wait_reason) {
        (Status::Waiting | Status::Leaked, Some(WaitReason::IoWait)) => format!("in IO wait{at}"),
        (Status::Waiting | Status::Leaked, Some(WaitReason::Sleep)) => format!("sleeping{at}"),
        (Status::Waiting | Status::Leaked, Some(reason)) => format!("in {reason}{at}"),
        (Status::Syscall, _) => format!("in a system call{at}"),
        (Status::Running, _) => format!("and runs{at}"),
        _ => format!("and is ready to run{at}"),
    }
}

fn doubts(scene: &Scene<'_>, root: &RootBlocker, object: TargetAddr, g: &Goroutine) -> Vec<String> {
    let mut doubts = vec![format!(
        "{} is alive and may release it at any moment",
        Scene::name(root.goid)
    )];
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
