//! All Go processes of this host, found as they start, probed, looked at again and again at a
//! bounded cost, and shown on the board. The daemon and the terminal view run it on a thread of its
//! own.

mod discovery;
mod member;
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

pub use self::selection::{Choice, Selection};
use self::{
    discovery::Discovery,
    member::{Member, probed},
    pace::{Allowance, Pace},
};
use super::{
    failure::is_gone,
    probing::{News, Probing},
};
use crate::{
    clock::monotonic_ns,
    export::{
        board::{Board, Probed},
        document::command,
        http::Health,
        metrics::{ErrorKind, Outcome, Own, Traced},
    },
    finding::{Change, Look, LookError, Looker},
    ids::Pid,
    process::{Pods, Process, ProcessKey, StartTime},
    state::Schedule,
};

/// How often the loop turns at least: the delay of a stop.
const TURN: Duration = Duration::from_millis(250);
/// How often the board hears of probes between looks.
const SHOW_PROBED: Duration = Duration::from_secs(1);

/// How the fleet is followed.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often a process is looked at, at most, unless somebody waits for a lock.
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
    allowance: Allowance,
    show_due: Instant,
}

impl Fleet {
    /// A fleet that nobody was found for yet.
    pub fn new(shared: Shared, probing: Probing, options: Options) -> Self {
        let trouble = probing.trouble();
        if let Some(why) = trouble {
            shared.health.set_no_probes(why);
        }
        shared.own.set_probes_usable(trouble.is_none());
        let now = Instant::now();
        Self {
            shared,
            probing,
            discovery: Discovery::default(),
            members: BTreeMap::new(),
            pace: Pace::new(options.interval, options.budget),
            allowance: Allowance::new(options.budget, now),
            show_due: now,
            options,
        }
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
        let waiting = self.members.values().any(|member| member.cost.is_zero());
        if !waiting {
            self.shared.health.set_ready();
        }
    }

    /// The processes to look at now, the longest overdue first. Those in which somebody waits for a
    /// lock do not wait for their interval, as long as that can be afforded.
    fn due(&mut self, now: Instant) -> Vec<ProcessKey> {
        let affordable = self.allowance.has_any(now);
        let now_ns = monotonic_ns();
        // Intervals are the pace's.
        let schedule = Schedule {
            interval: Duration::MAX,
            ..Schedule::default()
        };
        let mut due = Vec::new();
        for (key, member) in &mut self.members {
            let soon = affordable && member.looked.is_some() && member.failures == 0;
            let state = &mut member.past.state;
            if member.due <= now || soon && state.needs_look(now_ns, &schedule).is_some() {
                due.push((member.due, *key));
            }
        }
        due.sort_unstable();
        due.into_iter().map(|(_, key)| key).collect()
    }

    /// Takes in what the probes tell.
    fn hear(&mut self, news: News) {
        for (pid, _) in news.exited {
            self.discovery.forget(pid);
            if let Some(key) = self.key_of(pid) {
                self.remove(key);
            }
        }
        for pid in news.started {
            // It is another program now, if it was followed before it could be probed.
            if let Some(key) = self.key_of(pid) {
                self.remove(key);
            }
            if let Some(process) = self.discovery.started(pid) {
                self.found(process);
            }
        }
        for (pid, event) in news.events {
            if let Some(member) = self.member_of(pid) {
                member.past.state.apply(event);
            }
        }
        for (pid, parked) in news.parked {
            if let Some(member) = self.member_of(pid) {
                member.past.state.apply_parked(parked);
                if member.looked.is_none() {
                    member.due = Instant::now();
                }
            }
        }
    }

    fn key_of(&self, pid: Pid) -> Option<ProcessKey> {
        let at = |start_time| ProcessKey { pid, start_time };
        let mut keys = self
            .members
            .range(at(StartTime(0))..=at(StartTime(u64::MAX)));
        keys.next_back().map(|(key, _)| *key)
    }

    fn member_of(&mut self, pid: Pid) -> Option<&mut Member> {
        let key = self.key_of(pid)?;
        self.members.get_mut(&key)
    }

    fn discover(&mut self, now: Instant) {
        let seen = self.discovery.look_around(now, &self.members);
        for key in seen.gone {
            self.remove(key);
        }
        for process in seen.started {
            self.found(process);
        }
        let failing = self.members.values().filter(|m| m.failures > 0).count();
        let own = &self.shared.own;
        own.set_processes(Traced::Watched, self.members.len() - failing);
        own.set_processes(Traced::Untraceable, seen.failed + failing);
    }

