//! The inspections that are wanted, and those that are being made.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::plan::Room;
use crate::inspect::History;
use ids::Tid;
use process::{Owner, ProcessKey};
use resources::scheduling::as_usual;

/// After so long an inspection no longer gives way to others: it must come to its end on a busy machine, too.
pub const PATIENCE: Duration = Duration::from_millis(500);
/// Most looks of one kind that wait: who comes to wait for a lock meanwhile is not behind many.
const MOST_WAITING: usize = 8;
/// Threads of each kind at first, and at most beside those that are lost or held.
pub const THREADS: usize = 2;
const MAX_THREADS: usize = 6;
/// Most threads of one kind that take the place of held ones: as many as may be lost.
pub const MOST_HELD: usize = 16;

/// How soon an inspection is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// When a CPU has time.
    Routine,
    /// Now: somebody waits for a lock.
    Urgent,
}

/// Which look is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// At this process.
    pub key: ProcessKey,
    /// As this process of ours: one that executes another program is another.
    pub serial: u64,
    /// How soon.
    pub urgency: Urgency,
    /// Whether before its time.
    pub early: bool,
    /// Whether it is expected to take long.
    pub costly: bool,
}

/// An inspection that is wanted, with the process's past.
pub struct Job {
    pub order: Request,
    pub owner: Owner,
    pub past: History,
}

/// An inspection that is being made.
pub struct Running {
    pub key: ProcessKey,
    pub urgency: Urgency,
    pub costly: bool,
    pub thread: Tid,
    pub since: Instant,
    /// Whether it is to run only where a CPU is idle.
    pub gives_way: Arc<AtomicBool>,
}

/// What is to be done, and by how many.
#[derive(Default)]
pub struct Queue {
    pub routine: VecDeque<Job>,
    pub urgent: VecDeque<Job>,
    pub now: Vec<Running>,
    /// How many threads make routine inspections, and how many none but urgent ones.
    pub threads: [usize; 2],
    /// No look is wanted any more.
    pub over: bool,
}

impl Queue {
    /// The next inspection for a thread that makes none less urgent than `least`.
    pub fn next(&mut self, least: Urgency) -> Option<(Job, Urgency)> {
        if let Some(job) = self.urgent.pop_front() {
            return Some((job, Urgency::Urgent));
        }
        let routine = (least == Urgency::Routine).then_some(&mut self.routine)?;
        Some((routine.pop_front()?, Urgency::Routine))
    }

    fn queue(&self, urgency: Urgency) -> &VecDeque<Job> {
        match urgency {
            Urgency::Routine => &self.routine,
            Urgency::Urgent => &self.urgent,
        }
    }

    /// How many more inspections may be asked for. Of those that take long, one at a time.
    pub fn room(&self, urgency: Urgency) -> Room {
        let waiting = self.queue(urgency).iter();
        let costly = waiting.filter(|job| job.order.costly).count();
        let mut now = self.now.iter().filter(|look| look.urgency == urgency);
        Room {
            quick: (MOST_WAITING + costly).saturating_sub(self.queue(urgency).len()),
            costly: usize::from(costly == 0 && !now.any(|look| look.costly)),
        }
    }

    /// Whether looks wait while all threads that could make them are at looks that have taken long,
    /// and another thread may be added: `held` of them wait for a process that does not answer.
    pub fn is_held_up(&self, urgency: Urgency, held: usize) -> bool {
        let [routine, urgent] = self.threads;
        let able = match urgency {
            Urgency::Routine => routine,
            Urgency::Urgent => routine + urgent,
        };
        let late = |look: &&Running| look.since.elapsed() >= PATIENCE;
        !self.queue(urgency).is_empty()
            && self.threads[urgency as usize] < MAX_THREADS + held.min(MOST_HELD)
            && self.now.iter().filter(late).count() >= able
    }

    /// Puts the routine inspection of a process among the urgent ones. False when none waits.
    pub fn make_urgent(&mut self, key: ProcessKey) -> bool {
        let at = self.routine.iter().position(|job| job.order.key == key);
        let Some(mut job) = at.and_then(|at| self.routine.remove(at)) else {
            return false;
        };
        job.order.urgency = Urgency::Urgent;
        self.urgent.push_back(job);
        true
    }

