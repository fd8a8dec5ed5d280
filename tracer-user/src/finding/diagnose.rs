//! From what was read of a process to findings.

use std::{cell::LazyCell, sync::Arc, time::Duration};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    abandoned::{abandoned, locks},
    budget::MemoryBudget,
    coroutine::resumers,
    deadlock,
    detector::{Detector, detector},
    evidence_level::Proof,
    forever::forever,
    gomaxprocs,
    graphs::{GraphCache, Graphs},
    index::SnapshotIndex,
    model::{Finding, FindingId, FindingKind, Verdict},
    patience::Patience,
    queue::{queue, queued},
    root_blocker::root_blockers,
    site::Symbols,
    stuck::{Reported, stuck},
    unreachable,
    walk::HeapWalker,
    whole_process::whole_process,
};
use graph::{Cause, Disposition, GoroutineNode, Requirement, Verdicts};
use holders::{LockHolders, PendingRelease};
use ids::{Goid, TargetAddr};
use process::{CpuLimit, ImageLimits, ProcessKey};
use snapshot::{Goroutine, Incomplete, Snapshot};

/// What is incomplete when the heap could not be walked.
pub(crate) const REACH: &str = "what live goroutines can reach";

/// What was read of a process in one inspection.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// Which process.
    pub process: ProcessKey,
    /// How much CPU its cgroups let it use.
    pub cpu_limit: Option<CpuLimit>,
    /// Its runtime state.
    pub snapshot: Arc<Snapshot>,
    /// Who holds each lock that somebody waits for.
    pub holders: FxHashMap<TargetAddr, LockHolders>,
    /// What blocked goroutines will do later.
    pub pending: FxHashMap<Goid, Vec<PendingRelease>>,
    /// Whether main keeps the program running by waiting for what it has made for that purpose.
    pub main_rests: bool,
    /// Whether all of it is of one moment: the process had stopped for ever.
    pub one_moment: bool,
    /// For how long it was watched whether waits for locks end that nobody saw begin; `None`: it was
    /// not.
    pub watched: Option<Duration>,
}

/// What counts as long, and what may be done to find out.
#[derive(Debug, Clone)]
pub struct Options {
    /// From when on a wait is suspected.
    pub stuck_after: Duration,
    /// How the heap is walked to find what live goroutines can reach; `None`: not at all.
    pub reach: Option<reach::Options>,
    /// Hold the process still, for so long at most, and look at a copy of it, where a walk of its
    /// heap may tell more.
    pub hold: Option<Duration>,
    /// How many goroutines are taken in.
    pub budget: MemoryBudget,
    /// How much of executables is read and kept.
    pub images: ImageLimits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            stuck_after: Duration::from_secs(30),
            reach: Some(reach::Options::default()),
            hold: None,
            budget: MemoryBudget::default(),
            images: ImageLimits::default(),
        }
    }
}

impl Evidence {
    /// When it was first looked at, where it was watched.
    fn first_look_ns(&self) -> Option<u64> {
        let watched = u64::try_from(self.watched?.as_nanos()).ok()?;
        self.snapshot.taken_ns.checked_sub(watched)
    }

    /// What counts as long in it.
    fn patience(&self, options: &Options) -> Patience {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Patience {
            long_ns: ns(options.stuck_after),
            stalled_ns: self.watched.map(ns),
        }
    }
}

/// One inspection of one process, judged.
#[derive(Debug, Clone)]
pub struct Diagnosis {
    /// Which process.
    pub process: ProcessKey,
    /// Its runtime state.
    pub snapshot: Arc<Snapshot>,
    /// Who holds each lock that somebody waits for.
    pub holders: FxHashMap<TargetAddr, LockHolders>,
    /// What blocked goroutines will do later.
    pub pending: FxHashMap<Goid, Vec<PendingRelease>>,
    /// What each user goroutine needs before it runs again.
    pub nodes: Vec<GoroutineNode>,
    /// Who can never run again.
    pub verdicts: Verdicts,
    /// Everything worth telling, the most important first.
    pub findings: Vec<Finding>,
    /// Go's own detector; `None` when the scheduler could not be read.
    pub detector: Option<Detector>,
    /// What could not be read, and why.
    pub incomplete: Vec<Incomplete>,
    /// Whether the heap was walked to learn what live goroutines can reach.
    pub reach_walked: bool,
}

impl Diagnosis {
    /// Whether a second inspection could turn suspicions of this one into proof.
    #[must_use]
    pub fn wants_confirmation(&self) -> bool {
        let by_graph = |finding: &Finding| {
            finding.verdict == Verdict::Suspected
                && matches!(
                    finding.kind,
                    FindingKind::LockCycle
                        | FindingKind::SelfDeadlock
                        | FindingKind::WholeProcessDeadlock
                        | FindingKind::Unreachable
                        | FindingKind::Queued
                        | FindingKind::NilChannel
                        | FindingKind::SelectForever
                        | FindingKind::RootBlocker
                        | FindingKind::AbandonedLock
                )
        };
        self.findings.iter().any(by_graph)
    }

