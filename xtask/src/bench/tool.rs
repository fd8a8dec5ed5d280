//! The release build of gostuck, run and metered.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use wait4::Wait4 as _;

use crate::{command, paths};

/// What one run of a command took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// From start to end.
    pub(crate) elapsed: Duration,
    /// Of processors, user and system together.
    pub(crate) cpu: Duration,
    /// The most memory it had, in bytes.
    pub(crate) peak: u64,
}

/// Builds gostuck for release and gives its path.
pub(crate) fn gostuck() -> Result<PathBuf> {
    command::cargo(["build", "--release", "--locked", "--package", "tracer-user"])?;
    Ok(release()?.join("gostuck"))
}

/// Builds an example of the library for release and gives its path.
pub(crate) fn example(name: &str) -> Result<PathBuf> {
    command::cargo([
        "build",
        "--release",
        "--locked",
        "--package",
        "tracer-user",
        "--example",
        name,
    ])?;
    Ok(release()?.join("examples").join(name))
}

fn release() -> Result<PathBuf> {
    Ok(paths::target().join("release"))
}

/// Runs `command` with its output thrown away.
pub(crate) fn meter(command: &mut Command) -> Result<Cost> {
    let started = Instant::now();
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
    let end = child.wait4().context("waiting for a metered command")?;
    ensure!(
        end.status.success(),
        "{} failed: {}",
        command.get_program().to_string_lossy(),
        end.status
    );
    Ok(Cost {
        elapsed: started.elapsed(),
        cpu: end.rusage.utime + end.rusage.stime,
        peak: end.rusage.maxrss,
    })
}
