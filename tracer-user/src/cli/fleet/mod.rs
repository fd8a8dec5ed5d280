//! All Go processes of this host, found as they start, probed, looked at again and again at a
//! bounded cost, and shown on the board. The daemon and the terminal view run it on a thread of its
//! own.

mod arrivals;
mod discovery;
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
    member::Member,
    pace::{Allowance, Pace},
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
    state::Schedule,
};

/// How often the loop turns at least: the delay of a stop.
const TURN: Duration = Duration::from_millis(250);
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
    pace: Pace,
    /// What looks may cost.
    allowance: Allowance,
    /// What walks may cost; `None` where heaps are not walked.
    walks: Option<(Walker, Allowance)>,
    show_due: Instant,
}

impl Fleet {
    /// A fleet that nobody was found for yet.
    ///
    /// # Errors
    /// When there can be no thread that walks heaps.
    pub fn new(shared: Shared, probing: Probing, options: Options) -> io::Result<Self> {
        let trouble = probing.trouble();
        if let Some(why) = trouble {
            shared.health.set_no_probes(why);
        }
        shared.own.set_probes_usable(trouble.is_none());
        let now = Instant::now();
        // Looks may cost the one half, walks the other.
        let half = options.budget / 2.0;
        let walks = shared.looker.walks_heaps().then(|| {
            let walker = Walker::start(Arc::clone(&shared.looker), Manners::Idle)?;
            io::Result::Ok((walker, Allowance::new(half, now)))
        });
        Ok(Self {
            walks: walks.transpose()?,
            shared,
            discovery: Discovery::new(probing.tells_of_processes()),
            probing,
            members: BTreeMap::new(),
            pace: Pace::new(options.interval, half),
            allowance: Allowance::new(half, now),
            show_due: now,
            options,
        })
    }

    /// Follows the processes until told to stop; then takes the probes off.
    pub fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let now = Instant::now();
            self.turn(now);
            self.shared.health.beat();
            let rest = TURN.saturating_sub(now.elapsed());
            let news = self.probing.wait_for_news(rest);
            self.hear(news);
            self.take_walks();
        }
    }

    fn turn(&mut self, now: Instant) {
        if self.discovery.is_due(now) {
            self.discover(now);
        }
        self.probe_new(now);
        for key in self.due(now) {
            if self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            self.look(key);
            self.shared.health.beat();
        }
        if self.show_due <= now {
            self.show_due = now + SHOW_PROBED;
            self.show_probed();
        }
        self.shared.health.set_ready();
    }

    /// The processes to look at now, the longest overdue first. Those in which somebody waits for a
    /// lock do not wait for their interval, as long as that can be afforded.
    fn due(&mut self, now: Instant) -> Vec<ProcessKey> {
        let affordable = self.allowance.has_any(now);
        let now_ns = monotonic_ns();
        let mut due = Vec::new();
        for (key, member) in &mut self.members {
            // Intervals are the pace's.
            let schedule = Schedule {
                interval: Duration::MAX,
                hint_gap: self.pace.after_hint(member.cost),
                ..Schedule::default()
            };
            let soon = affordable && member.looked.is_some() && member.failures == 0;
            let state = &mut member.past.state;
            if member.due <= now || soon && state.needs_look(now_ns, &schedule).is_some() {
                due.push((member.due, *key));
            }
        }
        due.sort_unstable();
        due.into_iter().map(|(_, key)| key).collect()
    }
}
