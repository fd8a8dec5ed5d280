//! Stopping every thread of a process, those that appear meanwhile included.

use std::{
    collections::BTreeMap,
    fs, io, thread,
    time::{Duration, Instant},
};

use super::{FreezeError, ptrace};
use ids::{Pid, Tid};
use memory::ThreadRegisters;

/// How often a thread is asked whether it has stopped.
const POLL: Duration = Duration::from_micros(20);
/// How long one thread may take to stop: on a busy machine it has to get a CPU first, and in an
/// uninterruptible sleep it never does.
const PATIENCE: Duration = Duration::from_secs(1);

/// Threads that are stopped; they run on when this is dropped.
#[derive(Debug, Default)]
pub struct StoppedThreads {
    /// Each with the signal that it was about to receive, 0 for none.
    threads: BTreeMap<Tid, libc::c_int>,
}

/// Stops all threads of `pid`, until a listing shows no new one.
///
/// # Errors
/// When one cannot be stopped; the others run on.
pub fn stop_all(pid: Pid, until: Instant) -> Result<StoppedThreads, FreezeError> {
    let mut stopped = StoppedThreads::default();
    loop {
        let listed = list(pid).map_err(|source| FreezeError::Threads { pid, source })?;
        let new: Vec<Tid> = listed
            .into_iter()
            .filter(|tid| !stopped.threads.contains_key(tid))
            .collect();
        if new.is_empty() {
            return Ok(stopped);
        }
        for tid in new {
            stopped.stop(pid, tid, until)?;
        }
    }
}

fn list(pid: Pid) -> io::Result<Vec<Tid>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        let name = entry?.file_name();
        if let Some(tid) = name.to_str().and_then(|name| name.parse().ok()) {
            threads.push(Tid(tid));
        }
    }
    Ok(threads)
}

impl StoppedThreads {
    fn stop(&mut self, pid: Pid, tid: Tid, until: Instant) -> Result<(), FreezeError> {
        let seized = ptrace::seize(tid).and_then(|()| {
            // From here on the thread is ours to let go.
            self.threads.insert(tid, 0);
            ptrace::interrupt(tid)
        });
        match seized {
            Ok(()) => self.wait(pid, tid, until),
            // It exited between the listing and now.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {
                self.threads.remove(&tid);
                Ok(())
            }
            Err(source) => Err(FreezeError::Refused { pid, tid, source }),
        }
    }

    fn wait(&mut self, pid: Pid, tid: Tid, until: Instant) -> Result<(), FreezeError> {
        let began = Instant::now();
        let limit = until.min(began + PATIENCE);
        loop {
            let stop = ptrace::poll(tid);
            match stop.map_err(|source| FreezeError::Refused { pid, tid, source })? {
                ptrace::Stop::Interrupted => return Ok(()),
                ptrace::Stop::Signal(signal) => {
                    self.threads.insert(tid, signal);
                    return Ok(());
                }
                ptrace::Stop::Gone => {
                    self.threads.remove(&tid);
                    return Ok(());
                }
                ptrace::Stop::Running if Instant::now() >= limit => {
                    let waited = began.elapsed();
                    return Err(FreezeError::Stubborn { pid, tid, waited });
                }
                ptrace::Stop::Running => thread::sleep(POLL),
            }
        }
    }

    /// The registers of all of them.
    ///
    /// # Errors
    /// When those of one cannot be read: what it refers to would be missing.
    pub fn registers(&self, pid: Pid) -> Result<Vec<ThreadRegisters>, FreezeError> {
        let threads = self.threads.keys();
        threads
            .map(|&tid| {
                registers(tid).map_err(|source| FreezeError::Registers { pid, tid, source })
            })
            .collect()
    }
}

fn registers(tid: Tid) -> io::Result<ThreadRegisters> {
    let general = ptrace::registers(tid, ptrace::GENERAL)?;
    let mut thread = ThreadRegisters::new(tid, general).ok_or(io::ErrorKind::UnexpectedEof)?;
    for &set in ptrace::VECTOR {
        thread.words.extend(ptrace::registers(tid, set)?);
    }
    Ok(thread)
}

impl Drop for StoppedThreads {
    fn drop(&mut self) {
        for (tid, signal) in &self.threads {
            // A thread that is still running after a failed stop cannot be detached yet; it is
            // when this tracing thread ends, which follows at once.
            let _ = ptrace::detach(*tid, *signal);
        }
    }
}
