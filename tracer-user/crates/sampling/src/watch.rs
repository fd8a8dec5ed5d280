//! Many threads are sampled at once, for a bounded time.

use std::{
    io,
    time::{Duration, Instant},
};

use super::{
    SamplingError, UserRegisters,
    attributes::{MAX_STACK_BYTES, attributes},
    record::{Record, records},
    ring::Ring,
};
use ids::{Pid, Tid};

/// Threads that are sampled at once: bounds the memory that is locked meanwhile.
const AT_ONCE: usize = 16;

/// How much is sampled.
#[derive(Debug, Clone, Copy)]
pub struct SamplingLimits {
    /// Most threads.
    pub threads: usize,
    /// How long is waited for all of them together.
    pub timeout: Duration,
    /// After how much time on a CPU a thread is interrupted.
    pub period: Duration,
    /// Most samples of one thread.
    pub samples: u32,
    /// Most bytes of a stack; never more than a record holds (65,528).
    pub stack_bytes: u32,
}

impl Default for SamplingLimits {
    fn default() -> Self {
        Self {
            threads: 64,
            timeout: Duration::from_millis(20),
            period: Duration::from_micros(200),
            // A loop that asks for the time is met in the kernel's vDSO, on another stack, more often
            // than not.
            samples: 24,
            stack_bytes: MAX_STACK_BYTES,
        }
    }
}

/// One thread at one instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadSample {
    /// The thread.
    pub tid: Tid,
    /// When, on `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// Its registers, of which the program counter is exact.
    pub registers: UserRegisters,
    /// Its stack from the stack pointer on, as far as it was copied.
    pub stack: Vec<u8>,
}

/// What becomes of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reception {
    /// It is what was wanted of this thread.
    Taken,
    /// Another one of this thread may be better.
    Again,
}

/// What came of one thread.
#[derive(Debug)]
pub enum ThreadOutcome {
    /// A sample was taken.
    Taken,
    /// It was sampled, and no sample was wanted.
    Refused,
    /// It was not seen on a CPU in user mode in time.
    NotOnCpu,
    /// It could not be sampled.
    Failed(SamplingError),
}

/// What came of all threads.
#[derive(Debug, Default)]
pub struct Sampling {
    /// Of each, in the order that was asked for; without those that there was no time or no room
    /// for.
    pub threads: Vec<(Tid, ThreadOutcome)>,
}

/// Samples `threads` of the process `pid` while they run, and shows each sample to `receive`.
pub fn sample_threads(
    pid: Pid,
    threads: &[Tid],
    limits: &SamplingLimits,
    mut receive: impl FnMut(ThreadSample) -> Reception,
) -> Sampling {
    let deadline = Instant::now() + limits.timeout;
    let threads = &threads[..threads.len().min(limits.threads)];
    let mut sampling = Sampling::default();
    for batch in threads.chunks(AT_ONCE) {
        let mut watched = Vec::new();
        let mut refused = false;
        for tid in batch {
            match Watched::open(*tid, limits) {
                Ok(thread) => watched.push(thread),
                Err(error) => {
                    refused |= error.is_of_all();
                    let outcome = ThreadOutcome::Failed(error);
                    sampling.threads.push((*tid, outcome));
                }
            }
            if refused {
                break;
            }
        }
        watch(pid, &mut watched, deadline, &mut receive);
        let outcomes = watched.into_iter().map(|w| (w.tid, w.outcome));
        sampling.threads.extend(outcomes);
        if refused || Instant::now() >= deadline {
            break;
        }
    }
    sampling
}

/// Whether this process may sample threads of others: tries it on a thread of its own.
///
/// # Errors
/// [`SamplingError`], the reason why not.
pub fn may_sample_others() -> Result<(), SamplingError> {
    let tid = Tid(nix::unistd::gettid().as_raw().unsigned_abs());
    Watched::open(tid, &SamplingLimits::default()).map(|_| ())
}

/// A thread with its event.
struct Watched {
    tid: Tid,
    ring: Ring,
    /// Samples that it may still be asked for, the present one included; 0 when it is done.
    left: u32,
    outcome: ThreadOutcome,
}

impl Watched {
    fn open(tid: Tid, limits: &SamplingLimits) -> Result<Self, SamplingError> {
        let period = u64::try_from(limits.period.as_nanos()).unwrap_or(u64::MAX);
        let ring = Ring::open(tid, &attributes(period.max(10_000), limits.stack_bytes))?;
        ring.arm()
            .map_err(|source| SamplingError::Io { tid, source })?;
        Ok(Self {
            tid,
            ring,
            left: limits.samples.max(1),
            outcome: ThreadOutcome::NotOnCpu,
        })
    }

