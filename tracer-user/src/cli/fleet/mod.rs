//! All Go processes of this host, found as they start, looked at again and again at a bounded cost,
//! and shown on the board. The daemon and the terminal view run it on a thread of its own.

mod discovery;
mod pace;
mod selection;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

pub use self::selection::Selection;
use self::{discovery::Discovery, pace::Pace};
use super::{failure::is_gone, follow::Followed};
use crate::{
    export::{
        board::{Board, Mode},
        document::command,
        http::Health,
        metrics::{ErrorKind, Outcome, Own, Traced},
    },
    finding::{Change, Growth, LookError, Looker, Past},
    process::ProcessKey,
};

/// How often the loop turns at least: the delay of a stop.
const TURN: Duration = Duration::from_millis(250);

/// How the fleet is followed.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often a process is looked at, at most.
    pub interval: Duration,
    /// From when on a wait is told of.
    pub stuck_after: Duration,
    /// What looks may cost, as a share of one CPU: for one process, and for all together.
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
    /// Whether we work.
    pub health: Arc<Health>,
    /// Set to end the loop.
    pub stop: Arc<AtomicBool>,
}

/// The processes and what is known of them.
pub struct Fleet {
    shared: Shared,
    options: Options,
    discovery: Discovery,
    members: BTreeMap<ProcessKey, Member>,
    pace: Pace,
}

struct Member {
    followed: Followed,
    /// What earlier looks leave to the next.
    past: Past,
    due: Instant,
    /// When it was last looked at.
    looked: Option<Instant>,
    /// CPU time of the process at the last look.
    cpu_time: Option<Duration>,
    /// CPU time that the last look took us.
    cost: Duration,
    /// Looks in a row that failed.
    failures: u32,
}

impl Fleet {
    /// A fleet that nobody was found for yet.
    pub fn new(shared: Shared, options: Options) -> Self {
        let pace = Pace::new(options.interval, options.budget);
        Self {
            shared,
            options,
            discovery: Discovery::default(),
            members: BTreeMap::new(),
            pace,
        }
    }

    /// Follows the processes until told to stop.
    pub fn run(mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let began = Instant::now();
            self.turn(began);
            self.shared.health.beat();
            if let Some(rest) = TURN.checked_sub(began.elapsed()) {
                std::thread::sleep(rest);
            }
        }
    }

    fn turn(&mut self, now: Instant) {
        if self.discovery.is_due(now) {
            self.discover(now);
        }
        let mut due: Vec<(Instant, ProcessKey)> = self
            .members
            .iter()
            .filter(|(_, member)| member.due <= now)
            .map(|(key, member)| (member.due, *key))
            .collect();
        due.sort_unstable();
        for (_, key) in due {
            if self.shared.stop.load(Ordering::Relaxed) {
                return;
            }
            self.look(key);
            self.shared.health.beat();
        }
        let waiting = self.members.values().any(|member| member.cost.is_zero());
        if !waiting {
            self.shared.health.set_ready();
        }
    }

    fn discover(&mut self, now: Instant) {
        let seen = self.discovery.look_around(now, &self.members);
        for key in seen.gone {
            self.remove(key);
        }
        let mut untraceable = seen.failed;
        for process in seen.started {
            if self.options.selection.takes(&process) {
                tracing::info!(pid = %process.pid(), command = %command(&process), "found");
                let member = Member::new(now + self.pace.settling());
                self.members.insert(process.key, member);
            }
        }
        untraceable += self.members.values().filter(|m| m.failures > 0).count();
        let watched = self.members.len() - self.members.values().filter(|m| m.failures > 0).count();
        self.shared.own.set_processes(Traced::Watched, watched);
        self.shared
            .own
            .set_processes(Traced::Untraceable, untraceable);
    }

    fn remove(&mut self, key: ProcessKey) {
        if self.members.remove(&key).is_some() {
            tracing::info!(pid = %key.pid, "gone");
        }
        self.shared.board.remove(key);
    }

    fn look(&mut self, key: ProcessKey) {
        let total: Duration = self.members.values().map(|member| member.cost).sum();
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
        let cpu_time = pace::cpu_time_of(key.pid);
        if member.is_idle(cpu_time) && member.looked.is_some_and(|at| !self.pace.is_stale(at)) {
            member.due = Instant::now() + self.pace.idle();
            return;
        }
        let own_before = pace::own_cpu_time();
        let began = Instant::now();
        let outcome = self.shared.looker.look_again(key.pid, &mut member.past);
        let cost = pace::own_cpu_time().saturating_sub(own_before);
        member.cost = cost.max(Duration::from_micros(1));
        member.cpu_time = cpu_time;
        member.looked = Some(began);
        member.due = Instant::now() + self.pace.after(cost, total);
        let seconds = began.elapsed().as_secs_f64();
        match outcome {
            Ok(look) if look.process.key != key => {
                // The pid went to another process; discovery finds that one.
                self.discovery.forget(key.pid);
                self.remove(key);
            }
            Ok(mut look) => {
                let whole = look.diagnosis.incomplete.is_empty();
                let outcome = if whole {
                    Outcome::Whole
                } else {
                    Outcome::Partial
                };
                self.shared.own.count_look(outcome, seconds);
                member.failures = 0;
                for change in member.followed.take(&mut look) {
                    log(key, &change);
                }
                let stuck_after = self.options.stuck_after.as_nanos();
                let stuck_after_ns = u64::try_from(stuck_after).unwrap_or(u64::MAX);
                let entry = member
                    .followed
                    .entry(&look, Mode::Snapshots, stuck_after_ns);
                self.shared.board.show(key, entry);
            }
            Err(error) => {
                self.shared.own.count_look(Outcome::Failed, seconds);
                self.failed(key, &error);
            }
        }
    }

    fn failed(&mut self, key: ProcessKey, error: &LookError) {
        if is_gone(error) {
            self.remove(key);
            return;
        }
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
        if member.failures == 0 {
            tracing::warn!(pid = %key.pid, %error, "cannot look at the process");
        }
        self.shared.own.count_error(ErrorKind::Look);
        member.failures = member.failures.saturating_add(1);
        member.due = Instant::now() + self.pace.after_failures(member.failures);
        self.shared.board.remove(key);
    }
}

impl Member {
    fn new(due: Instant) -> Self {
        Self {
            past: Past::default(),
            followed: Followed::new(Growth::default()),
            due,
            looked: None,
            cpu_time: None,
            cost: Duration::ZERO,
            failures: 0,
        }
    }

    /// Whether the process has not run at all since the last look.
    fn is_idle(&self, cpu_time: Option<Duration>) -> bool {
        cpu_time.is_some() && cpu_time == self.cpu_time && self.failures == 0
    }
}

fn log(key: ProcessKey, change: &Change) {
    let pid = key.pid;
    match change {
        Change::Appeared(finding) => {
            tracing::warn!(%pid, id = %finding.id, kind = %finding.kind, "{}", finding.summary);
        }
        Change::Changed(finding) => {
            tracing::info!(%pid, id = %finding.id, kind = %finding.kind, "{}", finding.summary);
        }
        Change::Cleared { finding, .. } => {
            tracing::info!(%pid, id = %finding.id, kind = %finding.kind, "cleared");
        }
    }
}
