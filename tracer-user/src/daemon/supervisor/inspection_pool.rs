//! The threads that inspection of processes, and what waits for them.
//!
//! There are some for routine inspections and some for urgent ones, and more come while all are at looks that
//! take long, so that no process holds up another. Routine inspections run where a CPU is idle, as long as they end soon: a busy target keeps its
//! CPUs.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    plan::Room,
    todo::{Job, PATIENCE, Queue, Request, Running, THREADS, Urgency},
};
use crate::{
    daemon::watchdog::{Place, Subject, Watchdog},
    inspect::{History, InspectError, Inspection, Inspector},
};
use ids::Tid;
use process::{Owner, ProcessKey};
use resources::{
    clock::own_cpu_time,
    scheduling::{as_usual, may_return, only_when_idle, this_thread},
};

/// An inspection that has been made.
pub struct Done {
    /// What was wanted.
    pub order: Request,
    /// The process's past, which this inspection is part of now.
    pub past: History,
    /// What it says.
    pub outcome: Result<Inspection, InspectError>,
    /// When it began.
    pub began: Instant,
    /// How long it took.
    pub took: Duration,
    /// The CPU time that it took.
    pub cost: Duration,
}

struct Desk {
    todo: Mutex<Queue>,
    work: Condvar,
    inspector: Arc<Inspector>,
    attendance: Watchdog,
    /// Whether a thread that gives way can be given its share again.
    may_give_way: bool,
}

/// The threads, and what they have done.
pub struct InspectionPool {
    desk: Arc<Desk>,
    tell: Sender<Done>,
    done: Receiver<Done>,
}

impl InspectionPool {
    /// Starts the threads. They end when this is dropped, each after the inspection that it is at.
    ///
    /// # Errors
    /// When there can be no threads.
    pub fn start(inspector: Arc<Inspector>, attendance: Watchdog) -> io::Result<Self> {
        let may_give_way = may_return();
        if !may_give_way {
            tracing::debug!("no RLIMIT_NICE of 20: routine looks take their share of busy CPUs");
        }
        let desk = Arc::new(Desk {
            todo: Mutex::default(),
            work: Condvar::new(),
            inspector,
            attendance,
            may_give_way,
        });
        let (tell, done) = channel();
        let pool = Self { desk, tell, done };
        for urgency in [Urgency::Routine, Urgency::Urgent] {
            for _ in 0..THREADS {
                pool.add_thread(urgency)?;
            }
        }
        Ok(pool)
    }

    /// Another thread that makes no looks less urgent than `least`.
    fn add_thread(&self, least: Urgency) -> io::Result<()> {
        let name = match least {
            Urgency::Routine => "gostuck-looks",
            Urgency::Urgent => "gostuck-urgent",
        };
        let (desk, tell) = (Arc::clone(&self.desk), self.tell.clone());
        thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || desk.serve(least, &tell))?;
        self.desk.todo().threads[least as usize] += 1;
        Ok(())
    }

    /// How many more inspections may be asked for.
    pub fn room(&self, urgency: Urgency) -> Room {
        self.desk.todo().room(urgency)
    }

    /// Adds a thread where looks wait, and all that could make them are at looks that take long.
    pub fn relieve(&self) {
        for urgency in [Urgency::Routine, Urgency::Urgent] {
            let held = self.desk.attendance.held(Place::Looks(urgency));
            let held_up = self.desk.todo().is_held_up(urgency, held);
            if held_up && let Err(error) = self.add_thread(urgency) {
                tracing::warn!(%error, "no further thread for looks");
            }
        }
    }

    /// A thread that makes no looks less urgent than `least` is lost: another takes its place.
    pub fn replace(&self, least: Urgency, thread: Tid) {
        {
            let mut todo = self.desk.todo();
            todo.now.retain(|look| look.thread != thread);
            let threads = &mut todo.threads[least as usize];
            *threads = threads.saturating_sub(1);
        }
        if let Err(error) = self.add_thread(least) {
            tracing::warn!(%error, "no thread in place of one that is lost");
        }
    }

    /// Has a process of `owner` looked at.
    pub fn begin(&self, order: Request, owner: Owner, past: History) {
        let mut todo = self.desk.todo();
        let queue = match order.urgency {
            Urgency::Routine => &mut todo.routine,
            Urgency::Urgent => &mut todo.urgent,
        };
        queue.push_back(Job { order, owner, past });
        if order.urgency == Urgency::Urgent {
            // It may wait for what an inspection that gives way is reading.
            todo.hurry(|_| true);
        }
        drop(todo);
        self.desk.work.notify_all();
    }

    /// Somebody in that process waits for a lock: the inspection that was asked for is wanted now.
    pub fn hurry(&self, key: ProcessKey) {
        let mut todo = self.desk.todo();
        if todo.make_urgent(key) {
            todo.hurry(|_| true);
            self.desk.work.notify_all();
        } else {
            todo.hurry(|look| look.key == key);
        }
    }

    /// Sees to it that every inspection comes to its end.
    pub fn hurry_late(&self) {
        let todo = self.desk.todo();
        todo.hurry(|look| look.since.elapsed() >= PATIENCE);
    }

    /// Whether an inspection of the process is wanted or being made.
    pub fn has(&self, key: ProcessKey) -> bool {
        let todo = self.desk.todo();
        let wanted = todo.routine.iter().chain(&todo.urgent);
        let mut wanted = wanted.map(|job| job.order.key);
        wanted.any(|one| one == key) || todo.now.iter().any(|look| look.key == key)
    }

    /// Whether an inspection of a process in which somebody waits for a lock is wanted or being made.
    pub fn has_urgent(&self) -> bool {
        let todo = self.desk.todo();
        let mut now = todo.now.iter();
        !todo.urgent.is_empty() || now.any(|look| look.urgency == Urgency::Urgent)
    }

    /// The inspections that have been made since this was last asked.
    pub fn done(&self) -> impl Iterator<Item = Done> + '_ {
        self.done.try_iter()
    }
}