    fn found(&mut self, mut process: Process) {
        if self.members.contains_key(&process.key) {
            return;
        }
        let selection = &self.options.selection;
        match selection.choose_named(&mut process, &self.shared.pods) {
            Choice::Follow => {}
            Choice::Leave => return,
            Choice::Later => {
                self.discovery.forget(process.pid());
                return;
            }
        }
        tracing::info!(pid = %process.pid(), command = %command(&process), "found");
        let now = Instant::now();
        let member = Member::new(now + self.pace.settling(), now + self.pace.settled());
        self.members.insert(process.key, member);
    }

    fn remove(&mut self, key: ProcessKey) {
        if self.members.remove(&key).is_some() {
            tracing::info!(pid = %key.pid, "gone");
        }
        if self.key_of(key.pid).is_none() {
            self.probing.detach(key.pid);
        }
        self.shared.board.remove(key);
    }

    /// Places the probes on new processes: before the first look, so that no wait falls between the
    /// two.
    fn probe_new(&mut self, now: Instant) {
        let due = |member: &Member| member.probe_due.is_some_and(|due| due <= now);
        let members = self.members.iter_mut().filter(|(_, member)| due(member));
        let new: Vec<ProcessKey> = members
            .map(|(key, member)| {
                member.probe_due = None;
                *key
            })
            .collect();
        for key in new {
            self.probe(key);
        }
    }

    fn probe(&self, key: ProcessKey) {
        let Ok(process) = Process::open(key.pid) else {
            return;
        };
        // What is wrong with an image the look will tell.
        if process.key == key
            && let Ok(image) = self.shared.looker.image_of(&process)
        {
            self.probing.attach(key.pid, &process.exe_for_us(), &image);
        }
    }

    fn look(&mut self, key: ProcessKey) {
        let total: Duration = self.members.values().map(|member| member.cost).sum();
        let new = self.members.get(&key).is_some_and(|m| m.looked.is_none());
        if new && !self.allowance.has_any(Instant::now()) {
            self.postpone(key);
            return;
        }
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
        let cpu_time = pace::cpu_time_of(key.pid);
        if member.is_idle(cpu_time) && member.looked.is_some_and(|at| !self.pace.is_stale(at)) {
            member.due = Instant::now() + self.pace.idle();
            return;
        }
        if let Some(parked) = self.probing.parked(key.pid) {
            member.past.state.apply_parked(parked);
        }
        let own_before = pace::own_cpu_time();
        let began = Instant::now();
        let outcome = self.shared.looker.look_again(key.pid, &mut member.past);
        let cost = pace::own_cpu_time().saturating_sub(own_before);
        self.allowance.spend(cost);
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
                let (pods, selection) = (&self.shared.pods, &self.options.selection);
                if selection.choose_named(&mut look.process, pods) == Choice::Leave {
                    // Its pod has other labels now, or opted out.
                    self.remove(key);
                } else {
                    self.show(key, look, seconds);
                }
            }
            Err(error) => {
                self.shared.own.count_look(Outcome::Failed, seconds);
                self.failed(key, &error);
            }
        }
    }

    /// There is no CPU time left for a first look.
    fn postpone(&mut self, key: ProcessKey) {
        if let Some(member) = self.members.get_mut(&key) {
            member.due = Instant::now() + self.pace.settling();
        }
    }

    fn show(&mut self, key: ProcessKey, mut look: Look, seconds: f64) {
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
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
        let probed = probed(&self.probing, key.pid);
        member.probed = Some(probed.clone());
        let entry = member.followed.entry(&look, probed, stuck_after_ns);
        self.shared.board.show(key, entry);
    }

    /// Shows what the probes tell where that has changed since the last look.
    fn show_probed(&mut self) {
        for (key, member) in &mut self.members {
            let standing = self.probing.standing(key.pid);
            let same = |shown: &Probed| {
                shown.mode == standing.mode
                    && shown.cost_ratio == standing.cost_ratio
                    && shown.over_budget == standing.over_budget
            };
            if member.probed.as_ref().is_some_and(|shown| !same(shown)) {
                let now = probed(&self.probing, key.pid);
                member.probed = Some(now.clone());
                self.shared.board.show_probed(*key, now);
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
