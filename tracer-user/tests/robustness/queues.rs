//! How much memory an inspection takes of many that wait for one and the same object.

use std::process::{Command, ExitCode, Stdio};

use testing::{Result, go::Flavour};
use wait4::Wait4 as _;

use crate::{
    gostuck::BINARY,
    target::{build, ready},
};

/// Every kind of queue in which goroutines stand.
const KINDS: [&str; 8] = [
    "mutex", "rlock", "lock", "group", "cond", "receive", "send", "select",
];
const WAITING: u64 = 4000;
/// Twice as many may take this much more: what is in proportion takes at most 2.
const MOST_GROWTH: f64 = 2.5;

/// Makes the process of this test one that inspects the process with this id and tells how much
/// memory that took at most. A process starts out with the peak of the one that starts it
/// (`exec_mmap`, fs/exec.c), and the peak of the tests is none of an inspection.
const METERS: &str = "GOSTUCK_TEST_METERS";

pub(crate) fn in_proportion() -> Result {
    let program = build("robustness/queue", Flavour::Plain)?;
    let mut wrong = Vec::new();
    for kind in KINDS {
        let few = peak(&program, kind, WAITING)?;
        let many = peak(&program, kind, 2 * WAITING)?;
        if many > few * MOST_GROWTH {
            let twice = 2 * WAITING;
            wrong.push(format!("{kind}: {WAITING} {few} MB, {twice} {many} MB"));
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("out of proportion: {}", wrong.join("; ")))
    }
}

/// The most memory, in MB, that inspecting `count` goroutines in a queue of this kind takes.
fn peak(program: &std::path::Path, kind: &str, count: u64) -> Result<f64> {
    let target = ready(program, &[kind, &count.to_string()])?;
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let meter = Command::new(this)
        .env(METERS, target.pid().to_string())
        .output()
        .map_err(|error| error.to_string())?;
    let told = String::from_utf8_lossy(&meter.stdout);
    let bytes: f64 = told.trim().parse().map_err(|_| {
        let error = String::from_utf8_lossy(&meter.stderr);
        format!("{count} {kind}: {told} {error}")
    })?;
    Ok((bytes / 1e6).round())
}

/// What this process is to do if it is not to test: see [`METERS`].
pub(crate) fn meter() -> Option<ExitCode> {
    let pid = std::env::var(METERS).ok()?;
    let inspection = Command::new(BINARY)
        .args(["inspect", &pid, "--format", "json"])
        .stdout(Stdio::null())
        .spawn();
    match inspection.and_then(|mut child| child.wait4()) {
        Ok(end) if end.status.success() => {
            println!("{}", end.rusage.maxrss);
            Some(ExitCode::SUCCESS)
        }
        end => {
            eprintln!("{end:?}");
            Some(ExitCode::FAILURE)
        }
    }
}