    /// Whether a heap walk could tell more: somebody waits for what only those can do who reach
    /// its object.
    #[must_use]
    pub fn wants_walk(&self) -> bool {
        self.nodes.iter().any(|node| match &node.disposition {
            Disposition::Blocked(Requirement::Signal { .. }) => true,
            Disposition::Blocked(Requirement::Release { holders, .. }) => !holders.is_closed(),
            Disposition::Blocked(Requirement::Never) | Disposition::Live => false,
        })
    }
}

/// Judges one inspection. With `earlier`, an inspection made before this one, what both agree on is proven;
/// without it everything is suspected, unless the evidence is of one moment. With `walker`, also
/// goroutines whose channels, WaitGroups and the like no live goroutine can reach are found; it
/// answers for its own agreement over several walks.
#[must_use]
pub fn diagnose(
    evidence: Evidence,
    walker: Option<&mut dyn HeapWalker>,
    earlier: Option<&Diagnosis>,
    symbols: &dyn Symbols,
    options: &Options,
) -> Diagnosis {
    let graphs = &mut GraphCache::default();
    diagnose_followed(evidence, walker, earlier, symbols, options, graphs)
}

/// As [`diagnose`], of a process whose wait graphs are kept from look to look in `followed`.
pub(crate) fn diagnose_followed(
    evidence: Evidence,
    mut walker: Option<&mut dyn HeapWalker>,
    earlier: Option<&Diagnosis>,
    symbols: &dyn Symbols,
    options: &Options,
    followed: &mut GraphCache,
) -> Diagnosis {
    let resumers = resumers(&evidence.snapshot, symbols);
    let walk = walker.as_deref_mut();
    let graphs = Graphs::solve(&evidence, walk, earlier, followed, &resumers);
    let detector = detector(&evidence.snapshot);
    let (mut findings, leaks) = Teller {
        scene: SnapshotIndex::new(
            evidence.process,
            &evidence.snapshot,
            &evidence.holders,
            &evidence.pending,
            evidence.main_rests,
            (symbols, &resumers),
        )
        .first_looked_at(evidence.first_look_ns()),
        graphs: &graphs,
        earlier,
        proof: match earlier {
            Some(_) => Proof::TwoLooks,
            None if evidence.one_moment => Proof::OneMoment,
            None => Proof::OneLook,
        },
        detector: detector.as_ref(),
        patience: evidence.patience(options),
    }
    .findings(evidence.cpu_limit);
    if let Some(walker) = walker {
        unreachable::weigh(&mut findings, &leaks, walker);
    }
    let mut incomplete = evidence.snapshot.incomplete.clone();
    incomplete.extend(graphs.walk_failed.map(|why| Incomplete {
        what: REACH.to_owned(),
        why,
    }));
    Diagnosis {
        process: evidence.process,
        incomplete,
        snapshot: evidence.snapshot,
        holders: evidence.holders,
        pending: evidence.pending,
        nodes: graphs.nodes,
        verdicts: graphs.certain,
        findings,
        detector,
        reach_walked: graphs.walked,
    }
}

/// Tells of everything in turn, and of nothing twice.
struct Teller<'a> {
    scene: SnapshotIndex<'a>,
    graphs: &'a Graphs,
    earlier: Option<&'a Diagnosis>,
    proof: Proof,
    detector: Option<&'a Detector>,
    patience: Patience,
}

