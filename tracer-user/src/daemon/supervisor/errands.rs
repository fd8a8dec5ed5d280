//! What is done at processes beside looks, on threads of its own: opening them, finding out what
//! they execute, and glances at who waits for locks. All of that may wait for whoever serves a process's
//! memory or executable, and the supervisor's own thread never does.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::todo::{MOST_HELD, PATIENCE};
use crate::{
    daemon::watchdog::{Place, Subject, Watchdog},
    inspect::{History, Inspector},
};
use ids::Pid;
use image::Image;
use probes::{ImageFile, ProbeError};
use process::{GoCheck, GoProcesses, Owner, Process, ProcessError, ProcessKey};
use resources::clock::own_cpu_time;

/// Threads at first, and at most beside those that are lost or held.
const THREADS: usize = 2;
const MAX_THREADS: usize = 6;

/// What is wanted.
pub enum Errand {
    /// To know what runs as this pid.
    Open(Pid),
    /// To know what a process executes, and the file to place probes on.
    Prepare(TrackedProcess, Box<Process>),
    /// To see who waits for semaphores in a process.
    Glance(TrackedProcess, Owner, Box<History>),
}

/// A process of ours: one that executes another program is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackedProcess {
    /// Which process.
    pub key: ProcessKey,
    /// Which member.
    pub serial: u64,
}

/// What came of it.
pub enum Brought {
    /// What runs as the pid: `None` where that is no Go program.
    Opened(Pid, Result<Option<Box<Process>>, ProcessError>),
    /// What the process executes; `None` where that cannot be used, which an inspection will tell of. And the CPU
    /// time that reading it took.
    Prepared(TrackedProcess, Option<Box<Prepared>>, Duration),
    /// The past of the process, which knows who waits, and the CPU time that it took.
    Glanced(TrackedProcess, Box<History>, Duration),
}

/// What probes are placed by.
pub struct Prepared {
    /// The process as it is now.
    pub process: Process,
    /// What it executes.
    pub image: Arc<Image>,
    /// The file, held open.
    pub file: Result<ImageFile, ProbeError>,
}

#[derive(Default)]
struct Queue {
    wanted: VecDeque<Errand>,
    /// When each thread that is out went.
    out: Vec<Instant>,
    threads: usize,
    over: bool,
}

struct Desk {
    todo: Mutex<Queue>,
    work: Condvar,
    inspector: Arc<Inspector>,
    attendance: Watchdog,
    /// How many have come back that nobody has taken in.
    back: AtomicUsize,
}

/// The threads, and what they have brought.
pub struct Errands {
    desk: Arc<Desk>,
    tell: Sender<Brought>,
    brought: Receiver<Brought>,
}

impl Errands {
    /// Starts the threads. They end when this is dropped, each after what it is at.
    ///
    /// # Errors
    /// When there can be no threads.
    pub fn start(inspector: Arc<Inspector>, attendance: Watchdog) -> io::Result<Self> {
        let desk = Arc::new(Desk {
            todo: Mutex::default(),
            work: Condvar::new(),
            inspector,
            attendance,
            back: AtomicUsize::new(0),
        });
        let (tell, brought) = channel();
        let errands = Self {
            desk,
            tell,
            brought,
        };
        for _ in 0..THREADS {
            errands.add_thread()?;
        }
        Ok(errands)
    }

    fn add_thread(&self) -> io::Result<()> {
        let (desk, tell) = (Arc::clone(&self.desk), self.tell.clone());
        thread::Builder::new()
            .name("gostuck-errands".to_owned())
            .spawn(move || desk.serve(&tell))?;
        self.desk.todo().threads += 1;
        Ok(())
    }

    /// Has something done.
    pub fn send(&self, errand: Errand) {
        self.desk.todo().wanted.push_back(errand);
        self.desk.work.notify_one();
    }

    /// Adds a thread where something waits, and all threads have been out for long.
    pub fn relieve(&self) {
        let most = MAX_THREADS + self.desk.attendance.held(Place::Errands).min(MOST_HELD);
        let held_up = {
            let todo = self.desk.todo();
            let late = todo.out.iter().filter(|since| since.elapsed() >= PATIENCE);
            !todo.wanted.is_empty() && todo.threads < most && late.count() >= todo.threads
        };
        if held_up && let Err(error) = self.add_thread() {
            tracing::warn!(%error, "no further thread for errands");
        }
    }

    /// One of the threads is lost: another takes its place.
    pub fn replace(&self) {
        {
            let mut todo = self.desk.todo();
            todo.threads = todo.threads.saturating_sub(1);
            // The one that has been out for the longest.
            if let Some(at) = (0..todo.out.len()).min_by_key(|at| todo.out[*at]) {
                todo.out.swap_remove(at);
            }
        }
        if let Err(error) = self.add_thread() {
            tracing::warn!(%error, "no thread in place of one that is lost");
        }
    }

    /// Whether something was brought that was not taken in.
    pub fn has_any(&self) -> bool {
        self.desk.back.load(Ordering::Relaxed) > 0
    }

    /// What was brought since this was last asked.
    pub fn brought(&self) -> Vec<Brought> {
        let brought: Vec<Brought> = self.brought.try_iter().collect();
        self.desk.back.fetch_sub(brought.len(), Ordering::Relaxed);
        brought
    }
}

