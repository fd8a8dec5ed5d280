//! Walks of heaps, beside the inspections: when to begin one, and what becomes of it.

use std::time::Instant;

use super::{Supervisor, member::TrackedProcess, pace::CpuBudget};
use crate::{daemon::heap_walk_worker::HeapWalkWorker, finding::Diagnosis, inspect::History};
use ids::Pid;
use process::{Owner, ProcessKey};

/// Which walk is wanted.
#[derive(Debug, Clone, Copy)]
pub struct WalkOrder {
    /// Of the heap of this process.
    pub key: ProcessKey,
    /// As this process of ours: one that executes another program is another.
    pub serial: u64,
}

impl TrackedProcess {
    /// Has the heap walked after an inspection that said `diagnosis`, if that is due and affordable.
    pub(super) fn walk_if_due(
        &mut self,
        key: ProcessKey,
        diagnosis: &Diagnosis,
        walks: &mut Option<(HeapWalkWorker<WalkOrder>, CpuBudget)>,
    ) {
        let now = Instant::now();
        let Some((walker, allowance)) = walks else {
            return;
        };
        let due = self.walk_due.is_some_and(|due| due <= now);
        let past = self.past.here();
        let wanted = past.is_some_and(|past| past.walk_is_due(diagnosis));
        if due && wanted && allowance.has_any(now) {
            let order = WalkOrder {
                key,
                serial: self.serial,
            };
            let owner = Owner::of(&self.process);
            walker.begin((key.pid, owner), order, History::for_walk(diagnosis));
            self.walk_due = None;
        }
    }
}

impl Supervisor {
    /// The thread that walks is lost at the process that has `pid`: another takes its place, and
    /// begins with nothing to do. Whoever's walk waited behind that one may have another.
    pub(super) fn replace_walker(&mut self, pid: Pid, now: Instant) {
        let Some((walker, _)) = &mut self.walks else {
            return;
        };
        match Self::walker(&self.shared) {
            Ok(another) => *walker = another,
            Err(error) => tracing::warn!(%error, "no thread in place of one that is lost"),
        }
        let members = self.members.iter_mut();
        for (_, member) in members.filter(|(key, _)| key.pid != pid) {
            member.walk_due.get_or_insert(now);
        }
    }

    /// Takes in the walks that have ended.
    pub(super) fn take_walks(&mut self) {
        let Some((walker, allowance)) = &mut self.walks else {
            return;
        };
        for done in walker.done() {
            allowance.spend(done.cost);
            let WalkOrder { key, serial } = done.order;
            let others = self.members.iter().filter(|(other, _)| **other != key);
            let costs = others.map(|(_, member)| member.walk_cost);
            let share = self.walk_pace.share(costs.chain([done.cost]));
            let member = self.members.get_mut(&key);
            let Some(member) = member.filter(|member| member.serial == serial) else {
                continue;
            };
            let now = Instant::now();
            member.walk_cost = done.cost;
            member.walk_due = Some(now + self.walk_pace.after(done.cost, share));
            if member.past.take_walk(done.past) {
                // Even where nobody has moved: the next inspection tells of it.
                (member.due, member.cpu_time) = (now, None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, thread};

    use super::*;
    use crate::daemon::{
        heap_walk_worker::SchedPolicy,
        supervisor::fixture::{process, supervisor},
    };

    #[test]
    fn what_a_walk_found_of_the_program_before_is_dropped() {
        let mut supervisor = supervisor();
        let walker = HeapWalkWorker::start(
            Arc::clone(&supervisor.shared.inspector),
            SchedPolicy::Nice,
            None,
        );
        let walker = walker.unwrap();
        // `PID_MAX_LIMIT` (include/linux/threads.h): no process has them, so the walks fail.
        let (another, same) = (
            process((1 << 22) + 1, 1, 100),
            process((1 << 22) + 2, 1, 100),
        );
        for (process, later) in [(&another, 1), (&same, 0)] {
            supervisor.found(process.clone());
            let member = supervisor.members.get_mut(&process.key).unwrap();
            member.walk_due = None;
            let order = WalkOrder {
                key: process.key,
                serial: member.serial + later,
            };
            let whose = (process.pid(), Owner::of(process));
            walker.begin(whose, order, History::walked_elsewhere());
        }
        supervisor.walks = Some((walker, CpuBudget::new(0.01, Instant::now())));
        while supervisor.members[&same.key].walk_due.is_none() {
            thread::yield_now();
            supervisor.take_walks();
        }
        assert_eq!(supervisor.members[&another.key].walk_due, None);
    }
}