    /// Shows what has come to `receive`.
    fn receive(&mut self, pid: Pid, receive: &mut impl FnMut(ThreadSample) -> Reception) {
        for record in records(&self.ring.take()) {
            let Record::Sample(sample) = record else {
                continue;
            };
            // A thread id of another pid namespace may be a thread of another process here.
            let ours = sample.pid == pid && sample.tid == self.tid;
            let reception = if ours {
                receive(ThreadSample {
                    tid: self.tid,
                    time_ns: sample.time_ns,
                    registers: sample.registers,
                    stack: sample.stack,
                })
            } else {
                Reception::Again
            };
            if reception == Reception::Taken {
                self.outcome = ThreadOutcome::Taken;
                self.left = 0;
                return;
            }
            self.outcome = ThreadOutcome::Refused;
        }
        self.left = self.left.saturating_sub(1);
        if self.left > 0 && self.ring.arm().is_err() {
            self.left = 0;
        }
    }
}

/// Waits for samples of `watched` until all are done, or `deadline` has come.
fn watch(
    pid: Pid,
    watched: &mut [Watched],
    deadline: Instant,
    receive: &mut impl FnMut(ThreadSample) -> Reception,
) {
    loop {
        let mut open: Vec<&mut Watched> = watched.iter_mut().filter(|w| w.left > 0).collect();
        let left = deadline.saturating_duration_since(Instant::now());
        if open.is_empty() || left.is_zero() {
            return;
        }
        let rings = open.iter().map(|w| w.ring.descriptor());
        let mut polled: Vec<_> = rings.map(readable).collect();
        if wait(&mut polled, left).is_err() {
            return;
        }
        for (thread, polled) in open.iter_mut().zip(&polled) {
            if polled.revents & libc::POLLIN != 0 {
                thread.receive(pid, receive);
            } else if polled.revents != 0 {
                // The thread has ended.
                thread.left = 0;
            }
        }
    }
}

const fn readable(fd: libc::c_int) -> libc::pollfd {
    libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    }
}

fn wait(polled: &mut [libc::pollfd], left: Duration) -> io::Result<()> {
    // Rounded up: a timeout of 0 would not wait at all.
    let timeout = i32::try_from(left.as_millis().saturating_add(1)).unwrap_or(i32::MAX);
    let count = libc::nfds_t::try_from(polled.len()).unwrap_or(0);
    // SAFETY: the array lives during the call and has that many entries.
    let ready = unsafe { libc::poll(polled.as_mut_ptr(), count, timeout) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        return match error.kind() {
            io::ErrorKind::Interrupted => Ok(()),
            _ => Err(error),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A thread of this process that computes, or why it cannot be sampled here.
    fn sample_a_computing_thread(limits: &SamplingLimits) -> (Vec<ThreadSample>, Sampling) {
        let stop = AtomicBool::new(false);
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                send.send(nix::unistd::gettid()).expect("it is received");
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
            let tid = receive.recv().expect("it has started").as_raw();
            let mut samples = Vec::new();
            let pid = Pid(std::process::id());
            let sampling = sample_threads(pid, &[Tid(tid.unsigned_abs())], limits, |sample| {
                samples.push(sample);
                Reception::Again
            });
            stop.store(true, Ordering::Relaxed);
            (samples, sampling)
        })
    }

    #[test]
    fn a_thread_is_sampled_while_it_runs() {
        let limits = SamplingLimits {
            timeout: Duration::from_secs(5),
            samples: 3,
            ..SamplingLimits::default()
        };
        let (samples, sampling) = sample_a_computing_thread(&limits);
        if let [(_, ThreadOutcome::Failed(error))] = &sampling.threads[..] {
            assert!(error.is_of_all(), "{error}");
            return;
        }
        assert_eq!(samples.len(), 3, "{sampling:?}");
        assert!(matches!(
            sampling.threads[..],
            [(_, ThreadOutcome::Refused)]
        ));
        for sample in &samples {
            assert_ne!(sample.registers.sp().0, 0);
            assert!(!sample.stack.is_empty());
            let here = a_thread_is_sampled_while_it_runs as *const () as u64;
            let pc = sample.registers.pc().0;
            assert!(
                pc.abs_diff(here) < 1 << 30,
                "{pc:#x} is not this program's code"
            );
        }
        assert!(samples.is_sorted_by_key(|sample| sample.time_ns));
    }

    #[test]
    fn a_thread_that_is_not_there_is_told() {
        let limits = SamplingLimits::default();
        let nobody = Tid(0x7fff_fff0);
        let sampling = sample_threads(Pid(1), &[nobody], &limits, |_| Reception::Taken);
        assert!(matches!(
            sampling.threads[..],
            [(tid, ThreadOutcome::Failed(_))] if tid == nobody
        ));
    }
}
