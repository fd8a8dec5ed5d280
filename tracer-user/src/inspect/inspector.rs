//! One inspection of one process, from its pid to findings: the only place where the rooms are put
//! together. `inspect`, `watch`, the daemon and the terminal view all look through it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rustc_hash::{FxHashMap, FxHashSet};
use tracing::debug;

use super::{
    history::History,
    lingering::{self, lingers},
    unseen,
};
use crate::finding::{
    Diagnosis, Evidence, HeapWalker, Options,
    diagnose::{REACH, diagnose_followed},
    index::MAIN,
    phrase::count,
};
use holders::{Analyzer, Locks, TIMERS, holders};
use ids::{Goid, Pid};
use image::{Image, ImageError};
use memory::{CoreError, ReadError};
use process::{CpuLimit, FileIdentity, ImageCache, Process, ProcessError, Untraceable, cpu_limit};
use reach::{Prover, freeze::FreezeError};
use resources::cancellation::{Cancellation, Cut, Work, sleep};
use sampling::SamplingLimits;
use snapshot::{
    Incomplete, ObjectKind, SamplingOutcome, Snapshot, SnapshotError, Target, sample_running, take,
    wants_samples,
};

/// How long the target goes on between the inspection that suspects and the one that proves.
const BETWEEN_LOOKS: Duration = Duration::from_millis(30);
/// Most images whose analysis is remembered; all are forgotten when it is full.
const ANALYZERS_LIMIT: usize = 256;
/// Up to so many goroutines all are analysed; of more only if somebody waits for a lock, else one of
/// each stack, because channels alone are explained, but never proven, by what their partners would
/// do.
const ANALYSED_ALWAYS: usize = 2_000;

/// Why there is no inspection.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The process cannot be traced.
    #[error(transparent)]
    Untraceable(#[from] Untraceable),
    /// The core file could not be used.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// Its runtime could not be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// It was cut short.
    #[error("{0}")]
    Cut(Cut),
    /// What it read did not come.
    #[error("its memory or its executable does not answer: whatever serves it is silent")]
    Silent,
    /// It panicked.
    #[error("the inspection failed: a fault in gostuck, please report it")]
    Broken,
    /// It could not be held still.
    #[error(transparent)]
    Held(#[from] FreezeError),
}

impl InspectError {
    /// Whether the process is no longer there.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Untraceable(Untraceable::Process(error)) => {
                matches!(
                    **error,
                    ProcessError::Gone(_) | ProcessError::Zombie(_) | ProcessError::Replaced(_)
                )
            }
            Self::Snapshot(SnapshotError::Memory(ReadError::Gone)) | Self::Cut(Cut::Ended) => true,
            Self::Untraceable(_)
            | Self::Core(_)
            | Self::Snapshot(_)
            | Self::Held(_)
            | Self::Silent
            | Self::Broken
            | Self::Cut(Cut::Unwanted | Cut::Late | Cut::Full) => false,
        }
    }

    /// Whether it failed for want of a file descriptor of ours.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        matches!(self, Self::Untraceable(error) if error.is_shortage())
    }
}

impl From<ImageError> for InspectError {
    fn from(error: ImageError) -> Self {
        Self::Untraceable(Untraceable::Image {
            error: Arc::new(error),
        })
    }
}

impl From<ProcessError> for InspectError {
    fn from(error: ProcessError) -> Self {
        Self::Untraceable(error.into())
    }
}

/// A process, and what one inspection said of it.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// The process.
    pub process: Process,
    /// What it executes.
    pub image: Arc<Image>,
    /// CPUs that its cgroups allow.
    pub cpu_limit: Option<CpuLimit>,
    /// What was looked at.
    pub origin: Origin,
    /// What was found.
    pub diagnosis: Diagnosis,
}

/// What an inspection was directed at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A process that runs.
    Live,
    /// What a process left: a core file or a recording.
    Left {
        /// The file.
        file: PathBuf,
        /// When the process was as the file has it; of a core file, when that was written.
        taken: SystemTime,
    },
}

