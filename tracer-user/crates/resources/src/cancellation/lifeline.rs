//! The end of a process, seen for certain.

use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use ids::Pid;

/// Tells whether a process has ended, also when its pid went to another: see `pidfd_open(2)`.
#[derive(Debug)]
pub struct Lifeline(OwnedFd);

impl Lifeline {
    /// Of the process that has `pid` now; `None` where the kernel gives none.
    #[must_use]
    pub fn of(pid: Pid) -> Option<Self> {
        // SAFETY: takes two numbers and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.0, 0) };
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
        // SAFETY: the kernel has just made it, and nobody else knows of it.
        Some(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Whether the process has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let mut asked = libc::pollfd {
            fd: self.0.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: `asked` is one pollfd, and lives on.
        unsafe { libc::poll(&raw mut asked, 1, 0) == 1 }
    }
}
