//! Why a thread cannot be sampled.

use std::{fs, io};

use ids::Tid;

/// Why a thread cannot be sampled.
#[derive(Debug, thiserror::Error)]
pub enum SamplingError {
    /// The kernel, or a seccomp filter, refuses.
    #[error("running threads cannot be sampled without CAP_PERFMON{}", level_of(*.paranoid))]
    NotPermitted {
        /// `kernel.perf_event_paranoid`; from 3 on (Debian's) only CAP_PERFMON will do, below it is
        /// enough to own the process.
        paranoid: Option<i32>,
    },
    /// The thread has ended, or is not one of the process.
    #[error("thread {tid} is gone")]
    NoThread {
        /// The thread.
        tid: Tid,
    },
    /// The ring buffers are more memory than this user may lock.
    #[error(
        "no memory for samples may be locked: raise kernel.perf_event_mlock_kb or RLIMIT_MEMLOCK"
    )]
    LockedMemory,
    /// This kernel has no such events.
    #[error("this kernel does not sample registers and stacks: {source}")]
    Unsupported {
        /// What it said.
        source: io::Error,
    },
    /// Anything else.
    #[error("sampling thread {tid} failed: {source}")]
    Io {
        /// The thread.
        tid: Tid,
        /// What the kernel said.
        source: io::Error,
    },
}

fn level_of(level: Option<i32>) -> String {
    level.map_or_else(String::new, |level| {
        format!(" (kernel.perf_event_paranoid is {level})")
    })
}

impl SamplingError {
    /// What `perf_event_open` for `tid` failed with.
    pub(super) fn of_open(source: io::Error, tid: Tid) -> Self {
        match source.raw_os_error() {
            Some(libc::EACCES | libc::EPERM) => Self::NotPermitted {
                paranoid: perf_event_paranoid(),
            },
            Some(libc::ESRCH) => Self::NoThread { tid },
            Some(libc::ENOSYS | libc::EOPNOTSUPP | libc::ENOENT | libc::ENODEV | libc::EINVAL) => {
                Self::Unsupported { source }
            }
            _ => Self::Io { tid, source },
        }
    }

    /// What mapping the ring buffer of `tid` failed with.
    pub(super) fn of_map(source: io::Error, tid: Tid) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::ENOMEM) => Self::LockedMemory,
            _ => Self::Io { tid, source },
        }
    }

    /// Whether no other thread of the process can be sampled either.
    pub const fn is_of_all(&self) -> bool {
        matches!(self, Self::NotPermitted { .. } | Self::Unsupported { .. })
    }
}

/// `kernel.perf_event_paranoid`.
fn perf_event_paranoid() -> Option<i32> {
    let text = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_missing() {
        let refused = SamplingError::NotPermitted { paranoid: Some(3) };
        assert_eq!(
            refused.to_string(),
            "running threads cannot be sampled without CAP_PERFMON \
             (kernel.perf_event_paranoid is 3)"
        );
        let gone = SamplingError::of_open(io::Error::from_raw_os_error(libc::ESRCH), Tid(7));
        assert_eq!(gone.to_string(), "thread 7 is gone");
        assert!(!gone.is_of_all());
    }
}
