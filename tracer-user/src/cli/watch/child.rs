//! The command that `watch` starts.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::{ExitCode, ExitStatus},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd,
};
use tokio::process::Command;

use crate::cli::Failure;
use ids::Pid;

/// How long processes may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(2);

/// A command that was started.
pub struct Child {
    child: tokio::process::Child,
    pid: Pid,
}

impl Child {
    /// Starts `program`; it shares our terminal.
    pub fn start(program: &str, arguments: &[String]) -> Result<Self, Failure> {
        let child = Command::new(program)
            .args(arguments)
            .spawn()
            .map_err(|error| {
                Failure::with_next_step(
                    anyhow::anyhow!("cannot start {program}: {error}"),
                    "give the command as you would type it, after --",
                )
            })?;
        let pid = Pid(child.id().unwrap_or_default());
        Ok(Self { child, pid })
    }

    /// Its pid.
    pub const fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits until it has ended.
    pub async fn wait(mut self) -> Result<ExitCode, Failure> {
        Ok(exit_code(self.child.wait().await?))
    }

    /// Ends it and `others` below it: SIGTERM, and SIGKILL for those who stay.
    pub async fn stop(mut self, others: Vec<Pid>) {
        let mut pids = others;
        pids.push(self.pid);
        signal_all(&pids, Signal::SIGTERM);
        if tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .is_err()
        {
            signal_all(&pids, Signal::SIGKILL);
        }
    }
}

/// Resolves when the command has ended; never without a command.
pub async fn ended(child: Option<&mut Child>) -> Result<ExitCode, Failure> {
    match child {
        Some(child) => Ok(exit_code(child.child.wait().await?)),
        None => std::future::pending().await,
    }
}

/// The status as a shell would tell it.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

fn signal_all(pids: &[Pid], signal: Signal) {
    for pid in pids {
        // One that has ended already needs no signal.
        let _ = kill(unistd::Pid::from_raw(pid.0.cast_signed()), signal);
    }
}
