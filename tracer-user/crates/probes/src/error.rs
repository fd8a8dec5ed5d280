//! What can go wrong with probes, and what is missing.

use std::{
    io,
    path::{Path, PathBuf},
};

use aya::programs::ProgramError;
use thiserror::Error;

use ids::Pid;
use resources::descriptors::{self, Permit, Use};

/// Why probes could not be loaded, attached or read.
#[derive(Debug, Error)]
pub enum ProbeError {
    /// The kernel refuses BPF to this user.
    #[error("the kernel refuses BPF to this user: run as root, or with CAP_BPF and CAP_PERFMON")]
    NoPrivilege,
    /// The kernel refuses perf-event uprobes, the only kind it has.
    #[error(
        "the kernel refuses uprobes by perf events: they need CAP_SYS_ADMIN here, or a kernel \
         with sound uprobe_multi links (Linux 6.10)"
    )]
    NoPerfPrivilege,
    /// A BPF object that does not load.
    #[error("loading the BPF programs: {0}")]
    Load(#[from] aya::EbpfError),
    /// A program that does not load or attach.
    #[error("BPF program {program}: {source}")]
    Program {
        /// Its name.
        program: &'static str,
        /// What aya says.
        source: ProgramError,
    },
    /// A map that misbehaves.
    #[error("BPF map {map}: {source}")]
    Map {
        /// Its name.
        map: &'static str,
        /// What aya says.
        source: aya::maps::MapError,
    },
    /// The object lacks something it must have: it belongs to another version of gostuck.
    #[error("the BPF object has no {0}: it belongs to another version of gostuck")]
    Missing(&'static str),
    /// A bpf(2) call that failed.
    #[error("{call} ({subject}): {source}")]
    Call {
        /// Which command.
        call: &'static str,
        /// About what.
        subject: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A program that the kernel's verifier refuses.
    #[error("the kernel's verifier refuses BPF program {program}: {source}\n{log}")]
    Verifier {
        /// Its name.
        program: &'static str,
        /// The kernel's answer.
        source: io::Error,
        /// Its reasons.
        log: String,
    },
    /// An image without the functions that have to be probed.
    #[error("{path}: no function {function}")]
    NoSite {
        /// The image.
        path: PathBuf,
        /// The function.
        function: &'static str,
    },
    /// An offset of the runtime's structs that cannot be right.
    #[error("{path}: the offset of {field} in the runtime's structs is out of range")]
    Layout {
        /// The image.
        path: PathBuf,
        /// The field.
        field: &'static str,
    },
    /// The image's file cannot be looked at.
    #[error("{path}: {source}")]
    Image {
        /// The image.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program serves the file system that the image lies on.
    #[error("{} lies on a file system that a program serves (FUSE): no probes there", .0.display())]
    Served(PathBuf),
    /// The image's file holds other instructions than those that were found in it.
    #[error("{0}: another program than was looked at; it is looked at again when it is found next")]
    Changed(PathBuf),
    /// No descriptor is left for another probe.
    #[error(
        "no file descriptors are left for its probes (the limit is {limit}): it is looked at by \
         intervals"
    )]
    NoDescriptors {
        /// How many this process may have (`RLIMIT_NOFILE`).
        limit: usize,
    },
    /// No room for another target.
    #[error("{limit} processes are traced already, the limit of this run")]
    TooManyTargets {
        /// The limit.
        limit: u32,
    },
    /// A process that is not a target.
    #[error("process {0} is not traced")]
    NotATarget(Pid),
}

impl ProbeError {
    /// Leave to hold `number` descriptors open.
    pub(super) fn permit(number: usize) -> Result<Permit, Self> {
        Permit::take(Use::Probes, number).ok_or_else(Self::no_descriptors)
    }

    fn no_descriptors() -> Self {
        Self::NoDescriptors {
            limit: descriptors::limit(),
        }
    }

    /// Whether there were no descriptors left.
    #[must_use]
    pub const fn is_shortage(&self) -> bool {
        matches!(self, Self::NoDescriptors { .. })
    }

    /// Why a program could not be attached by a perf event.
    pub(super) fn of_perf_event(program: &'static str, source: ProgramError) -> Self {
        if is_denied(&source) {
            return Self::NoPerfPrivilege;
        }
        if cause(&source).is_some_and(descriptors::is_shortage) {
            return Self::no_descriptors();
        }
        Self::Program { program, source }
    }

    /// Why the file at `path` could not be opened, or no link be made to it by `call`.
    pub(super) fn of_file(path: &Path, call: Option<&'static str>, source: io::Error) -> Self {
        if descriptors::is_shortage(&source) {
            return Self::no_descriptors();
        }
        match call {
            Some(_) if source.kind() == io::ErrorKind::PermissionDenied => Self::NoPrivilege,
            Some(call) => Self::Call {
                call,
                subject: path.display().to_string(),
                source,
            },
            None => Self::Image {
                path: path.to_owned(),
                source,
            },
        }
    }
}

/// Whether the kernel denied something for want of a privilege (`EPERM`, `EACCES`).
pub(super) fn is_denied(error: &(dyn std::error::Error + 'static)) -> bool {
    cause(error).is_some_and(|io| io.kind() == io::ErrorKind::PermissionDenied)
}

/// The kernel's answer that is behind an error.
fn cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io);
        }
        at = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use aya::sys::SyscallError;

    use super::*;

    #[test]
    fn a_perf_event_that_is_denied_is_told_from_one_that_fails() {
        let attach = |errno| {
            let source = SyscallError {
                call: "perf_event_open",
                io_error: io::Error::from_raw_os_error(errno),
            };
            ProbeError::of_perf_event("go_park", source.into())
        };
        assert!(matches!(attach(libc::EACCES), ProbeError::NoPerfPrivilege));
        assert!(matches!(attach(libc::EPERM), ProbeError::NoPerfPrivilege));
        assert!(matches!(attach(libc::ENOENT), ProbeError::Program { .. }));
    }
}