/// Looks at processes. What it learns of an image serves all processes that run it; many threads
/// may look through one.
#[derive(Debug, Default)]
pub struct Inspector {
    options: Options,
    cancellation: Cancellation,
    images: ImageCache,
    analyzers: Mutex<FxHashMap<FileIdentity, Arc<Analyzer>>>,
}

impl Inspector {
    /// One that knows no image yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            images: ImageCache::new(options.images.clone()),
            options,
            ..Self::default()
        }
    }

    /// The same, whose inspections end when `cancellation` says so.
    #[must_use]
    pub fn until(mut self, cancellation: Cancellation) -> Self {
        self.cancellation = cancellation;
        self
    }

    /// Whether no more inspections are wanted.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.cancellation.is_requested()
    }

    /// Does `work`, which ends when no more inspections are wanted, and when the process `pid` ends. Nothing
    /// is said of what was seen by then: it is a part only.
    ///
    /// # Errors
    /// Those of `work`, or [`InspectError::Cut`].
    pub(super) fn whole<T>(
        &self,
        pid: Option<Pid>,
        work: impl FnOnce(&Work) -> Result<T, InspectError>,
    ) -> Result<T, InspectError> {
        let cutting = self.cancellation.begin(pid);
        let done = work(&cutting);
        uncut(&cutting)?;
        done
    }

    /// Looks at the process that has `pid` now; twice when the first inspection suspects what a second
    /// can prove, and then with a walk of its heap where that may tell more. Where somebody waits for
    /// a lock, and nobody knows since when, it looks on for up to two seconds.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn look(&self, pid: Pid) -> Result<Inspection, InspectError> {
        self.reinspect(pid, &mut History::of_single_look())
    }

    /// As [`Inspector::look`], for a process looked at before: waits are dated by what the `past`
    /// saw, and the heap is walked now and then only.
    ///
    /// # Errors
    /// [`InspectError`].
    pub fn reinspect(&self, pid: Pid, past: &mut History) -> Result<Inspection, InspectError> {
        self.whole(Some(pid), |work| self.look_live(pid, past, work))
    }

    fn look_live(
        &self,
        pid: Pid,
        past: &mut History,
        work: &Work,
    ) -> Result<Inspection, InspectError> {
        let process = Process::open(pid)?;
        past.begin(process.key);
        let image = self.images.image_of(&process)?;
        let mut target = Target::live(&process, Arc::clone(&image))?;
        target.max_goroutines = self.options.budget.looked_at;
        past.begin_with_glance(&target);
        let analyzer = self.analyzer(process.exe.file, &image);
        let cpu_limit = cpu_limit(&process);
        let read =
            |past: &mut History, first: Option<&Snapshot>| -> Result<Evidence, InspectError> {
                let mut snapshot = take_with_samples(&target)?;
                // What was read belongs to this process only if it is still there.
                process.check_same()?;
                past.date(&mut snapshot);
                if let Some(first) = first {
                    lingering::date(&mut snapshot, first);
                }
                let watched = first.map(|first| snapshot.taken_ns.saturating_sub(first.taken_ns));
                let locks = locks(&analyzer, &target, &snapshot);
                uncut(work)?;
                snapshot.incomplete.extend(unfollowed(&locks));
                Ok(Evidence {
                    process: process.key,
                    cpu_limit,
                    holders: holders(&snapshot, &locks),
                    main_rests: main_rests(&analyzer, &snapshot),
                    snapshot: Arc::new(snapshot),
                    pending: locks.pending,
                    one_moment: false,
                    watched: watched.map(Duration::from_nanos),
                })
            };
        let judge = |past: &mut History,
                     evidence: Evidence,
                     walker: Option<&mut dyn HeapWalker>,
                     earlier: Option<&Diagnosis>| {
            let (symbols, options) = (&*image, &self.options);
            diagnose_followed(
                evidence,
                walker,
                earlier,
                symbols,
                options,
                &mut past.graphs,
            )
        };
        let evidence = read(past, None)?;
        let mut diagnosis = judge(past, evidence, None, None);
        // Whoever looks once gets no other answer; the next inspection comes by itself elsewhere.
        let once = past.is_of_single_look();
        if once && diagnosis.doubts_for_the_unseen() {
            let evidence = unseen::of_all(|| read(past, None))?;
            diagnosis = judge(past, evidence, None, None);
        }
        let walk = self
            .options
            .reach
            .filter(|_| diagnosis.wants_walk() && past.wants_walk(&diagnosis.snapshot));
        let too_many = self.too_many_to_walk(&diagnosis);
        let walk = walk.filter(|_| too_many.is_none());
        let mut not_held = None;
        if let Some(limit) = self.options.hold.filter(|_| walk.is_some()) {
            match self.look_held(&process, &image, limit) {
                Ok((look, _)) => return Ok(look),
                Err(InspectError::Held(error)) => not_held = Some(error),
                Err(error) => return Err(error),
            }
        }
        let snapshot = Arc::clone(&diagnosis.snapshot);
        let mut prover = walk.map(|options| Prover::new(&target, snapshot, options));
        let confirm = diagnosis.wants_confirmation();
        let by_glance = |prover| walk_adds_nothing(prover, &diagnosis);
        if !confirm && prover.as_mut().is_some_and(by_glance) {
            diagnosis.reach_walked = true;
        } else if walk.is_some() || confirm {
            sleep(BETWEEN_LOOKS);
            let evidence = match once && diagnosis.suspects_cycle_of_locks() {
                true => unseen::of_all(|| read(past, None))?,
                false => read(past, None)?,
            };
            if let Some(prover) = &mut prover {
                prover.go_on_with(Arc::clone(&evidence.snapshot));
            }
            let walker = prover.as_mut().map(|prover| prover as &mut dyn HeapWalker);
            diagnosis = judge(past, evidence, walker, Some(&diagnosis));
        }
        diagnosis.incomplete.extend(too_many);
        past.end(&mut diagnosis);
        if once && lingers(&diagnosis, &target) {
            let evidence = read(past, Some(&diagnosis.snapshot))?;
            let reach_walked = diagnosis.reach_walked;
            diagnosis = judge(past, evidence, None, Some(&diagnosis));
            past.end(&mut diagnosis);
            diagnosis.reach_walked |= reach_walked;
        }
        diagnosis
            .incomplete
            .extend(not_held.map(|error| Incomplete {
                what: "a look at the process held still".to_owned(),
                why: error.to_string(),
            }));
        Ok(Inspection {
            process,
            image,
            cpu_limit,
            origin: Origin::Live,
            diagnosis,
        })
    }

    /// What `diagnosis` lacks because there are more goroutines than a walk has memory for.
    fn too_many_to_walk(&self, diagnosis: &Diagnosis) -> Option<Incomplete> {
        let count = diagnosis.snapshot.goroutines.len();
        let most = self.options.budget.walked;
        let wants = self.options.reach.is_some() && diagnosis.wants_walk();
        (wants && count as u64 > most).then(|| Incomplete {
            what: REACH.to_owned(),
            why: format!(
                "the memory limit allows a walk for {most} goroutines, and there are {count}"
            ),
        })
    }

    /// Whether there is memory for a walk after an inspection that said `diagnosis`.
    #[must_use]
    pub fn has_memory_to_walk(&self, diagnosis: &Diagnosis) -> bool {
        self.too_many_to_walk(diagnosis).is_none()
    }

    /// Whether it may walk heaps.
    #[must_use]
    pub const fn walks_heaps(&self) -> bool {
        self.options.reach.is_some()
    }

    /// What it was told to look for.
    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// The image of `process`, from the same cache. Reading it ends when no more inspections are wanted, and
    /// when the process does.
    ///
    /// # Errors
    /// [`Untraceable`].
    pub fn image_of(&self, process: &Process) -> Result<Arc<Image>, Untraceable> {
        let _cutting = self.cancellation.begin(Some(process.pid()));
        self.images.image_of(process)
    }

    pub(super) fn analyzer(&self, file: FileIdentity, image: &Arc<Image>) -> Arc<Analyzer> {
        let mut analyzers = self
            .analyzers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if analyzers.len() >= ANALYZERS_LIMIT && !analyzers.contains_key(&file) {
            analyzers.clear();
        }
        let analyzer = analyzers
            .entry(file)
            .or_insert_with(|| Arc::new(Analyzer::new(Arc::clone(image))));
        Arc::clone(analyzer)
    }
}

