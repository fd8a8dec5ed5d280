//! Waits that have lasted longer than they should, of whatever cause.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    abandoned::since_unknown,
    forever::partners,
    grouping::{Members, by_site},
    idle::is_idle,
    index::SnapshotIndex,
    model::{Finding, FindingKind},
    patience::{Patience, moves_by_itself},
    phrase::{count, duration},
    timers::{is_timed, waits_for_stopped_timer, why_stopped},
};
use graph::Verdicts;
use ids::{Goid, TargetAddr};
use image::{WaitKind, WaitReason};
use snapshot::{Goroutine, Operation, WaitOn};

/// What is told of already.
pub(super) struct Reported {
    /// Those who hold others up.
    pub(super) holders: FxHashSet<Goid>,
    /// Locks that nobody holds.
    pub(super) locks: FxHashSet<TargetAddr>,
}

/// Live goroutines that have waited for longer than the threshold, grouped by place. Left out are
/// those that are merely idle, and those that wait behind what is `told` of.
pub(super) fn stuck(
    scene: &SnapshotIndex<'_>,
    verdicts: &Verdicts,
    told: &Reported,
    patience: Patience,
) -> Vec<Finding> {
    let mut chains = Chains {
        scene,
        told: &told.holders,
        known: FxHashMap::default(),
    };
    let waits = scene.snapshot.goroutines.iter().filter(|g| {
        !g.system
            && g.status.is_parked()
            && g.wait_reason.is_some_and(can_be_stuck)
            && !g
                .waits_on
                .iter()
                .any(|wait| is_timed(&scene.snapshot.objects, *wait))
            && !g
                .waits_on
                .iter()
                .any(|wait| told.locks.contains(&wait.object.addr))
            && lasts(scene, g, patience)
            && !told.holders.contains(&g.goid)
            && !is_idle(scene, g)
            && verdicts.fate(g.goid).is_none()
    });
    let alone: Vec<&Goroutine> = waits.filter(|g| !chains.is_told(g)).collect();
    let groups = by_site(scene, alone.into_iter());
    groups.iter().map(|members| tell(scene, members)).collect()
}

/// Whether a wait for this reason ends by what other goroutines do: time, I/O and the runtime's own business
/// end by themselves, and what never ends is told elsewhere.
const fn can_be_stuck(reason: WaitReason) -> bool {
    matches!(
        reason.kind(),
        WaitKind::Channel | WaitKind::Semaphore | WaitKind::Cond
    )
}

/// Whether `g` has waited for long; or, as long as anybody looked on, for a lock that none has who
/// goes on by himself, or for a timer that does not run.
fn lasts(scene: &SnapshotIndex<'_>, g: &Goroutine, patience: Patience) -> bool {
    let age = scene.age(g);
    patience.is_long(age)
        || patience.is_stalled(age)
            && (waits_for_stopped_timer(scene, g)
                || g.wait_reason.is_some_and(is_lock) && !ends_by_itself(scene, g))
}

/// Whether somebody may hold what `g` waits for who goes on by himself, or who was not seen.
fn ends_by_itself(scene: &SnapshotIndex<'_>, g: &Goroutine) -> bool {
    g.waits_on.iter().any(|wait| {
        let holders = scene.holders.get(&wait.object.addr);
        let holders = holders.map_or(&[][..], |holders| &holders.candidates);
        let moves = |goid: Goid| {
            scene
                .goroutine(goid)
                .is_none_or(|g| moves_by_itself(scene, g))
        };
        holders.is_empty() || holders.iter().any(|(goid, _)| moves(*goid))
    })
}

/// Waits for locks.
const fn is_lock(reason: WaitReason) -> bool {
    matches!(
        reason,
        WaitReason::MutexLock | WaitReason::RwMutexRLock | WaitReason::RwMutexLock
    )
}

/// Longest chain of holders that is followed.
const MAX_CHAIN: usize = 256;

/// Who waits behind whom, followed from holder to holder.
struct Chains<'a> {
    scene: &'a SnapshotIndex<'a>,
    told: &'a FxHashSet<Goid>,
    known: FxHashMap<TargetAddr, bool>,
}

