//! All Go processes of this host, found as they start, probed, looked at again and again at a
//! bounded cost, and shown on the board. The daemon and the terminal view run it on a thread of its
//! own.

mod arrivals;
mod custody;
mod discovery;
#[cfg(test)]
mod fixture;
mod glances;
mod lookers;
mod looks;
mod member;
mod pace;
mod selection;
mod walks;

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

pub use self::selection::{Choice, Selection};
use self::{
    discovery::Discovery,
    lookers::{Lookers, Urgency},
    member::Member,
    pace::{Allowance, Pace},
    walks::WalkOrder,
};
use super::{
    probing::Probing,
    walker::{Manners, Walker},
};
use crate::{
    clock::monotonic_ns,
    export::{board::Board, http::Health, metrics::Own},
    finding::Looker,
    process::{Pods, ProcessKey},
    state::{Schedule, Why},
};

/// How often the loop turns at least: the delay of a stop.
const TURN: Duration = Duration::from_millis(250);
/// Likewise while looks are urgent, or there are more to make than may wait: the delay of what they
/// tell.
const SHORT_TURN: Duration = Duration::from_millis(20);
/// While a look takes longer than this, the tracing side is not said to be alive.
const LONGEST_LOOK: Duration = Duration::from_secs(30);
/// How often the board hears of probes between looks.
const SHOW_PROBED: Duration = Duration::from_secs(2);

/// How the fleet is followed.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often a process is looked at, at most, unless somebody waits for a lock.
    pub interval: Duration,
    /// From when on a wait is told of.
    pub stuck_after: Duration,
    /// What looks and walks may cost, as a share of one CPU: for one process, and for all together.
    pub budget: f64,
    /// Which processes.
    pub selection: Selection,
}

/// What all parts of the daemon share.
#[derive(Clone)]
pub struct Shared {
    /// Looks at processes.
    pub looker: Arc<Looker>,
    /// What is shown.
    pub board: Arc<Board>,
    /// Our own counters.
    pub own: Own,
    /// What Kubernetes calls the containers.
    pub pods: Arc<Pods>,
    /// Whether we work.
    pub health: Arc<Health>,
    /// Set to end the loop.
    pub stop: Arc<AtomicBool>,
}

/// The processes and what is known of them.
pub struct Fleet {
    shared: Shared,
    probing: Probing,
    options: Options,
    discovery: Discovery,
    members: BTreeMap<ProcessKey, Member>,
    /// How many members there have been.
    found: u64,
    lookers: Lookers,
    /// Whether more routine looks are due than may wait.
    crowded: bool,
    pace: Pace,
    walk_pace: Pace,
    /// What routine looks may cost.
    allowance: Allowance,
    /// What looks may cost that are made before their time, because somebody waits for a lock.
    savings: Allowance,
    /// When to glance at who waits for locks.
    glance_due: Instant,
    /// What walks may cost; `None` where heaps are not walked.
    walks: Option<(Walker<WalkOrder>, Allowance)>,
    show_due: Instant,
}

impl Fleet {
    /// A fleet that nobody was found for yet.
    ///
    /// # Errors
    /// When there can be no threads that look and walk heaps.
    pub fn new(shared: Shared, probing: Probing, options: Options) -> io::Result<Self> {
        let trouble = probing.trouble();
        if let Some(why) = trouble {
            shared.health.set_no_probes(why);
        }
        shared.own.set_probes_usable(trouble.is_none());
        let now = Instant::now();
        // Routine looks may cost the one half; walks, and looks where somebody waits for a lock,
        // share the other.
        let (half, quarter) = (options.budget / 2.0, options.budget / 4.0);
        let walks = shared.looker.walks_heaps().then(|| {
            let walker = Walker::start(Arc::clone(&shared.looker), Manners::Idle)?;
            io::Result::Ok((walker, Allowance::new(quarter, now)))
        });
        let lookers = Lookers::start(Arc::clone(&shared.looker))?;
        Ok(Self {
            walks: walks.transpose()?,
            shared,
            discovery: Discovery::new(probing.tells_of_processes()),
            probing,
            members: BTreeMap::new(),
            found: 0,
            lookers,
            crowded: false,
            pace: Pace::new(options.interval, half),
            walk_pace: Pace::new(options.interval, quarter),
            allowance: Allowance::new(half, now),
            savings: Allowance::with_reserves(quarter, now),
            glance_due: now,
            show_due: now,
            options,
        })
    }

    /// Follows the processes until told to stop; then takes the probes off.
    pub fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            self.turn(now);
            if self.lookers.hurry_late() < LONGEST_LOOK {
                self.shared.health.beat();
            }
            let turn = if self.crowded || self.lookers.has_urgent() {
                SHORT_TURN
            } else {
                TURN
            };
            self.take_looks();
            let news = self
                .probing
                .wait_for_news(turn.saturating_sub(now.elapsed()));
            self.hear(news);
            self.take_walks();
            self.take_looks();
        }
    }

    fn turn(&mut self, now: Instant) {
        if self.discovery.is_due(now) {
            self.discover(now);
        }
        self.probe_new(now);
        self.glance(now);
        self.heed_viewers();
        self.crowded = false;
        for (key, urgency) in self.due(now) {
            if urgency == Urgency::Urgent || self.lookers.has_room() {
                self.look(key, urgency);
            } else {
                self.crowded = true;
            }
        }
        if self.show_due <= now {
            self.show_due = now + SHOW_PROBED;
            self.show_probed();
        }
        self.shared.health.set_ready();
    }

    /// The processes to look at now, the longest overdue first. Those in which somebody waits for a
    /// lock do not wait for their interval, as long as that can be afforded.
    fn due(&mut self, now: Instant) -> Vec<(ProcessKey, Urgency)> {
        let affordable = self.savings.has_any(now);
        let now_ns = monotonic_ns();
        let mut due = Vec::new();
        for (key, member) in &mut self.members {
            // Intervals are the pace's.
            let schedule = Schedule {
                interval: Duration::MAX,
                least_gap: self.pace.after_lock_wait(member.cost, member.fruitless),
                hint_gap: self.pace.after_hint(member.cost),
                ..Schedule::default()
            };
            let soon = affordable && member.looked.is_some() && member.failures == 0;
            let Some(past) = member.past.here() else {
                continue;
            };
            let why = past.state.needs_look(now_ns, &schedule);
            match why.filter(|_| soon) {
                Some(Why::LockWait) => due.push((member.due, *key, Urgency::Urgent)),
                None if member.due > now => {}
                _ => due.push((member.due, *key, Urgency::Routine)),
            }
        }
        due.sort_unstable();
        due.into_iter()
            .map(|(_, key, urgency)| (key, urgency))
            .collect()
    }
}