impl Drop for Errands {
    fn drop(&mut self) {
        let mut todo = self.desk.todo();
        todo.over = true;
        todo.wanted.clear();
        drop(todo);
        self.desk.work.notify_all();
    }
}

impl Desk {
    fn todo(&self) -> MutexGuard<'_, Queue> {
        self.todo.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one errand after another.
    fn serve(&self, tell: &Sender<Brought>) {
        // Each thread remembers for itself which files are Go's: what is shared could be held by one
        // that is lost.
        let mut scanner = GoProcesses::new();
        while let Some((errand, since)) = self.take() {
            let presence = self.attendance.enter(errand.subject(), Place::Errands);
            let (pid, nothing) = (errand.pid(), errand.nothing());
            let run = AssertUnwindSafe(|| self.run(errand, &mut scanner));
            let brought = catch_unwind(run);
            if !presence.end() {
                return;
            }
            self.came_back(since);
            let brought = brought.unwrap_or_else(|_| {
                tracing::error!(%pid, "reading the process failed: a fault in gostuck, please report it");
                nothing
            });
            self.back.fetch_add(1, Ordering::Relaxed);
            if tell.send(brought).is_err() {
                return;
            }
        }
    }

    fn take(&self) -> Option<(Errand, Instant)> {
        let mut todo = self.todo();
        loop {
            if todo.over {
                return None;
            }
            if let Some(errand) = todo.wanted.pop_front() {
                let now = Instant::now();
                todo.out.push(now);
                return Some((errand, now));
            }
            let woken = self.work.wait(todo);
            todo = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn came_back(&self, since: Instant) {
        let mut todo = self.todo();
        if let Some(at) = todo.out.iter().position(|one| *one == since) {
            todo.out.swap_remove(at);
        }
    }

    fn run(&self, errand: Errand, scanner: &mut GoProcesses) -> Brought {
        match errand {
            Errand::Open(pid) => {
                let opened = Process::open(pid);
                let go = opened.and_then(|process| {
                    let check = scanner.check(&process)?;
                    Ok((check == GoCheck::Go).then(|| Box::new(process)))
                });
                Brought::Opened(pid, go)
            }
            Errand::Prepare(member, _) => {
                let before = own_cpu_time();
                let prepared = self.prepare(member.key).map(Box::new);
                let cost = own_cpu_time().saturating_sub(before);
                Brought::Prepared(member, prepared, cost)
            }
            Errand::Glance(member, _, mut past) => {
                let before = own_cpu_time();
                past.glance();
                let cost = own_cpu_time().saturating_sub(before);
                Brought::Glanced(member, past, cost)
            }
        }
    }

    fn prepare(&self, key: ProcessKey) -> Option<Prepared> {
        let process = Process::open(key.pid).ok()?;
        let image = self.inspector.image_of(&process).ok()?;
        let file = ImageFile::of_image(&process.exe_for_us(), &image);
        (process.key == key).then_some(Prepared {
            process,
            image,
            file,
        })
    }
}

impl Errand {
    fn pid(&self) -> Pid {
        match self {
            Self::Open(pid) => *pid,
            Self::Prepare(member, _) | Self::Glance(member, ..) => member.key.pid,
        }
    }

    /// What is brought when it broke off.
    fn nothing(&self) -> Brought {
        match self {
            Self::Open(pid) => Brought::Opened(*pid, Ok(None)),
            Self::Prepare(member, _) => Brought::Prepared(*member, None, Duration::ZERO),
            Self::Glance(member, ..) => Brought::Glanced(
                *member,
                Box::new(History::walked_elsewhere()),
                Duration::ZERO,
            ),
        }
    }

    fn subject(&self) -> Subject {
        let (owner, file) = match self {
            Self::Open(_) => (None, None),
            Self::Prepare(_, process) => (Some(Owner::of(process)), Some(process.exe.file)),
            Self::Glance(_, owner, _) => (Some(owner.clone()), None),
        };
        Subject {
            pid: self.pid(),
            owner,
            file,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Options;

    #[test]
    fn what_is_wanted_is_brought() {
        let inspector = Arc::new(Inspector::new(Options::default()));
        let errands = Errands::start(inspector, Watchdog::default()).unwrap();
        let own = Process::open(Pid(std::process::id())).unwrap();
        let member = TrackedProcess {
            key: own.key,
            serial: 3,
        };
        let owner = Owner::of(&own);
        errands.send(Errand::Open(own.pid()));
        errands.send(Errand::Prepare(member, Box::new(own)));
        let past = Box::new(History::walked_elsewhere());
        errands.send(Errand::Glance(member, owner, past));
        let brought: Vec<Brought> = errands.brought.iter().take(3).collect();
        for one in brought {
            match one {
                // This is no Go program.
                Brought::Opened(pid, opened) => {
                    assert_eq!((pid, opened.unwrap().is_none()), (member.key.pid, true));
                }
                Brought::Prepared(of, prepared, _) => {
                    assert_eq!((of, prepared.is_none()), (member, true));
                }
                Brought::Glanced(of, past, _) => {
                    assert_eq!((of, past.can_glance()), (member, false));
                }
            }
        }
    }
}