/// Nothing, unless some part of `work` was cut short.
fn uncut(work: &Work) -> Result<(), InspectError> {
    work.cut().map_or(Ok(()), |cut| Err(InspectError::Cut(cut)))
}

/// Whether a glance at the heap shows that everybody who is not dead without it lives. That needs
/// no second inspection: only who is called dead must be so for certain.
fn walk_adds_nothing(prover: &mut Prover<'_>, diagnosis: &Diagnosis) -> bool {
    let known = diagnosis.verdicts.dead.iter().map(|(goid, _)| *goid);
    let known: FxHashSet<Goid> = known.collect();
    let verdicts = prover.glance(&diagnosis.nodes);
    verdicts.is_ok_and(|found| found.dead.iter().all(|(goid, _)| known.contains(goid)))
}

/// Whether main waits for a channel that it made itself, as by `select {}`.
pub(super) fn main_rests(analyzer: &Analyzer, snapshot: &Snapshot) -> bool {
    let main = snapshot.goroutines.iter().find(|g| g.goid == MAIN);
    main.is_some_and(|main| analyzer.rests(main))
}

/// Reads the runtime state of `target`; with samples of the goroutines that run, where somebody waits
/// for what one of them may hold.
fn take_with_samples(target: &Target) -> Result<Snapshot, SnapshotError> {
    let snapshot = take(target)?;
    if !waits_for_lock(&snapshot) || !wants_samples(&snapshot) {
        return Ok(snapshot);
    }
    let samples = sample_running(target, &snapshot, &SamplingLimits::default());
    // Nobody's sample may be later than what it is held against.
    let mut snapshot = if samples.is_empty() {
        snapshot
    } else {
        take(target)?
    };
    samples.join(&mut snapshot);
    let SamplingOutcome { sampled, unseen } = &snapshot.sampling;
    let example = unseen.first();
    debug!(
        pid = %target.pid,
        seen = sampled.len(),
        unseen = unseen.len(),
        why = example.map(|(goid, why)| format!("goroutine {goid}: {why}")),
        "sampled running goroutines"
    );
    Ok(snapshot)
}

