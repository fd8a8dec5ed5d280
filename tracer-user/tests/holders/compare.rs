//! Runs a program that says who holds what, and compares.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use rustc_hash::FxHashMap;
use testing::process;
use tracer_user::{
    holders::{Analyzer, LockHolders, Locks, PendingRelease, holders},
    ids::{Goid, Pid, TargetAddr},
    image::Image,
    process::Process,
    snapshot::{self, Goroutine, ObjectState, Operation, Snapshot, Target},
};

/// One line of the truth.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Fact {
    pub(crate) shape: String,
    pub(crate) goid: Goid,
    pub(crate) lock: TargetAddr,
    pub(crate) kind: String,
}

/// What came out.
#[derive(Debug, Default)]
pub(crate) struct Score {
    /// Facts found exactly.
    pub(crate) right: usize,
    /// Facts found, with others who may release the lock too.
    pub(crate) with_others: usize,
    /// Facts not found, or not for certain.
    pub(crate) missed: BTreeMap<String, Vec<String>>,
    /// Complete holder sets without the true holder: the worst mistake there is.
    pub(crate) wrong: Vec<String>,
}

/// Runs `program`, reads what it says, and compares that with what the analysis finds.
pub(crate) fn score(program: &Path) -> Score {
    let running = process::Process::run(program).expect("the program starts");
    let facts: Vec<Fact> = running
        .said()
        .iter()
        .filter_map(|line| fact(line))
        .collect();
    compare(running.pid(), &facts)
}

fn fact(line: &str) -> Option<Fact> {
    let mut words = line.strip_prefix("HOLDS ")?.split(' ');
    Some(Fact {
        shape: words.next()?.to_owned(),
        goid: Goid(words.next()?.parse().ok()?),
        lock: TargetAddr(u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?),
        kind: words.next()?.to_owned(),
    })
}

/// The process, its state, and an analyzer that knows nothing of it yet.
pub(crate) fn look_at(pid: u32) -> (Target, Snapshot, Analyzer) {
    let process = Process::open(Pid(pid)).expect("the process is there");
    let image = Image::open(Path::new(&format!("/proc/{pid}/exe"))).expect("a Go image");
    let image = Arc::new(image);
    let target = Target::live(&process, Arc::clone(&image)).expect("a target");
    let snapshot = snapshot::take(&target).expect("a snapshot");
    (target, snapshot, Analyzer::new(image))
}

fn compare(pid: u32, facts: &[Fact]) -> Score {
    let (target, snapshot, analyzer) = look_at(pid);
    let locks = analyzer.locks(&target, &snapshot, &snapshot.goroutines);
    same_one_by_one(&locks, &analyzer, &target, &snapshot);
    judge(&snapshot, &holders(&snapshot, &locks), facts)
}

/// What serves for several goroutines is what each of them comes to by itself, but for those for which there
/// was no time.
fn same_one_by_one(together: &Locks, analyzer: &Analyzer, target: &Target, snapshot: &Snapshot) {
    let alone = analyzer.pending_one_by_one(target, &snapshot.goroutines);
    let sorted = |releases: Option<&Vec<PendingRelease>>| {
        let mut releases = releases.cloned().unwrap_or_default();
        // A future alone does not say where that was taken.
        releases.iter_mut().for_each(|r| r.acquired = None);
        releases.sort_by_key(|r| (r.evidence.frame, r.evidence.site, r.object, r.kind));
        releases
    };
    let followed = |g: &&Goroutine| !together.unfollowed.contains(&g.goid);
    for g in snapshot.goroutines.iter().filter(followed) {
        let (one, other) = (together.pending.get(&g.goid), alone.get(&g.goid));
        assert_eq!(sorted(one), sorted(other), "{}", g.goid);
    }
}

fn judge(snapshot: &Snapshot, found: &FxHashMap<TargetAddr, LockHolders>, facts: &[Fact]) -> Score {
    let mut score = Score::default();
    for fact in facts {
        let known = found.get(&fact.lock);
        let set = known.map(|known| match fact.kind.as_str() {
            "read" => &known.readers,
            _ => &known.exclusive,
        });
        if set.is_some_and(|set| set.complete && set.holders == [fact.goid]) {
            score.right += 1;
        } else if set.is_some_and(|set| set.complete && set.holders.contains(&fact.goid)) {
            score.with_others += 1;
        } else {
            let missed = score.missed.entry(fact.shape.clone()).or_default();
            missed.push(format!("{fact:?}: {known:?}"));
        }
    }
    for (lock, known) in found {
        let truth = |read: bool| -> Vec<Goid> {
            let same = |f: &&Fact| f.lock == *lock && (f.kind == "read") == read;
            facts.iter().filter(same).map(|f| f.goid).collect()
        };
        for (read, set) in [(false, &known.exclusive), (true, &known.readers)] {
            let mut truth = truth(read);
            if !read {
                truth.extend(draining(snapshot, *lock));
            }
            let has_true_one = set.holders.iter().any(|holder| truth.contains(holder));
            if set.complete && !set.holders.is_empty() && !has_true_one {
                score
                    .wrong
                    .push(format!("{lock} read={read} {known:?}, in truth {truth:?}"));
            }
        }
    }
    score
}

/// The writer that waits for the readers of the RWMutex `lock` to leave: no program can print that
/// it holds the writer side while it does.
fn draining(snapshot: &Snapshot, lock: TargetAddr) -> Vec<Goid> {
    let is_rwmutex = snapshot
        .objects
        .get(&lock)
        .is_some_and(|o| matches!(o.state, Some(ObjectState::RwMutex { .. })));
    let drains = |g: &&Goroutine| {
        g.waits_on
            .iter()
            .any(|w| w.object.addr == lock && w.operation == Operation::DrainReaders)
    };
    let goroutines = snapshot.goroutines.iter().filter(drains);
    goroutines.filter(|_| is_rwmutex).map(|g| g.goid).collect()
}
