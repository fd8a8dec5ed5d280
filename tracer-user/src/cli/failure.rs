//! Why a command ended without doing its work: one clear line, and what to do next.

use std::{error::Error, fmt, io};

use crate::{inspect::InspectError, target_text::clean};
use memory::{CoreError, ReadError};
use reach::freeze::FreezeError;
use resources::cancellation::Cut;
use snapshot::SnapshotError;

/// What the user reads when a command fails.
#[derive(Debug)]
pub struct Failure {
    what: anyhow::Error,
    next_step: Option<String>,
}

impl Failure {
    /// A failure that `next_step` is known to remedy.
    pub fn with_next_step(what: impl Into<anyhow::Error>, next_step: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next_step: Some(next_step.into()),
        }
    }

    /// Whether the reader of our output went away (`gostuck ps | head`): nothing to complain about.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        self.what.chain().any(|cause| {
            cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
        })
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            what: error.into(),
            next_step: None,
        }
    }
}

/// A failed look, with what to do about it.
pub fn from_look(error: InspectError) -> Failure {
    let next_step = next_step(&error);
    Failure {
        what: error.into(),
        next_step: next_step.map(str::to_owned),
    }
}

fn next_step(error: &InspectError) -> Option<&'static str> {
    match error {
        InspectError::Untraceable(error) => Some(error.next_step()),
        InspectError::Core(CoreError::Malformed { .. }) => Some(
            "write one with `gcore PID`, or let the kernel: ulimit -c unlimited, GOTRACEBACK=crash",
        ),
        InspectError::Core(_) => Some("name the executable that ran, the same build: --exe FILE"),
        InspectError::Snapshot(SnapshotError::Memory(ReadError::Denied)) => {
            Some("run as root, or with CAP_SYS_PTRACE (gostuck doctor says what restricts reading)")
        }
        InspectError::Snapshot(SnapshotError::Memory(ReadError::Gone))
        | InspectError::Cut(Cut::Ended) => Some("list the Go processes with `gostuck ps`"),
        InspectError::Snapshot(
            SnapshotError::Layout { .. } | SnapshotError::NoGoroutines { .. },
        ) => Some("gostuck knows Go 1.19 to 1.27; update it, or send the image with a bug report"),
        InspectError::Snapshot(SnapshotError::NotStarted) => Some("try again in a moment"),
        InspectError::Held(FreezeError::Expired { .. } | FreezeError::Stubborn { .. }) => {
            Some("let it be held longer (--hold 10s), or record less (--no-reach)")
        }
        InspectError::Silent => Some(
            "see who serves its memory or its executable: userfaultfd, FUSE or a network file system",
        ),
        InspectError::Snapshot(_)
        | InspectError::Held(_)
        | InspectError::Broken
        | InspectError::Cut(Cut::Unwanted | Cut::Late | Cut::Full) => None,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gostuck: {}", one_line(self.what.as_ref()))?;
        if let Some(next_step) = &self.next_step {
            write!(f, "\n  next: {next_step}")?;
        }
        Ok(())
    }
}

/// The error and its causes in one line, leaving out causes that the line already quotes.
fn one_line(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    clean(&line.replace('\n', "; ")).into_owned()
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::Failure;

    #[test]
    fn a_failure_is_one_line_and_a_next_step() {
        let error = anyhow!("no such file")
            .context("cannot open /proc/1/exe")
            .context("cannot open /proc/1/exe: no such file");
        assert_eq!(
            Failure::with_next_step(error, "run as root").to_string(),
            "gostuck: cannot open /proc/1/exe: no such file\n  next: run as root"
        );
    }
}