impl Chains<'_> {
    fn is_told(&mut self, g: &Goroutine) -> bool {
        let mut passed = Vec::new();
        let mut answer = false;
        let mut next = g.waits_on.first().copied();
        while let Some(wait) = next
            && passed.len() < MAX_CHAIN
        {
            let object = wait.object.addr;
            if let Some(&known) = self.known.get(&object) {
                answer = known;
                break;
            }
            if passed.contains(&object) {
                break;
            }
            passed.push(object);
            let Some(holder) = self.holder(wait) else {
                break;
            };
            if self.told.contains(&holder) {
                answer = true;
                break;
            }
            let holder = self.scene.goroutine(holder);
            next = holder.and_then(|g| g.waits_on.first().copied());
        }
        self.known
            .extend(passed.into_iter().map(|object| (object, answer)));
        answer
    }

    fn holder(&self, wait: WaitOn) -> Option<Goid> {
        let holders = self.scene.holders.get(&wait.object.addr)?;
        let set = match wait.operation {
            Operation::DrainReaders => &holders.readers,
            _ => &holders.exclusive,
        };
        set.holders.first().copied()
    }
}

/// That nobody was seen who would end `g`'s wait for a channel.
fn nobody_seen(g: &Goroutine) -> Option<String> {
    let [wait] = g.waits_on[..] else { return None };
    let acts = match wait.operation {
        Operation::Receive => "send on it or close it",
        Operation::Send => "receive from it",
        _ => return None,
    };
    Some(format!("Nobody was seen who would {acts}."))
}

fn tell(scene: &SnapshotIndex<'_>, members: &Members<'_>) -> Finding {
    let id = members.identity(scene, FindingKind::StuckWait).id();
    let oldest = members.oldest_ns();
    let age = oldest.map_or(0, |ns| scene.snapshot.taken_ns.saturating_sub(ns));
    let reason = members.example().and_then(|g| g.wait_reason);
    let reason = reason.map_or("wait", WaitReason::as_str);
    let who = match (members.count(), members.example()) {
        (1, Some(g)) => format!("{} has been in {reason} for", SnapshotIndex::name(g.goid)),
        (n, _) => format!("{} have been in {reason} for up to", count(n, "goroutine")),
    };
    let undated = since_unknown(scene, &members.goroutines);
    let at_least = undated.as_ref().map_or("", |_| " at least");
    let timer = members.example();
    let timer = timer.is_some_and(|g| waits_for_stopped_timer(scene, g));
    let what = if timer {
        ", for a timer that does not run"
    } else {
        ""
    };
    let mut story = Vec::new();
    let mut doubts = vec!["somebody alive may still wake them".to_owned()];
    if let Some(example) = members.example() {
        story.push(scene.sentence(example.goid));
        story.extend(undated);
        if timer {
            story.push(why_stopped(scene, example).to_owned());
        }
        match partners(scene, example) {
            partners if partners.is_empty() && !timer => story.extend(nobody_seen(example)),
            partners => story.extend(partners),
        }
        for wait in &example.waits_on {
            let Some(holders) = scene.holders.get(&wait.object.addr) else {
                continue;
            };
            if holders.candidates.is_empty() {
                let done = match wait.operation {
                    Operation::Wait => "calls Done on",
                    _ => "unlocks",
                };
                story.push(format!(
                    "No goroutine was seen that {done} {} later.",
                    scene.object(wait.object.addr)
                ));
            }
            for (holder, _) in holders.candidates.iter().take(3) {
                story.extend(scene.holds(*holder, wait.object.addr, Some(example), "it"));
                story.push(scene.sentence(*holder));
            }
            doubts.extend(holders.doubts.iter().cloned());
        }
    }
    doubts.dedup();
    Finding {
        count: members.count(),
        objects: members.objects(),
        summary: format!("{who}{at_least} {}{what}{}", duration(age), members.place()),
        story,
        doubts,
        since_ns: oldest,
        group: members.group(),
        ..Finding::new(FindingKind::StuckWait, id).of(members.goids())
    }
}
