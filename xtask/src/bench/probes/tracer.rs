//! The tracers that are compared, attached for the length of a round.

use std::{
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::Bench;

/// Where the daemon listens meanwhile.
const LISTEN: &str = "127.0.0.1:19105";

/// Who traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tracer {
    None,
    /// `gostuck run` with the default budget.
    Gostuck,
    /// The same with a budget that cannot be exceeded.
    Ungoverned,
    /// A bpftrace script that keeps the same facts.
    Bpftrace,
    /// Perf events that count hits of `gopark` and `ready` at their entries, without a program.
    Counter,
}

impl Tracer {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "bare",
            Self::Gostuck => "gostuck, default budget",
            Self::Ungoverned => "gostuck without governor",
            Self::Bpftrace => "bpftrace",
            Self::Counter => "perf events alone, entries",
        }
    }

    fn command(self, bench: &Bench, pid: u32) -> Option<Command> {
        let gostuck = |budget: &str| {
            let mut command = Command::new(&bench.gostuck);
            command.args(["-v", "run", "--listen", LISTEN, "--budget", budget]);
            command.args(["--command", "bench-waits", "--stuck-after", "1h"]);
            command
        };
        Some(match self {
            Self::None => return None,
            Self::Gostuck => gostuck("1%"),
            Self::Ungoverned => gostuck("102400%"),
            Self::Bpftrace => {
                let mut command = Command::new("bpftrace");
                let script = script(&bench.waits.to_string_lossy());
                command.args(["-p", &pid.to_string(), "-e", &script]);
                command
            }
            Self::Counter => {
                let mut command = Command::new(&bench.facts);
                command.args(["counter", &pid.to_string(), "600"]);
                command
            }
        })
    }

    /// The word with which it says that it is attached.
    const fn attached(self) -> &'static str {
        match self {
            Self::Bpftrace => "Attaching",
            _ => "probes attached",
        }
    }

    /// Attaches to `pid`, and is attached on return.
    pub(super) fn attach(self, bench: &Bench, pid: u32) -> Result<Attached> {
        let Some(mut command) = self.command(bench, pid) else {
            return Ok(Attached(None));
        };
        let (reader, writer) = std::io::pipe()?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name()))?;
        drop(command);
        let mut said = String::new();
        let mut lines = BufReader::new(reader);
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line)? == 0 {
                let _ = child.wait();
                anyhow::bail!("{} ended: {said}", self.name());
            }
            if line.contains(self.attached()) {
                break;
            }
            said.push_str(&line);
        }
        if self == Self::Bpftrace {
            // It says so before it attaches.
            thread::sleep(Duration::from_secs(3));
        }
        // What else it says must not block it.
        thread::spawn(move || {
            let mut rest = [0; 4096];
            while lines.read(&mut rest).is_ok_and(|read| read > 0) {}
        });
        Ok(Attached(Some(child)))
    }
}

/// A tracer at work.
#[derive(Debug)]
pub(super) struct Attached(Option<Child>);

impl Attached {
    /// Ends it; its probes are off on return.
    pub(super) fn detach(mut self) -> Result<()> {
        let Some(child) = &mut self.0 else {
            return Ok(());
        };
        let pid = Pid::from_raw(i32::try_from(child.id())?);
        // bpftrace misses a signal now and then.
        let mut asked = 0;
        let status = loop {
            if asked % 100 == 0 {
                // Who runs this in the background of a shell has interrupts ignored, and so have they.
                let signal = if asked == 0 {
                    Signal::SIGINT
                } else {
                    Signal::SIGTERM
                };
                kill(pid, signal).context("ending the tracer")?;
            }
            if let Some(status) = child.try_wait()? {
                break status;
            }
            asked += 1;
            ensure!(asked < 3_000, "the tracer does not end");
            thread::sleep(Duration::from_millis(10));
        };
        self.0 = None;
        // The counter knows no signals.
        ensure!(status.code() != Some(1), "the tracer failed: {status}");
        Ok(())
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Registers by Go's ABI on amd64: arguments in ax, bx, cx; `g` in r14.
fn script(program: &str) -> String {
    format!(
        "uprobe:{program}:\"runtime.gopark\" {{ @since[reg(\"r14\")] = nsecs; @reason[reg(\"r14\")] = reg(\"cx\"); }}
         uprobe:{program}:\"runtime.semacquire1\" {{ @semaphore[reg(\"r14\")] = reg(\"ax\"); }}
         uprobe:{program}:\"runtime.ready\" /@since[reg(\"ax\")]/ {{
             @waits[@reason[reg(\"ax\")]] = hist(nsecs - @since[reg(\"ax\")]);
             delete(@since[reg(\"ax\")]);
         }}"
    )
}
