//! Which processes came and went.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rustc_hash::FxHashSet;

use super::member::key_of;
use crate::{
    ids::Pid,
    process::{GoCheck, GoProcesses, Process, ProcessError, ProcessKey, all_pids},
};

/// How often to look around.
#[derive(Debug, Clone, Copy)]
struct Intervals {
    /// The list of pids is read.
    list: Duration,
    /// Every process is looked at again: one known as a shell may have become a Go program by
    /// `exec`, and a pid may have gone to another process between two readings.
    full: Duration,
}

/// Where nobody tells of processes that start.
const UNTOLD: Intervals = Intervals {
    list: Duration::from_secs(1),
    full: Duration::from_secs(60),
};
/// Where probes tell of them, and say when they could not.
const TOLD: Intervals = Intervals {
    list: Duration::from_secs(10),
    full: Duration::from_secs(600),
};

/// Finds processes by reading the list of pids, and opens only the new ones.
#[derive(Debug)]
pub struct Discovery {
    scanner: GoProcesses,
    intervals: Intervals,
    known: FxHashSet<Pid>,
    due: Instant,
    full_due: Instant,
}

/// What a look around found.
#[derive(Debug, Default)]
pub struct Seen {
    /// Go processes that were looked at: all that were not known, and members where everybody is
    /// looked at again, since those may execute another program by now.
    pub running: Vec<Process>,
    /// Members that are no longer there, or no Go programs any more.
    pub gone: Vec<ProcessKey>,
    /// How many could not be looked at.
    pub failed: usize,
}

impl Discovery {
    /// One that knows nobody; `told` says whether it is told of processes that start and end.
    pub fn new(told: bool) -> Self {
        let now = Instant::now();
        let intervals = if told { TOLD } else { UNTOLD };
        Self {
            scanner: GoProcesses::new(),
            intervals,
            known: FxHashSet::default(),
            due: now,
            full_due: now + intervals.full,
        }
    }

    /// Looks at every process at once: what was told is not all.
    pub fn look_at_all(&mut self) {
        let now = Instant::now();
        (self.due, self.full_due) = (now, now);
    }

    /// Whether it is time to look around.
    pub fn is_due(&self, now: Instant) -> bool {
        self.due <= now
    }

    /// Looks at `pid` again soon, whatever was known of it.
    pub fn forget(&mut self, pid: Pid) {
        self.known.remove(&pid);
        self.due = self.due.min(Instant::now() + UNTOLD.list);
    }

    /// A process executed a program: what it was before matters no more. Answers the process when it
    /// is Go's.
    pub fn started(&mut self, pid: Pid) -> Option<Process> {
        self.known.insert(pid);
        match self.open_go(pid) {
            Ok(process) => process,
            Err(error) => {
                tracing::debug!(%error, "passed over");
                if matches!(error, ProcessError::NoDescriptors { .. }) {
                    self.forget(pid);
                }
                None
            }
        }
    }

    /// Reads the list of pids and compares it with `members`.
    pub fn look_around<T>(&mut self, now: Instant, members: &BTreeMap<ProcessKey, T>) -> Seen {
        self.due = now + self.intervals.list;
        if self.full_due <= now {
            self.full_due = now + self.intervals.full;
            self.known.clear();
        }
        let pids: FxHashSet<Pid> = all_pids().into_iter().collect();
        self.known.retain(|pid| pids.contains(pid));
        let mut seen = Seen {
            gone: members
                .keys()
                .filter(|key| !pids.contains(&key.pid))
                .copied()
                .collect(),
            ..Seen::default()
        };
        let own = Pid(std::process::id());
        for pid in pids {
            if pid == own || !self.known.insert(pid) {
                continue;
            }
            match self.open_go(pid) {
                Ok(Some(process)) => seen.running.push(process),
                Ok(None) => seen.gone.extend(key_of(members, pid)),
                Err(ProcessError::Gone(_) | ProcessError::Zombie(_) | ProcessError::Kernel(_)) => {}
                // That is our trouble: it is looked at another time.
                Err(ProcessError::NoDescriptors { .. }) => self.forget(pid),
                Err(error) => {
                    tracing::debug!(%error, "passed over");
                    seen.failed += 1;
                }
            }
        }
        seen
    }

    fn open_go(&mut self, pid: Pid) -> Result<Option<Process>, ProcessError> {
        let process = Process::open(pid)?;
        let check = self.scanner.check(&process)?;
        Ok((check == GoCheck::Go).then_some(process))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_pids_are_not_opened_again_until_the_full_look() {
        let mut discovery = Discovery::new(false);
        let members = BTreeMap::<ProcessKey, ()>::new();
        let now = Instant::now();
        discovery.look_around(now, &members);
        let known = discovery.known.len();
        assert!(known > 0 && !discovery.known.contains(&Pid(0)));
        assert!(!discovery.is_due(now));
        assert!(discovery.is_due(now + UNTOLD.list));
        discovery.look_around(now + UNTOLD.full, &members);
        assert!(discovery.full_due > now + UNTOLD.full);
    }

    #[test]
    fn who_is_told_looks_around_seldom_unless_something_was_missed() {
        let mut discovery = Discovery::new(true);
        let members = BTreeMap::<ProcessKey, ()>::new();
        let now = Instant::now();
        discovery.look_around(now, &members);
        assert!(!discovery.is_due(now + UNTOLD.list));
        discovery.look_at_all();
        assert!(discovery.is_due(Instant::now()));
    }

    #[test]
    fn a_member_that_is_no_go_program_any_more_is_gone_once_everybody_is_looked_at() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let sleeper = Process::open(Pid(child.id())).unwrap();
        let mut discovery = Discovery::new(true);
        let mut members = BTreeMap::new();
        discovery.look_around(Instant::now(), &members);
        members.insert(sleeper.key, ());
        let before = discovery.look_around(Instant::now(), &members).gone;
        discovery.look_at_all();
        let after = discovery.look_around(Instant::now(), &members).gone;
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((before, after), (vec![], vec![sleeper.key]));
    }
}
