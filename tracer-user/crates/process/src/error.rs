//! Why a process cannot be looked at, in words a user can act on.

use std::{io, path::PathBuf, sync::Arc};

use procfs::ProcError;

use super::Process;
use ids::{Pid, Tid};
use image::ImageError;
use resources::descriptors;

/// Why reading `/proc` about a process failed.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// No process has this pid, or the one that had it is gone.
    #[error("no process {0}")]
    Gone(Pid),
    /// It has ended, and only its pid is left, until its parent asks how.
    #[error(
        "process {0} is a zombie: it has ended, and its parent has not waited for it; its memory is gone"
    )]
    Zombie(Pid),
    /// The pid is a thread of another process.
    #[error("{thread} is a thread of process {process}")]
    Thread {
        /// The id that was asked for.
        thread: Tid,
        /// The process it belongs to.
        process: Pid,
    },
    /// The pid now belongs to another process.
    #[error("process {0} has exited and its pid is in use by another process")]
    Replaced(Pid),
    /// A thread of the kernel: it has no executable.
    #[error("{0} is a kernel thread")]
    Kernel(Pid),
    /// The kernel refused.
    #[error("permission denied reading {what} of process {pid}")]
    Denied {
        /// The process.
        pid: Pid,
        /// The file below `/proc/PID`.
        what: &'static str,
    },
    /// We have no file descriptor left: no fault of the process.
    #[error(
        "cannot look at process {pid}: gostuck has no file descriptor left (the limit is {limit})"
    )]
    NoDescriptors {
        /// The process.
        pid: Pid,
        /// How many we may have (`RLIMIT_NOFILE`).
        limit: usize,
    },
    /// A file below `/proc/PID` does not say what it should.
    #[error("cannot read {what} of process {pid}: {reason}")]
    Unreadable {
        /// The process.
        pid: Pid,
        /// The file below `/proc/PID`.
        what: &'static str,
        /// What was wrong.
        reason: String,
    },
}

impl ProcessError {
    pub(super) fn from_proc(error: ProcError, pid: Pid, what: &'static str) -> Self {
        match error {
            ProcError::NotFound(_) => Self::Gone(pid),
            ProcError::PermissionDenied(_) => Self::Denied { pid, what },
            ProcError::Io(error, _) => Self::from_io(&error, pid, what),
            other => Self::Unreadable {
                pid,
                what,
                reason: other.to_string(),
            },
        }
    }

    pub(super) fn from_io(error: &io::Error, pid: Pid, what: &'static str) -> Self {
        // A file below /proc/PID answers ESRCH once the process has been reaped.
        if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) {
            return Self::Gone(pid);
        }
        if error.kind() == io::ErrorKind::PermissionDenied {
            return Self::Denied { pid, what };
        }
        if descriptors::is_shortage(error) {
            let limit = descriptors::limit();
            return Self::NoDescriptors { pid, limit };
        }
        Self::Unreadable {
            pid,
            what,
            reason: error.to_string(),
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Gone(_) | Self::Zombie(_) | Self::Replaced(_) => {
                "list the Go processes with `gostuck ps`"
            }
            Self::Thread { .. } => "give the process's id instead of the thread's",
            Self::Kernel(_) => "give the pid of a Go program; `gostuck ps` lists them",
            Self::Denied { .. } => "run as root, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH",
            Self::NoDescriptors { .. } => {
                "raise the hard limit: ulimit -Hn, LimitNOFILE= of the unit"
            }
            Self::Unreadable { .. } => "try again; if it persists, check that /proc is mounted",
        }
    }
}

/// Why a process cannot be traced.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Untraceable {
    /// Its executable was not built by Go.
    #[error("not a Go program: {} has no Go build information", exe.display())]
    NotGo {
        /// The executable.
        exe: PathBuf,
    },
    /// Its executable is a Go program that cannot be understood.
    #[error("{error}")]
    Image {
        /// What was wrong with it.
        error: Arc<ImageError>,
    },
    /// The process itself cannot be looked at.
    #[error("{0}")]
    Process(Arc<ProcessError>),
}

impl From<ProcessError> for Untraceable {
    fn from(error: ProcessError) -> Self {
        Self::Process(Arc::new(error))
    }
}

impl Untraceable {
    /// Whether it is for want of a file descriptor of ours, and not the process's fault.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        match self {
            Self::Image { error } => error.is_shortage(),
            Self::Process(error) => matches!(**error, ProcessError::NoDescriptors { .. }),
            Self::NotGo { .. } => false,
        }
    }

    pub(super) fn from_image(process: &Process, error: &Arc<ImageError>) -> Self {
        match **error {
            ImageError::NotGo { .. } => Self::NotGo {
                exe: process.exe.path.clone(),
            },
            _ => Self::Image {
                error: Arc::clone(error),
            },
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::NotGo { .. } => "give the pid of a Go program; `gostuck ps` lists them",
            Self::Image { .. } => {
                "gostuck reads Go 1.19 and later on amd64 and arm64; `gostuck doctor` lists what it needs"
            }
            Self::Process(error) => error.next_step(),
        }
    }
}
