//! The processes that are watched: one, or all Go processes below a command.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::{
    cli::{
        Failure,
        changes::{Findings, Report},
        failure::from_look,
    },
    daemon::{
        heap_walk_worker::HeapWalkWorker, probe_manager::ProbeManager,
        process_findings::ProcessFindings,
    },
    finding::{Change, Finding, Growth, Verdict},
    inspect::{History, InspectError, Inspection, Inspector},
    timeline::Schedule,
};
use ids::Pid;
use probes::WaitHistogram;
use process::{GoCheck, GoProcesses, Owner, Process, ProcessKey, all_pids};
use resources::clock::monotonic_ns;

/// Longest chain of parents that is followed.
const GENERATIONS: usize = 64;
/// Most ended processes whose waits are told at the end.
const MOST_ENDED: usize = 1 << 10;
/// How often to see what the probes tell.
const TURN: Duration = Duration::from_millis(50);

/// The watched processes.
pub struct Targets {
    inspector: Arc<Inspector>,
    /// Walks heaps; `None` where that is not wanted.
    walker: Option<HeapWalkWorker<ProcessKey>>,
    /// The processes whose heap is being walked.
    walking: FxHashSet<ProcessKey>,
    root: Pid,
    /// Whether to watch the processes below `root`, too.
    tree: bool,
    growth_window: Duration,
    schedule: Schedule,
    due: Instant,
    scanner: GoProcesses,
    followed: BTreeMap<ProcessKey, ProcessFindings>,
    /// How long the waits of processes that have ended lasted.
    ended: Vec<(Pid, Vec<WaitHistogram>)>,
    /// The probes on them.
    probing: ProbeManager,
    /// What earlier inspections leave to later ones.
    pasts: BTreeMap<Pid, History>,
    over: bool,
}

impl Targets {
    /// Watches `root`, and with `tree` everything below it.
    pub fn new(
        inspector: Arc<Inspector>,
        walker: Option<HeapWalkWorker<ProcessKey>>,
        probing: ProbeManager,
        root: Pid,
        tree: bool,
        growth_window: Duration,
        interval: Duration,
    ) -> Self {
        Self {
            inspector,
            walker,
            walking: FxHashSet::default(),
            root,
            tree,
            growth_window,
            schedule: Schedule {
                interval,
                ..Schedule::default()
            },
            due: Instant::now(),
            scanner: GoProcesses::new(),
            followed: BTreeMap::new(),
            ended: Vec::new(),
            probing,
            pasts: BTreeMap::new(),
            over: false,
        }
    }

    /// One turn: looks at every process when that is due, else at those in which somebody waits for
    /// a lock; reports what is new, and returns the findings that appeared or changed.
    pub fn turn(&mut self, report: &mut Report) -> Result<Vec<Finding>, Failure> {
        let now = Instant::now();
        let started = self.take_news(report)?;
        let mut wanting = self.take_walks();
        if now < self.due && !(self.tree && started) {
            let now_ns = monotonic_ns();
            let schedule = self.schedule;
            let wants = |(pid, past): (&Pid, &mut History)| {
                past.state.needs_look(now_ns, &schedule).map(|_| *pid)
            };
            wanting.extend(self.pasts.iter_mut().filter_map(wants));
            return self.look(wanting, report);
        }
        self.due = now + self.schedule.interval;
        let pids = self.pids();
        self.pasts.retain(|pid, _| pids.contains(pid));
        self.look(pids, report)
    }

    /// The process that is watched alone has ended.
    pub fn root_ended(&mut self, report: &Report) -> io::Result<()> {
        self.take_news(report)?;
        report.gone(self.root)
    }

    /// How long nothing has to be done.
    pub fn rest(&self) -> Duration {
        let rest = self.due.saturating_duration_since(Instant::now());
        if self.probing.trouble().is_none() || !self.walking.is_empty() {
            rest.min(TURN)
        } else {
            rest
        }
    }

    /// Takes in what the probes tell, and reports what became of them. Whether processes started.
    fn take_news(&mut self, report: &Report) -> io::Result<bool> {
        let news = self.probing.news();
        for (pid, event) in news.events {
            if let Some(past) = self.pasts.get_mut(&pid) {
                past.state.apply(event);
            }
        }
        for (pid, parked) in news.parked {
            if let Some(past) = self.pasts.get_mut(&pid) {
                past.state.apply_parked(parked);
            }
        }
        for (pid, switch) in news.switches {
            report.switch(pid, switch)?;
        }
        if !news.exited.is_empty() {
            self.due = Instant::now();
        }
        let room = MOST_ENDED.saturating_sub(self.ended.len());
        let exited = news.exited.into_iter();
        self.ended.extend(exited.take(room));
        Ok(!news.started.is_empty())
    }

    /// Takes in the walks that have ended. The processes of which they tell something.
    fn take_walks(&mut self) -> BTreeSet<Pid> {
        let mut telling = BTreeSet::new();
        for done in self.walker.iter().flat_map(HeapWalkWorker::done) {
            let key = done.order;
            self.walking.remove(&key);
            let past = self.pasts.get_mut(&key.pid);
            if past.is_some_and(|past| past.take_walk(done.past)) {
                telling.insert(key.pid);
            }
        }
        telling
    }

