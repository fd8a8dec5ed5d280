//! Holding the target still for one exact inspection (`--freeze`, `record`), and letting go of it whatever
//! happens.
//!
//! By `PTRACE_SEIZE` and `PTRACE_INTERRUPT`, thread by thread, and not by `SIGSTOP` or the cgroup
//! freezer: no signal is sent, the parent and its job control see nothing, the neighbours in the
//! cgroup run on, and the registers can be read. Above all the kernel itself undoes it: when the
//! thread that traces ends, by whatever cause (a crash and `SIGKILL` included), every thread of the
//! target runs on (ptrace(2), "Death of ptracer"). That thread does nothing but wait for the
//! end or the time limit, so that not even a hang of ours can hold the target longer.

mod copy;
mod ptrace;
mod threads;

use std::{
    io,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender},
    thread,
    time::{Duration, Instant},
};

pub use copy::{HeldMoment, look_held};

use ids::{Pid, Tid};
use memory::{ReadError, ThreadRegisters};

/// Why the target could not be held still.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// The kernel refused: another tracer is attached, or a capability is missing.
    #[error("cannot stop thread {tid} of process {pid}: {source} (is a debugger attached?)")]
    Refused {
        /// The process.
        pid: Pid,
        /// The thread.
        tid: Tid,
        /// What the kernel said.
        source: io::Error,
    },
    /// Its threads cannot be listed.
    #[error("cannot list the threads of process {pid}: {source}")]
    Threads {
        /// The process.
        pid: Pid,
        /// What the kernel said.
        source: io::Error,
    },
    /// The registers of a stopped thread cannot be read.
    #[error("cannot read the registers of thread {tid} of process {pid}: {source}")]
    Registers {
        /// The process.
        pid: Pid,
        /// The thread.
        tid: Tid,
        /// What the kernel said.
        source: io::Error,
    },
    /// A thread did not stop: it hangs inside the kernel.
    #[error("thread {tid} of process {pid} did not stop within {waited:?}")]
    Stubborn {
        /// The process.
        pid: Pid,
        /// The thread.
        tid: Tid,
        /// How long it was given.
        waited: Duration,
    },
    /// Its memory could not be copied.
    #[error("cannot copy the memory of process {pid}: {source}")]
    Copy {
        /// The process.
        pid: Pid,
        /// Why.
        source: ReadError,
    },
    /// The limit passed before what is needed was copied; the target runs again.
    #[error("the target was let go after {limit:?}, before its memory was copied")]
    Expired {
        /// The limit.
        limit: Duration,
    },
    /// No thread of ours could be started to do it.
    #[error("cannot start the thread that holds the target: {0}")]
    Own(io::Error),
}

/// A target that is held still. Ends with [`Freeze::end`], on drop, at its time limit, or when this
/// process dies.
#[derive(Debug)]
pub struct Freeze {
    registers: Vec<ThreadRegisters>,
    limit: Duration,
    release: Sender<()>,
    released: Receiver<Duration>,
    until: Instant,
}

impl Freeze {
    /// Stops all threads of `pid`, for `limit` at most.
    ///
    /// # Errors
    /// When a thread cannot be stopped; those that were run again.
    pub fn begin(pid: Pid, limit: Duration) -> Result<Self, FreezeError> {
        let (release, wait) = mpsc::channel();
        let (report, released) = mpsc::channel();
        let (ready, outcome) = mpsc::sync_channel(1);
        let until = Instant::now() + limit;
        thread::Builder::new()
            .name("gostuck-freeze".into())
            .spawn(move || hold(pid, until, &ready, &wait, &report))
            .map_err(FreezeError::Own)?;
        let gone = || FreezeError::Own(io::Error::other("it ended early"));
        let registers = outcome.recv().map_err(|_| gone())??;
        Ok(Self {
            registers,
            limit,
            release,
            released,
            until,
        })
    }

    /// The registers of all threads.
    #[must_use]
    pub fn registers(&self) -> &[ThreadRegisters] {
        &self.registers
    }

    /// Time that is left.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Lets the target go, and says how long it was held.
    ///
    /// # Errors
    /// [`FreezeError::Expired`] when the limit let it go earlier: what was read is no exact inspection.
    pub fn end(self) -> Result<Duration, FreezeError> {
        let expired = FreezeError::Expired { limit: self.limit };
        if self.release.send(()).is_err() {
            return Err(expired);
        }
        match self.released.recv() {
            Ok(held) if held <= self.limit => Ok(held),
            _ => Err(expired),
        }
    }
}

type Ready = SyncSender<Result<Vec<ThreadRegisters>, FreezeError>>;

/// The tracing thread: stops, waits, lets go. Whatever ends it lets go too.
fn hold(
    pid: Pid,
    until: Instant,
    ready: &Ready,
    release: &Receiver<()>,
    report: &Sender<Duration>,
) {
    let began = Instant::now();
    let stopped = match threads::stop_all(pid, until) {
        Ok(stopped) => stopped,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    let registers = stopped.registers(pid);
    let failed = registers.is_err();
    let _ = ready.send(registers);
    if failed {
        return;
    }
    let left = until.saturating_duration_since(Instant::now());
    let ended = release.recv_timeout(left);
    drop(stopped);
    if ended != Err(RecvTimeoutError::Timeout) {
        let _ = report.send(began.elapsed());
    }
}
