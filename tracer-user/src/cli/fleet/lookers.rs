//! The threads that look at processes, and what waits for them.
//!
//! There are two, so that a look that takes long holds up nobody in whose process somebody waits for
//! a lock. Routine looks run where a CPU is idle, as long as they end soon: a busy target keeps its
//! CPUs.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    clock::own_cpu_time,
    finding::{Look, LookError, Looker, Past},
    ids::Tid,
    process::ProcessKey,
    scheduling::{as_usual, may_return, only_when_idle, this_thread},
};

/// After so long a look no longer gives way to others: it must come to its end on a busy machine, too.
const PATIENCE: Duration = Duration::from_millis(500);
/// Most routine looks that wait: who comes to wait for a lock meanwhile is not behind many.
const MOST_WAITING: usize = 8;

/// How soon a look is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// When a CPU has time.
    Routine,
    /// Now: somebody waits for a lock.
    Urgent,
}

/// Which look is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// At this process.
    pub key: ProcessKey,
    /// As this member of the fleet: one that executes another program is another.
    pub serial: u64,
    /// How soon.
    pub urgency: Urgency,
    /// Whether before its time.
    pub early: bool,
}

/// A look that is wanted, with the process's past.
struct Job {
    order: Order,
    past: Past,
}

/// A look that has been made.
pub struct Done {
    /// What was wanted.
    pub order: Order,
    /// The process's past, which this look is part of now.
    pub past: Past,
    /// What it says.
    pub outcome: Result<Look, LookError>,
    /// When it began.
    pub began: Instant,
    /// How long it took.
    pub took: Duration,
    /// The CPU time that it took.
    pub cost: Duration,
}

/// A look that is being made.
struct Looking {
    key: ProcessKey,
    urgency: Urgency,
    thread: Tid,
    since: Instant,
    /// Whether it is to run only where a CPU is idle.
    gives_way: Arc<AtomicBool>,
}

#[derive(Default)]
struct Todo {
    routine: VecDeque<Job>,
    urgent: VecDeque<Job>,
    now: Vec<Looking>,
    /// No look is wanted any more.
    over: bool,
}

struct Desk {
    todo: Mutex<Todo>,
    work: Condvar,
    looker: Arc<Looker>,
    /// Whether a thread that gives way can be given its share again.
    may_give_way: bool,
}

/// The threads, and what they have done.
pub struct Lookers {
    desk: Arc<Desk>,
    done: Receiver<Done>,
}

impl Lookers {
    /// Starts the threads. They end when this is dropped, each after the look that it is at.
    ///
    /// # Errors
    /// When there can be no threads.
    pub fn start(looker: Arc<Looker>) -> io::Result<Self> {
        let may_give_way = may_return();
        if !may_give_way {
            tracing::debug!("no RLIMIT_NICE of 20: routine looks take their share of busy CPUs");
        }
        let desk = Arc::new(Desk {
            todo: Mutex::default(),
            work: Condvar::new(),
            looker,
            may_give_way,
        });
        let (tell, done) = channel();
        for (name, least) in [
            ("gostuck-looks", Urgency::Routine),
            ("gostuck-urgent", Urgency::Urgent),
        ] {
            let (desk, tell) = (Arc::clone(&desk), tell.clone());
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || desk.serve(least, &tell))?;
        }
        Ok(Self { desk, done })
    }

    /// Whether another routine look may be asked for.
    pub fn has_room(&self) -> bool {
        self.desk.todo().routine.len() < MOST_WAITING
    }

    /// Has a process looked at.
    pub fn begin(&self, order: Order, past: Past) {
        let mut todo = self.desk.todo();
        let queue = match order.urgency {
            Urgency::Routine => &mut todo.routine,
            Urgency::Urgent => &mut todo.urgent,
        };
        queue.push_back(Job { order, past });
        if order.urgency == Urgency::Urgent {
            // It may wait for what a look that gives way is reading.
            todo.hurry(|_| true);
        }
        drop(todo);
        self.desk.work.notify_all();
    }

    /// Somebody in that process waits for a lock: the look that was asked for is wanted now.
    pub fn hurry(&self, key: ProcessKey) {
        let mut todo = self.desk.todo();
        if todo.make_urgent(key) {
            todo.hurry(|_| true);
            self.desk.work.notify_all();
        } else {
            todo.hurry(|look| look.key == key);
        }
    }

    /// Sees to it that every look comes to its end. How long the longest has taken by now.
    pub fn hurry_late(&self) -> Duration {
        let todo = self.desk.todo();
        todo.hurry(|look| look.since.elapsed() >= PATIENCE);
        let taken = todo.now.iter().map(|look| look.since.elapsed());
        taken.max().unwrap_or(Duration::ZERO)
    }

    /// Whether a look at a process in which somebody waits for a lock is wanted or being made.
    pub fn has_urgent(&self) -> bool {
        let todo = self.desk.todo();
        let mut now = todo.now.iter();
        !todo.urgent.is_empty() || now.any(|look| look.urgency == Urgency::Urgent)
    }

    /// The looks that have been made since this was last asked.
    pub fn done(&self) -> impl Iterator<Item = Done> + '_ {
        self.done.try_iter()
    }
}

impl Drop for Lookers {
    fn drop(&mut self) {
        self.desk.todo().over = true;
        self.desk.work.notify_all();
    }
}

impl Todo {
    /// The next look for a thread that makes none less urgent than `least`.
    fn next(&mut self, least: Urgency) -> Option<(Job, Urgency)> {
        if let Some(job) = self.urgent.pop_front() {
            return Some((job, Urgency::Urgent));
        }
        let routine = (least == Urgency::Routine).then_some(&mut self.routine)?;
        Some((routine.pop_front()?, Urgency::Routine))
    }