    /// Gives looks that give way their share of the CPUs.
    pub fn hurry(&self, which: impl Fn(&Running) -> bool) {
        let late = self.now.iter();
        for look in late.filter(|look| which(look)) {
            if look.gives_way.swap(false, Ordering::SeqCst)
                && let Err(error) = as_usual(look.thread)
            {
                tracing::warn!(%error, "the inspection's priority could not be raised");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Pid;
    use process::StartTime;

    fn order(pid: u32, urgency: Urgency) -> Request {
        Request {
            key: ProcessKey {
                pid: Pid(pid),
                start_time: StartTime(1),
            },
            serial: 0,
            urgency,
            early: false,
            costly: false,
        }
    }

    #[test]
    fn whoever_waits_for_a_lock_is_not_behind_routine_looks() {
        let mut todo = Queue::default();
        for (pid, urgency) in [(1, Urgency::Routine), (2, Urgency::Urgent)] {
            let job = Job {
                order: order(pid, urgency),
                owner: Owner::User(0),
                past: History::walked_elsewhere(),
            };
            match urgency {
                Urgency::Routine => todo.routine.push_back(job),
                Urgency::Urgent => todo.urgent.push_back(job),
            }
        }
        let mut next = |least| todo.next(least).map(|(job, _)| job.order.key.pid);
        assert_eq!(next(Urgency::Routine), Some(Pid(2)));
        // The thread for urgent inspections makes no others, lest one should come.
        assert_eq!(next(Urgency::Urgent), None);
        assert_eq!(next(Urgency::Routine), Some(Pid(1)));
    }

    #[test]
    fn a_routine_look_that_is_wanted_now_is_an_urgent_one() {
        let mut todo = Queue::default();
        let order = order(1, Urgency::Routine);
        todo.routine.push_back(Job {
            order,
            owner: Owner::User(0),
            past: History::walked_elsewhere(),
        });
        assert!(todo.make_urgent(order.key));
        let (job, urgency) = todo.next(Urgency::Urgent).unwrap();
        assert_eq!((job.order.urgency, urgency), (urgency, Urgency::Urgent));
        assert!(!todo.make_urgent(order.key));
    }

    #[test]
    fn one_look_that_takes_long_is_made_at_a_time() {
        let mut todo = Queue::default();
        let costly = Request {
            costly: true,
            ..order(1, Urgency::Routine)
        };
        assert_eq!(todo.room(Urgency::Routine).costly, 1);
        todo.routine.push_back(Job {
            order: costly,
            owner: Owner::User(0),
            past: History::walked_elsewhere(),
        });
        let room = todo.room(Urgency::Routine);
        assert_eq!((room.quick, room.costly), (MOST_WAITING, 0));
        assert_eq!(todo.room(Urgency::Urgent).costly, 1);
    }

    #[test]
    fn threads_are_added_only_while_all_are_at_looks_that_take_long() {
        let mut todo = Queue {
            threads: [1, 1],
            ..Queue::default()
        };
        let look = |since| Running {
            key: order(1, Urgency::Routine).key,
            urgency: Urgency::Routine,
            costly: false,
            thread: Tid(1),
            since,
            gives_way: Arc::default(),
        };
        let now = Instant::now();
        todo.now.push(look(now));
        todo.routine.push_back(Job {
            order: order(2, Urgency::Routine),
            owner: Owner::User(0),
            past: History::walked_elsewhere(),
        });
        assert!(!todo.is_held_up(Urgency::Routine, 0));
        todo.now = now.checked_sub(PATIENCE).map(look).into_iter().collect();
        assert!(todo.is_held_up(Urgency::Routine, 0));
        // The thread for urgent ones is free.
        assert!(!todo.is_held_up(Urgency::Urgent, 0));
        todo.threads[0] = MAX_THREADS;
        let late = now.checked_sub(PATIENCE);
        todo.now = (0..MAX_THREADS + 1)
            .filter_map(|_| late.map(look))
            .collect();
        assert!(!todo.is_held_up(Urgency::Routine, 0));
        // Threads that wait for a process that does not answer do not count.
        assert!(todo.is_held_up(Urgency::Routine, 1));
    }
}
