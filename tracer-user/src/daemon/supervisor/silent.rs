//! Processes whose memory or executable does not answer: told of once, left alone, and tried again
//! when whoever waits there has come back.

use std::time::{Duration, Instant};

use super::{
    Choice, Supervisor, TrackedProcess,
    errands::{Brought, Errand},
    history_slot::HistorySlot,
    pace::CpuBudget,
};
use crate::{
    daemon::{
        process_findings::entry_of_silent,
        process_table::{LevelChanges, Mode, Probed},
        self_metrics::ErrorKind,
        watchdog::{Lost, Place, Subject},
    },
    document::command,
};
use ids::Pid;
use process::{Owner, Process, ProcessKey};

/// When one that was silent is tried again, after it has answered.
const PAUSE: Duration = Duration::from_secs(60);
/// When one that was refused is tried again.
const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// What the log says of one.
const SILENT: &str = "its memory or its executable does not answer: left alone until it does";

impl Supervisor {
    /// Takes in what was brought.
    pub(super) fn take_errands(&mut self) {
        let mut any_opened = false;
        for brought in self.errands.brought() {
            match brought {
                Brought::Opened(pid, opened) => {
                    any_opened = true;
                    self.opened(pid, opened);
                }
                Brought::Prepared(of, prepared, cost) => self.prepared(of, prepared, cost),
                Brought::Glanced(of, past, cost) => self.glanced(of, *past, cost),
            }
            // Where many start at once, attaching to all of them takes a while.
            self.shared.health.beat();
        }
        if any_opened {
            self.count_processes();
        }
    }

    /// Gives up threads that do not come back, and takes in those that have.
    pub(super) fn see_to_the_silent(&mut self, now: Instant) {
        let lost = self.shared.attendance.see(now);
        let returned = self.shared.attendance.returned();
        if lost.is_empty() && returned.is_empty() {
            return;
        }
        for subject in returned {
            self.answers_again(&subject, now);
        }
        for lost in lost {
            self.replace(&lost, now);
            self.is_silent(&lost.subject, now);
        }
        let lost = self.shared.attendance.lost();
        self.shared.own.set_lost_threads(lost);
        self.count_processes();
    }

    /// Has found out what runs as `pid`, unless too many others like it do not answer.
    pub(super) fn open(&mut self, pid: Pid) {
        if self.shared.attendance.lost() > 0
            && let Ok(process) = Process::glimpse(pid)
        {
            let subject = Subject {
                pid,
                owner: Some(Owner::of(&process)),
                file: None,
            };
            if let Some(why) = self.shared.attendance.refuses(&subject, true) {
                self.discovery.not_opened(pid);
                self.shared.own.count_refused(why.label());
                tracing::debug!(%pid, why = why.label(), "not opened: others like it do not answer");
                return;
            }
        }
        self.errands.send(Errand::Open(pid));
    }

    fn replace(&mut self, lost: &Lost, now: Instant) {
        match lost.place {
            Place::Errands => self.errands.replace(),
            Place::Looks(least) => self.pool.replace(least, lost.thread),
            Place::Walks => self.replace_walker(lost.subject.pid, now),
            Place::Clients => {}
        }
    }

    /// The process is silent: says so, and sends nobody there.
    fn is_silent(&mut self, subject: &Subject, now: Instant) {
        self.discovery.never_opened(subject.pid);
        let key = self.key_of(subject.pid).or_else(|| {
            // Nobody has opened it yet.
            let mut process = Process::glimpse(subject.pid).ok()?;
            self.enlist_silent(&mut process, now)
        });
        let Some((key, member)) = key.and_then(|key| Some((key, self.members.get_mut(&key)?)))
        else {
            return;
        };
        if member.silent.replace(now).is_some() {
            return;
        }
        // It is not one that nobody has looked at yet: nobody can.
        member.failures = member.failures.saturating_add(1);
        let command = command(&member.process);
        tracing::warn!(pid = %key.pid, command = %command, "{SILENT}");
        self.shared.own.count_error(ErrorKind::Inspection);
        let silent = Probed {
            mode: Mode::Unresponsive,
            cost_ratio: None,
            over_budget: false,
            switches: LevelChanges::default(),
            waits: std::collections::BTreeMap::new(),
        };
        let board = &self.shared.board;
        if board.key_of(key.pid) == Some(key) {
            board.show_probed(key, silent);
        } else {
            board.show(key, entry_of_silent(&member.process, silent, member.found));
        }
    }

    /// Makes the process a member, unless others are wanted as far as can be told.
    fn enlist_silent(&mut self, process: &mut Process, now: Instant) -> Option<ProcessKey> {
        let selection = &self.options.selection;
        if selection.choose_named(process, &self.shared.pods) != Choice::Follow {
            tracing::warn!(pid = %process.pid(), comm = %process.comm, "{SILENT}");
            return None;
        }
        let savings = CpuBudget::with_reserves(self.early_budget, now);
        let growth_window = self.options.growth_window;
        let mut member =
            TrackedProcess::new(self.found, process, (now, now), savings, growth_window);
        member.probe_due = None;
        self.found += 1;
        self.members.insert(process.key, member);
        Some(process.key)
    }

    /// Whoever waited there has come back: the process is tried again after a while.
    fn answers_again(&mut self, subject: &Subject, now: Instant) {
        let Some(key) = self.key_of(subject.pid) else {
            return;
        };
        if self.shared.attendance.is_silent(key.pid) {
            return;
        }
        let Some(member) = self.members.get_mut(&key) else {
            return;
        };
        if member.silent.take().is_none() {
            return;
        }
        tracing::info!(pid = %key.pid, "it answers again");
        if member.process.is_glimpse() {
            // What it executes has yet to be seen.
            self.leave(key);
            self.discovery.forget(key.pid);
            return;
        }
        member.past = HistorySlot::new();
        member.is_being_read = false;
        member.due = now + PAUSE;
        self.shared.board.remove(key);
    }

    /// Whether somebody may be sent to the process; if not, that is counted, and it is tried later.
    pub(super) fn may_be_visited(&mut self, key: ProcessKey, subject: &Subject) -> bool {
        let Some(member) = self.members.get_mut(&key) else {
            return false;
        };
        let newcomer = member.looked.is_none();
        let Some(why) = self.shared.attendance.refuses(subject, newcomer) else {
            return true;
        };
        let again = Instant::now() + REFUSED_PAUSE;
        member.due = again;
        if subject.file.is_some() {
            member.probe_due = Some(again);
        }
        if member.failures == 0 || member.refused != Some(why) {
            tracing::warn!(pid = %key.pid, why = why.label(), "not looked at: others like it do not answer");
        }
        member.refused = Some(why);
        member.failures = member.failures.max(1);
        self.shared.own.count_refused(why.label());
        false
    }
}
