//! The daemon beside many idle processes: docs/performance.md, "The daemon at rest".

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    ended::Ended,
    numbers::{mebibytes, of, percent},
    page::Section,
    program::{self, Running},
    tool,
    used::used,
};
use crate::command::step;

/// The port that the measured daemon listens on, beside the usual one.
const LISTEN: &str = "127.0.0.1:19102";

pub(crate) fn run(quick: bool) -> Result<()> {
    let gostuck = tool::gostuck()?;
    let program = program::build("bench/parked")?;
    let (processes, window) = if quick {
        (10, Duration::from_secs(10))
    } else {
        (100, Duration::from_secs(60))
    };
    step(&format!("starting {processes} idle Go processes"));
    let targets: Vec<Running> = (0..processes)
        .map(|_| Running::start(Command::new(&program).arg("50")))
        .collect::<Result<_>>()?;
    let daemon = Ended(
        Command::new(&gostuck)
            .args(["run", "--listen", LISTEN, "--command", "bench-parked"])
            .stderr(std::process::Stdio::null())
            .spawn()
            .context("cannot start the daemon")?,
    );
    // It finds and attaches to all of them, and looks at each; a minute later it looks again, and walks
    // each heap once for those who wait.
    let settling = Duration::from_secs(if quick { 20 } else { 90 });
    thread::sleep(settling);
    let before = used(daemon.0.id())?;
    step(&format!("watching the daemon for {window:.0?}"));
    let started = Instant::now();
    thread::sleep(window);
    let elapsed = started.elapsed();
    let after = used(daemon.0.id())?;
    let share = of(after.cpu.saturating_sub(before.cpu)) / of(elapsed);
    let mut section = Section::new(
        "The daemon at rest",
        "`cargo xtask bench daemon`, as root. Idle Go 1.27.3 servers with fifty goroutines each; from a minute \
         and a half after its start, when each has been looked at twice and its heap walked once, the \
         daemon's processor time (resolution: 10 ms) and resident memory over the window.",
    );
    section.table(
        &["processes", "window", "CPU of the daemon", "resident"],
        &[vec![
            targets.len().to_string(),
            format!("{window:.0?}"),
            percent(share),
            mebibytes(after.resident),
        ]],
    );
    section.publish(quick)
}
