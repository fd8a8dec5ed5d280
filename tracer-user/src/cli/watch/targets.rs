//! The processes that are watched: one, or all Go processes below a command.

use std::{collections::BTreeMap, time::Duration};

use rustc_hash::FxHashMap;

use super::{probing::Probing, report::Report};
use crate::{
    cli::{
        Failure,
        failure::{from_look, is_gone},
        follow::Followed,
    },
    finding::{Change, Finding, Growth, LookError, Looker, Past, Verdict},
    ids::Pid,
    process::{GoCheck, GoProcesses, Process, ProcessKey, all_pids},
};

/// Longest chain of parents that is followed.
const GENERATIONS: usize = 64;

/// The watched processes.
pub struct Targets {
    looker: Looker,
    root: Pid,
    /// Whether to watch the processes below `root`, too.
    tree: bool,
    growth_window: Duration,
    scanner: GoProcesses,
    followed: BTreeMap<ProcessKey, Followed>,
    /// The probes on them.
    pub probing: Probing,
    /// What earlier looks leave to later ones.
    pasts: BTreeMap<Pid, Past>,
    over: bool,
}

impl Targets {
    /// Watches `root`, and with `tree` everything below it.
    pub fn new(
        looker: Looker,
        probing: Probing,
        root: Pid,
        tree: bool,
        growth_window: Duration,
    ) -> Self {
        Self {
            looker,
            root,
            tree,
            growth_window,
            scanner: GoProcesses::new(),
            followed: BTreeMap::new(),
            probing,
            pasts: BTreeMap::new(),
            over: false,
        }
    }

    /// Looks at every process once, reports what is new, and returns the findings that appeared
    /// or changed.
    pub fn look(&mut self, report: &mut Report) -> Result<Vec<Finding>, Failure> {
        let mut news = Vec::new();
        let pids = self.pids();
        self.pasts.retain(|pid, _| pids.contains(pid));
        for pid in pids {
            let past = self.pasts.entry(pid).or_default();
            self.probing.date(pid, past);
            match self.looker.look_again(pid, past) {
                Ok(mut look) => {
                    self.probing.follow(&look);
                    let growth_window = self.growth_window;
                    let followed = self
                        .followed
                        .entry(look.process.key)
                        .or_insert_with(|| Followed::new(Growth::over(growth_window)));
                    let changes = followed.take(&mut look);
                    report.changes(&look, &changes)?;
                    news.extend(changes.into_iter().filter_map(|change| match change {
                        Change::Appeared(finding) | Change::Changed(finding) => Some(finding),
                        Change::Cleared { .. } => None,
                    }));
                }
                Err(error) => self.failed(pid, error, report)?,
            }
        }
        Ok(news)
    }

    fn failed(&mut self, pid: Pid, error: LookError, report: &mut Report) -> Result<(), Failure> {
        let known = self.followed.keys().any(|key| key.pid == pid);
        if self.tree {
            // Below a command processes come and go, and some are too young to be read.
            tracing::debug!(%pid, %error, "cannot look");
        } else if !known {
            return Err(from_look(error));
        } else if is_gone(&error) {
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
    pub fn standing(&self, verdict: Verdict) -> usize {
        let standing = self.followed.values().flat_map(Followed::standing);
        standing
            .filter(|finding| finding.verdict == verdict)
            .count()
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
