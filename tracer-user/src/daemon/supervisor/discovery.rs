//! Which processes came and went. Whatever opens one is left to others.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rustc_hash::FxHashSet;

use ids::Pid;
use process::{Process, ProcessError, ProcessKey, all_pids};

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

/// Finds processes by reading the list of pids, and asks to open only the new ones.
#[derive(Debug)]
pub struct Discovery {
    intervals: Intervals,
    known: FxHashSet<Pid>,
    /// Those that are being opened.
    asked: FxHashSet<Pid>,
    /// Those of the first scan that are; `None` before it.
    first: Option<FxHashSet<Pid>>,
    /// Those that could not be looked at.
    failed: FxHashSet<Pid>,
    due: Instant,
    full_due: Instant,
}

/// What a scan found.
#[derive(Debug, Default)]
pub struct Seen {
    /// What is to be opened: all that were not known, and members where everybody is looked at again,
    /// since those may execute another program by now.
    pub unknown: Vec<Pid>,
    /// Members that are no longer there.
    pub gone: Vec<ProcessKey>,
}

/// What runs as a pid.
#[derive(Debug)]
pub enum Ran {
    /// This Go process.
    Go(Box<Process>),
    /// Something else.
    Other,
    /// Nothing that can be told.
    Unknown,
}

impl Discovery {
    /// One that knows nobody; `told` says whether it is told of processes that start and end.
    pub fn new(told: bool) -> Self {
        let now = Instant::now();
        let intervals = if told { TOLD } else { UNTOLD };
        Self {
            intervals,
            known: FxHashSet::default(),
            asked: FxHashSet::default(),
            first: None,
            failed: FxHashSet::default(),
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

    /// A process executed a program, and is to be opened: what it was before matters no more.
    pub fn started(&mut self, pid: Pid) {
        self.known.insert(pid);
        self.asked.insert(pid);
    }

    /// Whether some of the processes that the first scan found have yet to be opened.
    pub fn is_looking_around(&self) -> bool {
        self.first.as_ref().is_none_or(|first| !first.is_empty())
    }

    /// How many processes could not be looked at.
    pub fn failed(&self) -> usize {
        self.failed.len()
    }

    /// The process was opened, or could not be.
    pub fn opened(&mut self, pid: Pid, opened: Result<Option<Box<Process>>, ProcessError>) -> Ran {
        self.end_opening(pid);
        self.failed.remove(&pid);
        match opened {
            Ok(Some(process)) => Ran::Go(process),
            Ok(None) => Ran::Other,
            Err(ProcessError::Gone(_) | ProcessError::Zombie(_) | ProcessError::Kernel(_)) => {
                Ran::Unknown
            }
            Err(error) => {
                tracing::debug!(%error, "passed over");
                if matches!(error, ProcessError::NoDescriptors { .. }) {
                    // That is our trouble: it is looked at another time.
                    self.forget(pid);
                } else {
                    self.failed.insert(pid);
                }
                Ran::Unknown
            }
        }
    }

    /// Whoever opens the process does not come back.
    pub fn never_opened(&mut self, pid: Pid) {
        self.end_opening(pid);
    }

    /// Nobody is sent to open the process now; the next scan asks again.
    pub fn not_opened(&mut self, pid: Pid) {
        self.end_opening(pid);
        self.known.remove(&pid);
    }

    fn end_opening(&mut self, pid: Pid) {
        self.asked.remove(&pid);
        if let Some(first) = &mut self.first {
            first.remove(&pid);
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
        self.asked.retain(|pid| pids.contains(pid));
        self.failed.retain(|pid| pids.contains(pid));
        let gone = members.keys().filter(|key| !pids.contains(&key.pid));
        let gone = gone.copied().collect();
        let own = Pid(std::process::id());
        let mut unknown = Vec::new();
        for pid in pids {
            if pid != own && self.known.insert(pid) && self.asked.insert(pid) {
                unknown.push(pid);
            }
        }
        if let Some(first) = &mut self.first {
            first.retain(|pid| self.asked.contains(pid));
        } else {
            self.first = Some(unknown.iter().copied().collect());
        }
        Seen { unknown, gone }
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
    fn what_is_being_opened_is_not_asked_for_again() {
        let pid = Pid(std::process::id()).0;
        let parent = Pid(nix::unistd::getppid().as_raw().cast_unsigned());
        let is_asked = |discovery: &Discovery| discovery.asked.contains(&parent);
        let mut discovery = Discovery::new(true);
        let members = BTreeMap::<ProcessKey, ()>::new();
        let unknown = discovery.look_around(Instant::now(), &members).unknown;
        assert!(unknown.contains(&parent) && !unknown.contains(&Pid(pid)));
        assert!(discovery.is_looking_around() && is_asked(&discovery));
        discovery.look_at_all();
        let again = discovery.look_around(Instant::now(), &members).unknown;
        assert!(!again.contains(&parent));
        let denied = ProcessError::Denied {
            pid: parent,
            what: "exe",
        };
        assert!(matches!(
            discovery.opened(parent, Err(denied)),
            Ran::Unknown
        ));
        assert_eq!(discovery.failed(), 1);
        discovery.look_at_all();
        let again = discovery.look_around(Instant::now(), &members).unknown;
        assert!(again.contains(&parent));
        assert!(matches!(discovery.opened(parent, Ok(None)), Ran::Other));
        assert_eq!(discovery.failed(), 0);
        assert!(!is_asked(&discovery));
        for pid in unknown {
            discovery.not_opened(pid);
        }
        assert!(!discovery.is_looking_around());
    }
}
