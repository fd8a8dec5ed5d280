//! Walks of heaps, beside the inspections: on a thread of their own, so that a walk, which may take long,
//! holds up no inspection.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use super::watchdog::{Place, Subject, Watchdog};
use crate::inspect::{History, InspectError, Inspector};
use ids::Pid;
use process::Owner;
use resources::{clock::own_cpu_time, scheduling::only_when_idle};

/// How walks give way to everybody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchedPolicy {
    /// Being nice (nice(2)): they come to an end on a busy machine, too.
    Nice,
    /// Running only where a CPU is idle: next to nobody notices them.
    Idle,
}

/// The thread that walks, and what it has found. By a `T` whoever wants a walk knows it again.
pub struct HeapWalkWorker<T> {
    jobs: Sender<Job<T>>,
    done: Receiver<Done<T>>,
}

/// A walk that is wanted.
struct Job<T> {
    pid: Pid,
    owner: Owner,
    order: T,
    past: History,
}

/// A walk that has ended.
pub struct Done<T> {
    /// What was wanted.
    pub order: T,
    /// What the inspection that walked leaves, for [`History::take_walk`].
    pub past: History,
    /// The CPU time that it took.
    pub cost: Duration,
}

impl<T: Send + 'static> HeapWalkWorker<T> {
    /// Starts the thread. It ends when this is dropped, after the walk that it is at; also when it is
    /// lost by `attendance`, where it is watched.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn start(
        inspector: Arc<Inspector>,
        manners: SchedPolicy,
        attendance: Option<Watchdog>,
    ) -> io::Result<Self> {
        let (jobs, todo) = channel::<Job<T>>();
        let (tell, done) = channel();
        thread::Builder::new()
            .name("gostuck-walks".to_owned())
            .spawn(move || {
                if manners == SchedPolicy::Idle {
                    only_when_idle();
                }
                for job in todo {
                    let Job {
                        pid,
                        owner,
                        order,
                        mut past,
                    } = job;
                    let subject = Subject {
                        pid,
                        owner: Some(owner),
                        file: None,
                    };
                    let presence = attendance.as_ref();
                    let presence = presence.map(|all| all.enter(subject, Place::Walks));
                    let before = own_cpu_time();
                    let walk = AssertUnwindSafe(|| inspector.reinspect(pid, &mut past));
                    match catch_unwind(walk) {
                        Ok(Ok(_)) => {}
                        // The next inspection will tell of it, if that is worth telling.
                        Ok(Err(error)) => tracing::debug!(%pid, %error, "cannot walk the heap"),
                        Err(_) => {
                            tracing::error!(%pid, "a walk: {}", InspectError::Broken);
                            past = History::walked_elsewhere();
                        }
                    }
                    if presence.is_some_and(|presence| !presence.end()) {
                        return;
                    }
                    let cost = own_cpu_time().saturating_sub(before);
                    let done = Done { order, past, cost };
                    if tell.send(done).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self { jobs, done })
    }

    /// Has the heap of a process of this owner walked, with what [`History::for_walk`] gave.
    pub fn begin(&self, (pid, owner): (Pid, Owner), order: T, past: History) {
        // The thread ends only after us.
        let _ = self.jobs.send(Job {
            pid,
            owner,
            order,
            past,
        });
    }

    /// The walks that have ended since this was last asked.
    pub fn done(&self) -> impl Iterator<Item = Done<T>> + '_ {
        self.done.try_iter()
    }
}