impl Teller<'_> {
    /// Everything there is to tell, and all goroutines of each group that waits for ever.
    fn findings(&self, cpu_limit: Option<CpuLimit>) -> (Vec<Finding>, unreachable::Leaks) {
        let (mut findings, leaks) = self.deadlocks();
        let (suspected, behind) = self.suspected_cycles();
        let members = suspected.iter().flat_map(|f| f.concerned().iter().copied());
        let members: FxHashSet<Goid> = members.chain(behind).collect();
        findings.extend(suspected);
        let is_told = |goid| self.graphs.certain.fate(goid).is_some() || members.contains(&goid);
        let roots = self.graphs.current.root_blockers.iter();
        let roots = root_blockers(
            &self.scene,
            roots.filter(|root| !is_told(root.goid)),
            self.earlier.map(|earlier| &*earlier.snapshot),
            self.patience,
        );
        let told = roots.iter().flat_map(|f| f.edges.iter().map(|e| e.to));
        let told: FxHashSet<Goid> = told.chain(members).collect();
        findings.extend(roots);
        let abandoned = abandoned(
            &self.scene,
            &self.graphs.certain,
            self.earlier.map(|earlier| &*earlier.snapshot),
            self.patience,
        );
        findings.extend(stuck(
            &self.scene,
            &self.graphs.certain,
            &Reported {
                holders: told,
                locks: locks(&abandoned),
            },
            self.patience,
        ));
        findings.extend(abandoned);
        findings.extend(gomaxprocs::gomaxprocs(
            self.scene.process,
            self.scene.snapshot,
            cpu_limit,
        ));
        findings.extend(gomaxprocs::threads(
            self.scene.process,
            self.scene.snapshot,
            self.scene.symbols,
        ));
        sort(&mut findings);
        (findings, leaks)
    }

    /// Whatever is dead for certain.
    fn deadlocks(&self) -> (Vec<Finding>, unreachable::Leaks) {
        let mut leaks = unreachable::Leaks::default();
        let (scene, verdicts, proof) = (&self.scene, &self.graphs.certain, self.proof);
        let mut causes: FxHashMap<Cause, (FindingId, String)> = FxHashMap::default();
        let mut findings = Vec::new();
        for (index, cycle) in deadlock::cycles(scene, verdicts, proof)
            .into_iter()
            .enumerate()
        {
            causes.insert(Cause::Cycle(index), (cycle.id, cycle.summary.clone()));
            findings.push(cycle);
        }
        for (finding, goids) in forever(scene, verdicts, self.graphs.walked, proof) {
            let told = (finding.id, finding.summary.clone());
            causes.extend(goids.iter().map(|g| (Cause::Goroutine(*g), told.clone())));
            leaks.insert(finding.id, goids);
            findings.push(finding);
        }
        let queued = queued(scene, verdicts, &causes, proof);
        let mut behind: FxHashMap<FindingId, Vec<&Goroutine>> = FxHashMap::default();
        for (goid, fate) in &verdicts.dead {
            if let graph::Fate::Queued { cause, .. } = fate
                && let Some((id, _)) = causes.get(cause)
                && let Some(g) = scene.goroutine(*goid)
            {
                behind.entry(*id).or_default().push(g);
            }
        }
        for finding in &mut findings {
            let behind = behind.remove(&finding.id).unwrap_or_default();
            if finding.waiting_behind == 0 {
                finding.waiting_behind = behind.len() as u64;
                let whom = if finding.count == 1 { "it" } else { "them" };
                finding
                    .story
                    .extend(queue(scene, &behind, &finding.objects, whom));
            }
        }
        findings.extend(queued);
        findings.extend(whole_process(scene, verdicts, proof));
        if let Some((verdicts, why)) = &self.graphs.unsettled {
            findings.extend(unreachable::suspected(scene, verdicts, why));
        }
        if let Some(silence) = self.silence() {
            for finding in &mut findings {
                finding.story.push(silence.clone());
            }
        }
        (findings, leaks)
    }

    /// Cycles that exist only if nobody acts but those who were seen to, and who is queued behind them.
    /// In a second inspection, only those that were there in the first.
    fn suspected_cycles(&self) -> (Vec<Finding>, Vec<Goid>) {
        let verdicts = &self.graphs.supposed;
        let told = deadlock::cycles(&self.scene, verdicts, Proof::SeenActors);
        let nobody_ran = LazyCell::new(|| deadlock::nobody_ran(self.scene.snapshot));
        let cycles = told.into_iter().zip(verdicts.cycles.iter().enumerate());
        let told = cycles.filter(|(_, (_, cycle))| {
            let members = cycle.members.iter();
            let certain = |goid: &Goid| self.graphs.certain.fate(*goid).is_some();
            !members.clone().all(certain)
                && (deadlock::holds_a_lock(self.scene.snapshot, cycle)
                    || deadlock::only_senders(&self.scene, cycle) && *nobody_ran)
                && self.lasts(cycle)
        });
        let (findings, indices): (Vec<_>, Vec<_>) =
            told.map(|(finding, (index, _))| (finding, index)).unzip();
        let behind = indices
            .into_iter()
            .flat_map(|index| verdicts.queued_behind(Cause::Cycle(index)));
        (findings, behind.collect())
    }

    fn lasts(&self, cycle: &graph::Cycle) -> bool {
        self.earlier.is_none_or(|earlier| {
            cycle.members.iter().all(|goid| {
                self.scene
                    .goroutine(*goid)
                    .is_some_and(|g| super::confirm::unmoved(&earlier.snapshot, g))
            })
        })
    }

    fn silence(&self) -> Option<String> {
        let detector = self.detector.filter(|detector| !detector.fires)?;
        Some(format!("Go's own detector is silent: {}.", detector.reason))
    }
}

/// The most important first: proven before suspected, then by kind, then by how many are concerned.
/// A queue comes behind its cause, and counts as much.
fn sort(findings: &mut [Finding]) {
    let rank = |finding: &Finding| {
        (
            std::cmp::Reverse(finding.verdict),
            finding.kind,
            std::cmp::Reverse(finding.count + finding.waiting_behind),
            finding.id,
        )
    };
    let of_causes: FxHashMap<FindingId, _> = findings.iter().map(|f| (f.id, rank(f))).collect();
    findings.sort_by_cached_key(|finding| {
        let cause = finding.cause.and_then(|cause| of_causes.get(&cause));
        (
            cause.copied().unwrap_or_else(|| rank(finding)),
            finding.cause.is_some(),
        )
    });
}