impl Drop for InspectionPool {
    fn drop(&mut self) {
        self.desk.todo().over = true;
        self.desk.work.notify_all();
    }
}

impl Desk {
    fn todo(&self) -> MutexGuard<'_, Queue> {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes one inspection after another.
    fn serve(&self, least: Urgency, tell: &Sender<Done>) {
        while let Some(job) = self.take(least) {
            let Job {
                order,
                owner,
                mut past,
            } = job;
            let subject = Subject {
                pid: order.key.pid,
                owner: Some(owner),
                file: None,
            };
            let presence = self.attendance.enter(subject, Place::Looks(least));
            let began = Instant::now();
            let before = own_cpu_time();
            let look = AssertUnwindSafe(|| self.inspector.reinspect(order.key.pid, &mut past));
            let outcome = catch_unwind(look).unwrap_or_else(|_| {
                tracing::error!(pid = %order.key.pid, "{}", InspectError::Broken);
                Err(InspectError::Broken)
            });
            if matches!(outcome, Err(InspectError::Broken)) {
                // It may be in pieces.
                past = History::walked_elsewhere();
            }
            if !presence.end() {
                return;
            }
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
            // Only now: who sees no inspection any more finds it among those that are done.
            let thread = this_thread();
            self.todo().now.retain(|look| look.thread != thread);
            if !heard {
                return;
            }
        }
    }

    /// Waits for the next inspection; `None` when there are no more.
    fn take(&self, least: Urgency) -> Option<Job> {
        let mut todo = self.todo();
        loop {
            if todo.over {
                return None;
            }
            if let Some((job, urgency)) = todo.next(least) {
                let gives_way = urgency == Urgency::Routine && self.may_give_way;
                let gives_way = Arc::new(AtomicBool::new(gives_way));
                todo.now.push(Running {
                    key: job.order.key,
                    urgency,
                    costly: job.order.costly,
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
            tracing::warn!(%error, "the thread's priority could not be restored");
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
    use crate::finding::Options;
    use ids::Pid;
    use process::Process;

    #[test]
    fn looks_of_either_kind_are_made_and_told_of_with_what_was_wanted() {
        let pool = InspectionPool::start(
            Arc::new(Inspector::new(Options::default())),
            Watchdog::default(),
        )
        .unwrap();
        // No Go process.
        let own = Process::open(Pid(std::process::id())).unwrap();
        for (serial, urgency) in [(7, Urgency::Routine), (8, Urgency::Urgent)] {
            let order = Request {
                key: own.key,
                serial,
                urgency,
                early: false,
                costly: false,
            };
            pool.begin(order, Owner::of(&own), History::walked_elsewhere());
        }
        let mut serials: Vec<u64> = pool
            .done
            .iter()
            .take(2)
            .inspect(|done| assert!(done.outcome.is_err()))
            .map(|done| done.order.serial)
            .collect();
        serials.sort_unstable();
        assert_eq!(serials, [7, 8]);
        while pool.has_urgent() {
            thread::yield_now();
        }
        assert!(pool.room(Urgency::Routine).quick > 0);
    }
}
