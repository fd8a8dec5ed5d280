//! All Go processes of this host, found as they start, probed, looked at again and again at a
//! bounded cost, and shown on the process table. The daemon and the terminal view run it on a thread of its
//! own.

mod discovery;
mod errands;
#[cfg(test)]
mod fixture;
mod heap_walks;
mod history_slot;
mod inspection_pool;
mod inspections;
mod lifecycle;
mod log;
mod member;
mod pace;
mod plan;
mod selection;
mod semaphore_polls;
mod shortage;
mod silent;
mod todo;

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use self::{
    discovery::Discovery,
    errands::Errands,
    heap_walks::WalkOrder,
    inspection_pool::InspectionPool,
    member::TrackedProcess,
    pace::{CpuBudget, Pace},
    plan::{Candidate, Plan},
    semaphore_polls::SemaphorePolls,
    shortage::Shortage,
};
pub use self::{
    selection::{Choice, Selection},
    todo::Urgency,
};
use super::{
    heap_walk_worker::{HeapWalkWorker, SchedPolicy},
    probe_manager::{ProbeManager, ProbeUpdates},
    watchdog::Watchdog,
};
use crate::{
    daemon::{
        health::Health, kubernetes::Pods, process_table::ProcessTable, self_metrics::SelfMetrics,
    },
    inspect::Inspector,
    timeline::{Schedule, Why},
};
use process::ProcessKey;
use resources::{cancellation::Cancellation, clock::monotonic_ns};

/// How often the loop turns at least.
const TURN: Duration = Duration::from_millis(250);
/// Likewise while looks are urgent, or there are more to make than may wait: the delay of what they
/// tell.
const SHORT_TURN: Duration = Duration::from_millis(20);
/// How often the loop sees whether it is to stop.
const STOP_DELAY: Duration = Duration::from_millis(50);
/// A first inspection that comes later than this is late.
const LATE: Duration = Duration::from_secs(20);
/// How often the process table hears of probes between inspections.
const SHOW_PROBED: Duration = Duration::from_secs(2);

/// How processes are followed.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often a process is looked at, at most, unless somebody waits for a lock.
    pub interval: Duration,
    /// From when on a wait is told of.
    pub stuck_after: Duration,
    /// Over which time growth is judged.
    pub growth_window: Duration,
    /// What looks and walks may cost, as a share of one CPU: for one process, and for all together.
    pub budget: f64,
    /// Which processes.
    pub selection: Selection,
}

/// What all parts of the daemon share.
#[derive(Clone)]
pub struct Shared {
    /// Looks at processes.
    pub inspector: Arc<Inspector>,
    /// What is shown.
    pub board: Arc<ProcessTable>,
    /// Our own counters.
    pub own: SelfMetrics,
    /// What Kubernetes calls the containers.
    pub pods: Arc<Pods>,
    /// Whether we work.
    pub health: Arc<Health>,
    /// Ends the loop, and the inspections.
    pub stop: Cancellation,
    /// Who is at which process.
    pub attendance: Watchdog,
}

/// The processes and what is known of them.
pub struct Supervisor {
    shared: Shared,
    probing: ProbeManager,
    options: Options,
    discovery: Discovery,
    members: BTreeMap<ProcessKey, TrackedProcess>,
    /// How many members there have been.
    found: u64,
    errands: Errands,
    pool: InspectionPool,
    /// When all processes had been found that were there at the start.
    looked_around: Option<SystemTime>,
    /// Whether more routine inspections are due than may wait.
    crowded: bool,
    pace: Pace,
    walk_pace: Pace,
    /// What first inspections of new processes may cost.
    firsts: CpuBudget,
    /// The share of one CPU that looks may take which are made before their time, because somebody
    /// waits for a lock.
    early_budget: f64,
    /// What is saved up of it for whoever needs it; members have savings of their own, too.
    savings: CpuBudget,
    glances: SemaphorePolls,
    /// What walks may cost; `None` where heaps are not walked.
    walks: Option<(HeapWalkWorker<WalkOrder>, CpuBudget)>,
    show_due: Instant,
    shortage: Shortage,
}