    /// Has the heap walked after `look`, if that is due.
    fn walk_if_due(&mut self, look: &Inspection) {
        let key = look.process.key;
        let due = |past: &History| past.walk_is_due(&look.diagnosis);
        if let Some(walker) = &self.walker
            && self.pasts.get(&key.pid).is_some_and(due)
            && self.walking.insert(key)
        {
            let whose = (key.pid, Owner::of(&look.process));
            walker.begin(whose, key, History::for_walk(&look.diagnosis));
        }
    }

    /// Looks at some processes once.
    fn look(
        &mut self,
        pids: impl IntoIterator<Item = Pid>,
        report: &mut Report,
    ) -> Result<Vec<Finding>, Failure> {
        let mut news = Vec::new();
        for pid in pids {
            if self.inspector.is_over() {
                break;
            }
            let past = self
                .pasts
                .entry(pid)
                .or_insert_with(History::walked_elsewhere);
            if let Some(parked) = self.probing.parked(pid) {
                past.state.apply_parked(parked);
            }
            match self.inspector.reinspect(pid, past) {
                Ok(look) if self.is_another(look.process.key) => {
                    // The kernel has given its pid to somebody else.
                    report.gone(pid)?;
                    self.over = true;
                }
                Ok(mut look) => {
                    self.probing
                        .attach(pid, &look.process.exe_for_us(), &look.image);
                    self.walk_if_due(&look);
                    let growth_window = self.growth_window;
                    let followed = self
                        .followed
                        .entry(look.process.key)
                        .or_insert_with(|| ProcessFindings::new(Growth::over(growth_window)));
                    let changes = followed.take(&mut look);
                    report.changes(&look, &changes)?;
                    news.extend(changes.iter().filter_map(Change::standing).cloned());
                }
                Err(error) => self.failed(pid, error, report)?,
            }
        }
        Ok(news)
    }

    /// Whether `key` is not the process that was to be watched, but another with its pid.
    fn is_another(&self, key: ProcessKey) -> bool {
        let mut known = self.followed.keys();
        !self.tree && known.any(|old| old.pid == key.pid && *old != key)
    }

    /// How long the waits of all processes lasted, by reason.
    pub fn histograms(&self) -> Vec<(Pid, Vec<WaitHistogram>)> {
        let of = |key: &ProcessKey| (key.pid, self.probing.histograms(key.pid));
        let running = self.followed.keys().map(of);
        running.chain(self.ended.iter().cloned()).collect()
    }

    fn failed(
        &mut self,
        pid: Pid,
        error: InspectError,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let known = self.followed.keys().any(|key| key.pid == pid);
        if self.inspector.is_over() {
            // Cut short; the watch is over.
        } else if self.tree {
            // Below a command processes come and go, and some are too young to be read.
            tracing::debug!(%pid, %error, "cannot look");
        } else if !known {
            return Err(from_look(error));
        } else if error.is_gone() {
            report.gone(pid)?;
            self.over = true;
        } else {
            tracing::warn!(%pid, %error, "cannot look");
        }
        Ok(())
    }

    /// Whether there is nothing left to watch.
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// How many findings stand, by verdict.
    pub fn findings(&self) -> Findings {
        let of = |verdict| {
            let standing = self.followed.values().flat_map(ProcessFindings::standing);
            standing.filter(|f| f.verdict == verdict).count()
        };
        Findings {
            proven: of(Verdict::Proven),
            suspected: of(Verdict::Suspected),
        }
    }

    /// The processes to look at now.
    pub fn pids(&mut self) -> Vec<Pid> {
        if !self.tree {
            return vec![self.root];
        }
        let root = self.root;
        let mut parents = FxHashMap::default();
        let below: Vec<Pid> = all_pids()
            .into_iter()
            .filter(|pid| is_below(*pid, root, &mut parents))
            .collect();
        below
            .into_iter()
            .filter(|pid| {
                Process::open(*pid)
                    .and_then(|process| self.scanner.check(&process))
                    .is_ok_and(|check| check == GoCheck::Go)
            })
            .collect()
    }
}

/// Whether `pid` is `root` or a descendant of it.
fn is_below(pid: Pid, root: Pid, parents: &mut FxHashMap<Pid, Option<Pid>>) -> bool {
    let mut next = Some(pid);
    for _ in 0..GENERATIONS {
        match next {
            Some(pid) if pid == root => return true,
            Some(pid) => next = *parents.entry(pid).or_insert_with(|| parent(pid)),
            None => return false,
        }
    }
    false
}

fn parent(pid: Pid) -> Option<Pid> {
    let process = procfs::process::Process::new(pid.0.cast_signed()).ok()?;
    let parent = u32::try_from(process.stat().ok()?.ppid).ok()?;
    (parent != 0).then_some(Pid(parent))
}