    /// Puts the routine look at a process among the urgent ones. False when none waits.
    fn make_urgent(&mut self, key: ProcessKey) -> bool {
        let at = self.routine.iter().position(|job| job.order.key == key);
        let Some(mut job) = at.and_then(|at| self.routine.remove(at)) else {
            return false;
        };
        job.order.urgency = Urgency::Urgent;
        self.urgent.push_back(job);
        true
    }

    /// Gives looks that give way their share of the CPUs.
    fn hurry(&self, which: impl Fn(&Looking) -> bool) {
        let late = self.now.iter();
        for look in late.filter(|look| which(look)) {
            if look.gives_way.swap(false, Ordering::SeqCst)
                && let Err(error) = as_usual(look.thread)
            {
                tracing::warn!(%error, "a look cannot be hurried");
            }
        }
    }
}

impl Desk {
    fn todo(&self) -> MutexGuard<'_, Todo> {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one look after another.
    fn serve(&self, least: Urgency, tell: &Sender<Done>) {
        while let Some(Job { order, mut past }) = self.take(least) {
            let began = Instant::now();
            let before = own_cpu_time();
            let outcome = self.looker.look_again(order.key.pid, &mut past);
            self.return_to_usual();
            let done = Done {
                order,
                past,
                outcome,
                began,
                took: began.elapsed(),
                cost: own_cpu_time().saturating_sub(before),
            };
            let heard = tell.send(done).is_ok();
            // Only now: who sees no look any more finds it among those that are done.
            let thread = this_thread();
            self.todo().now.retain(|look| look.thread != thread);
            if !heard {
                return;
            }
        }
    }

    /// Waits for the next look; `None` when there are no more.
    fn take(&self, least: Urgency) -> Option<Job> {
        let mut todo = self.todo();
        loop {
            if todo.over {
                return None;
            }
            if let Some((job, urgency)) = todo.next(least) {
                let gives_way = urgency == Urgency::Routine && self.may_give_way;
                let gives_way = Arc::new(AtomicBool::new(gives_way));
                todo.now.push(Looking {
                    key: job.order.key,
                    urgency,
                    thread: this_thread(),
                    since: Instant::now(),
                    gives_way: Arc::clone(&gives_way),
                });
                // Whoever gives way must not hold a lock that others wait for.
                drop(todo);
                give_way_while(&gives_way);
                return Some(job);
            }
            let woken = self.work.wait(todo);
            todo = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends giving way, before anything is done that others wait for.
    fn return_to_usual(&self) {
        if self.may_give_way
            && let Err(error) = as_usual(this_thread())
        {
            tracing::warn!(%error, "a thread that gave way cannot return");
        }
    }
}

/// Has the calling thread run only where a CPU is idle, unless it was hurried by now.
fn give_way_while(gives_way: &AtomicBool) {
    if gives_way.load(Ordering::SeqCst) {
        only_when_idle();
        // Hurried in between: that came too early for what was set just now.
        if !gives_way.load(Ordering::SeqCst) {
            let _ = as_usual(this_thread());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        finding::Options,
        ids::Pid,
        process::{Process, StartTime},
    };

    fn order(pid: u32, urgency: Urgency) -> Order {
        Order {
            key: ProcessKey {
                pid: Pid(pid),
                start_time: StartTime(1),
            },
            serial: 0,
            urgency,
            early: false,
        }
    }

    #[test]
    fn whoever_waits_for_a_lock_is_not_behind_routine_looks() {
        let mut todo = Todo::default();
        for (pid, urgency) in [(1, Urgency::Routine), (2, Urgency::Urgent)] {
            let job = Job {
                order: order(pid, urgency),
                past: Past::walked_elsewhere(),
            };
            match urgency {
                Urgency::Routine => todo.routine.push_back(job),
                Urgency::Urgent => todo.urgent.push_back(job),
            }
        }
        let mut next = |least| todo.next(least).map(|(job, _)| job.order.key.pid);
        assert_eq!(next(Urgency::Routine), Some(Pid(2)));
        // The thread for urgent looks makes no others, lest one should come.
        assert_eq!(next(Urgency::Urgent), None);
        assert_eq!(next(Urgency::Routine), Some(Pid(1)));
    }

    #[test]
    fn a_routine_look_that_is_wanted_now_is_an_urgent_one() {
        let mut todo = Todo::default();
        let order = order(1, Urgency::Routine);
        todo.routine.push_back(Job {
            order,
            past: Past::walked_elsewhere(),
        });
        assert!(todo.make_urgent(order.key));
        let (job, urgency) = todo.next(Urgency::Urgent).unwrap();
        assert_eq!((job.order.urgency, urgency), (urgency, Urgency::Urgent));
        assert!(!todo.make_urgent(order.key));
    }

    #[test]
    fn looks_of_either_kind_are_made_and_told_of_with_what_was_wanted() {
        let lookers = Lookers::start(Arc::new(Looker::new(Options::default()))).unwrap();
        // No Go process.
        let own = Process::open(Pid(std::process::id())).unwrap();
        for (serial, urgency) in [(7, Urgency::Routine), (8, Urgency::Urgent)] {
            let order = Order {
                key: own.key,
                serial,
                ..order(0, urgency)
            };
            lookers.begin(order, Past::walked_elsewhere());
        }
        let mut serials: Vec<u64> = lookers
            .done
            .iter()
            .take(2)
            .inspect(|done| assert!(done.outcome.is_err()))
            .map(|done| done.order.serial)
            .collect();
        serials.sort_unstable();
        assert_eq!(serials, [7, 8]);
        while lookers.has_urgent() {
            thread::yield_now();
        }
        assert!(lookers.has_room());
    }
}