impl Supervisor {
    /// Returns a supervisor that follows no process yet.
    ///
    /// # Errors
    /// When there can be no threads that inspection and walk heaps.
    pub fn new(shared: Shared, probing: ProbeManager, options: Options) -> io::Result<Self> {
        let trouble = probing.trouble();
        if let Some(why) = trouble {
            shared.health.set_no_probes(why);
        }
        shared.own.set_probes_usable(trouble.is_none());
        let now = Instant::now();
        // Routine and first inspections may cost the one half; walks, and inspections where somebody waits for a
        // lock, share the other.
        let [routine, firsts, quarter] = [0.375, 0.125, 0.25].map(|part| options.budget * part);
        let walks = shared.inspector.walks_heaps().then(|| {
            let walker = Self::walker(&shared)?;
            io::Result::Ok((walker, CpuBudget::new(quarter, now)))
        });
        let attendance = shared.attendance.clone();
        let errands = Errands::start(Arc::clone(&shared.inspector), attendance.clone())?;
        let pool = InspectionPool::start(Arc::clone(&shared.inspector), attendance)?;
        Ok(Self {
            walks: walks.transpose()?,
            shared,
            discovery: Discovery::new(probing.tells_of_processes()),
            probing,
            members: BTreeMap::new(),
            found: 0,
            errands,
            pool,
            looked_around: None,
            crowded: false,
            pace: Pace::new(options.interval, routine),
            walk_pace: Pace::new(options.interval, quarter),
            firsts: CpuBudget::with_reserves(firsts, now),
            early_budget: quarter,
            savings: CpuBudget::with_reserves(quarter / 2.0, now),
            glances: SemaphorePolls::new(now),
            show_due: now,
            shortage: Shortage::default(),
            options,
        })
    }

    /// The thread that walks heaps.
    fn walker(shared: &Shared) -> io::Result<HeapWalkWorker<WalkOrder>> {
        let attendance = Some(shared.attendance.clone());
        HeapWalkWorker::start(Arc::clone(&shared.inspector), SchedPolicy::Idle, attendance)
    }

    /// Follows the processes until told to stop; then takes the probes off. Nothing that it does
    /// itself waits for a process that is followed, or for a file of one.
    pub fn run(mut self) {
        while !self.shared.stop.is_requested() {
            let now = Instant::now();
            self.turn(now);
            self.errands.relieve();
            self.pool.relieve();
            self.pool.hurry_late();
            self.shared.health.beat();
            let turn = if self.crowded || self.pool.has_urgent() {
                SHORT_TURN
            } else {
                TURN
            };
            self.take_looks();
            let news = self.wait_for_news(now + turn);
            self.hear(news);
            self.take_walks();
            self.take_errands();
            self.take_looks();
        }
    }

    /// What the probes tell until `end`, as soon as they tell something.
    fn wait_for_news(&self, end: Instant) -> ProbeUpdates {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let news = self.probing.wait_for_news(left.min(STOP_DELAY));
            let over = left <= STOP_DELAY || self.shared.stop.is_requested();
            if over || !news.is_empty() || self.errands.has_any() {
                return news;
            }
        }
    }

    fn turn(&mut self, now: Instant) {
        if self.discovery.is_due(now) {
            self.discover(now);
        }
        self.see_to_the_silent(now);
        self.probe_new(now);
        self.heed_viewers();
        let Plan { looks, crowded } = self.plan(now);
        self.crowded = crowded;
        for (key, urgency) in looks {
            self.look(key, urgency);
        }
        // Last: while a process is glanced at, it cannot be looked at.
        self.glance(now);
        if self.show_due <= now {
            self.show_due = now + SHOW_PROBED;
            self.show_probed();
        }
        self.tell_unseen();
        self.shortage.tell(now, &self.shared);
    }

    /// Tells of processes that nobody has looked at: of those that were there at the start, and of those for
    /// which that is late. Many others are gone before it is time.
    fn tell_unseen(&mut self) {
        if self.discovery.is_looking_around() {
            return;
        }
        let began = *self.looked_around.get_or_insert_with(SystemTime::now);
        let unseen = self.members.values().filter(|member| {
            let age = member.found.elapsed().unwrap_or_default();
            member.is_unseen() && (member.found <= began || age > LATE)
        });
        self.shared.health.set_unseen(unseen.count());
    }

    /// The inspections to begin now. Processes in which somebody waits for a lock do not wait for their
    /// interval, as long as that can be afforded.
    fn plan(&mut self, now: Instant) -> Plan {
        let for_all = self.savings.has_any(now);
        let now_ns = monotonic_ns();
        let mut candidates = Vec::new();
        for (key, member) in &mut self.members {
            // Intervals are the pace's.
            let schedule = Schedule {
                interval: Duration::MAX,
                least_gap: self.pace.after_lock_wait(member.cost, member.fruitless),
                hint_gap: self.pace.after_hint(member.cost),
                ..Schedule::default()
            };
            let affordable = for_all || member.savings.has_any(now);
            let soon = affordable && member.looked.is_some() && member.failures == 0;
            if !member.may_be_looked_at() {
                continue;
            }
            let Some(past) = member.past.here() else {
                continue;
            };
            let why = past.state.needs_look(now_ns, &schedule).filter(|_| soon);
            let (urgent, early) = (why == Some(Why::LockWait), why.is_some());
            if early || member.due <= now {
                candidates.push(Candidate {
                    key: *key,
                    serial: member.serial,
                    looked: member.looked,
                    due: member.due,
                    urgent,
                    early,
                    costly: member.is_costly(key.pid),
                });
            }
        }
        let room = [Urgency::Urgent, Urgency::Routine].map(|urgency| self.pool.room(urgency));
        plan::next(candidates, now, room.into())
    }
}