/// Whether somebody waits for what is released by whoever has it, not by whoever reaches it.
fn waits_for_lock(snapshot: &Snapshot) -> bool {
    snapshot.objects.values().any(|object| {
        let is_lock = matches!(
            object.id.kind,
            ObjectKind::Mutex | ObjectKind::RwMutex | ObjectKind::WaitGroup
        );
        is_lock && !object.waiters.is_empty()
    })
}

/// What is missing where the code of some goroutines was not followed.
pub(super) fn unfollowed(locks: &Locks) -> Option<Incomplete> {
    let number = locks.unfollowed.len();
    (number > 0).then(|| Incomplete {
        what: "holders".to_owned(),
        why: format!(
            "what {} will do was too much to follow in one inspection; others are followed in the next",
            count(number as u64, "goroutine")
        ),
    })
}

/// What the goroutines have taken and will release.
pub(super) fn locks(analyzer: &Analyzer, target: &Target, snapshot: &Snapshot) -> Locks {
    let locked = waits_for_lock(snapshot);
    let each = locked || snapshot.goroutines.len() <= ANALYSED_ALWAYS;
    let mut stacks = FxHashSet::default();
    let goroutines = snapshot
        .goroutines
        .iter()
        .filter(|goroutine| each || stacks.insert(Arc::as_ptr(&goroutine.stack)));
    if !locked {
        return Locks {
            pending: analyzer.pending(target, goroutines),
            ..Locks::default()
        };
    }
    let mut locks = analyzer.locks(target, snapshot, goroutines);
    locks.pending.insert(TIMERS, analyzer.of_timers(target));
    locks
}
