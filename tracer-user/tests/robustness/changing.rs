//! Targets that start, end and change while they are looked at.

use std::{fs, thread, time::Duration};

use serde_json::Value;
use testing::{
    Result,
    process::{Process, quiet},
};

use crate::{
    gostuck::{self, BINARY},
    target::{fickle, ready, start},
};

/// Looks at targets that are about to end or have just begun.
const TRIES: u64 = 25;
/// Attempts at getting a certain pid.
const ATTEMPTS: u32 = 50;

pub(crate) fn ends_while_read() -> Result {
    let program = fickle()?;
    for lives_ms in 0..TRIES {
        let target = ready(&program, &["brief", &(4 * lives_ms).to_string()])?;
        gostuck::inspect(target.pid())?.copes()?;
    }
    Ok(())
}

pub(crate) fn starts_while_read() -> Result {
    let program = fickle()?;
    for delay_ms in 0..TRIES {
        let target = start(&program, &["crowd", "10"])?;
        thread::sleep(Duration::from_millis(delay_ms));
        // Until it has become the program, it is setpriv.
        gostuck::inspect(target.pid())?.copes()?;
    }
    Ok(())
}

pub(crate) fn execs_while_watched() -> Result {
    let target = ready(&fickle()?, &["exec", "1500"])?;
    let pid = target.pid().to_string();
    let answer = gostuck::run(&["watch", &pid, "--for", "6s", "--format", "json"])?;
    if answer.status != 0 {
        return Err(format!("status {}: {}", answer.status, answer.error));
    }
    // What it is now, not what it was.
    let document = gostuck::inspect(target.pid())?.document()?;
    match document["goroutines"].as_array().map_or(0, Vec::len) {
        few if few < 10 => Err(format!("only {few} goroutines after exec")),
        _ => Ok(()),
    }
}

pub(crate) fn pid_used_again() -> Result {
    let program = fickle()?;
    for _ in 0..ATTEMPTS {
        let mut first = ready(&program, &["brief", "1500"])?;
        let pid = first.pid();
        let watch = Watch::start(pid)?;
        first.wait()?;
        // The kernel gives out the pid after the last one.
        let last = (pid - 1).to_string();
        fs::write("/proc/sys/kernel/ns_last_pid", last).map_err(|error| error.to_string())?;
        let second = ready(&program, &["crowd", "10"])?;
        if second.pid() == pid {
            return watch.ended(pid);
        }
    }
    Err(format!("another process was quicker {ATTEMPTS} times"))
}

/// `gostuck watch` in the background.
struct Watch(Process);

impl Watch {
    fn start(pid: u32) -> Result<Self> {
        let mut watch = quiet(BINARY);
        watch.args(["watch", &pid.to_string(), "--for", "20s"]);
        let watch = Process::start_read(watch.args(["--format", "json"]))?;
        // It must have seen the first process.
        thread::sleep(Duration::from_millis(800));
        Ok(Self(watch))
    }

    /// Says that the process it was told to watch has ended, and nothing about the next one.
    fn ended(mut self, pid: u32) -> Result {
        let text = self.0.rest()?;
        let lines: Vec<Value> = text
            .iter()
            .map(|line| serde_json::from_str(line))
            .collect::<std::result::Result<_, _>>()
            .map_err(|error| format!("{error}: {text:?}"))?;
        let events: Vec<_> = lines
            .iter()
            .filter_map(|line| line["event"].as_str())
            .collect();
        match events[..] {
            ["ended", "summary"] => Ok(()),
            _ => Err(format!("pid {pid} was used again, and watch said {text:?}")),
        }
    }
}
