//! Lock cycles as gostuck tells of them, with the time at which each arrives.

use std::{
    io::{BufRead as _, BufReader, Read},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};

use super::super::ended::Ended;

/// A command whose lock cycles arrive one by one.
pub(super) struct Arrivals {
    _child: Ended,
    cycles: Receiver<Duration>,
}

/// Who tells, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Teller {
    /// `gostuck watch --format json`, by a line of its output.
    Watch,
    /// `gostuck run`, by a line of its log.
    Daemon,
}

impl Teller {
    /// Starts `command`, which is one of this kind.
    pub(super) fn start(self, command: &mut Command) -> Result<Arrivals> {
        let (output, log) = match self {
            Self::Watch => (Stdio::piped(), Stdio::null()),
            Self::Daemon => (Stdio::null(), Stdio::piped()),
        };
        let mut child = command
            .stdout(output)
            .stderr(log)
            .spawn()
            .context("cannot start gostuck")?;
        let (sender, cycles) = channel();
        match self {
            Self::Watch => {
                let lines = child.stdout.take().context("watch has no output")?;
                thread::spawn(move || follow(lines, appears, &sender));
            }
            Self::Daemon => {
                let lines = child.stderr.take().context("the daemon has no log")?;
                thread::spawn(move || follow(lines, is_logged, &sender));
            }
        }
        Ok(Arrivals {
            _child: Ended(child),
            cycles,
        })
    }
}

/// Sends the time of each line that `tells` of a new cycle.
fn follow(lines: impl Read, tells: fn(&str) -> bool, sender: &Sender<Duration>) {
    for line in BufReader::new(lines).lines().map_while(Result::ok) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        if tells(&line) && now.is_ok_and(|now| sender.send(now).is_err()) {
            return;
        }
    }
}

fn appears(line: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(line).is_ok_and(|line| {
        line["event"] == "appeared"
            && line["finding"]["kind"] == "lock-cycle"
            && line["finding"]["verdict"] == "proven"
    })
}

/// The daemon warns of findings that appear, and of nothing else by their kind.
fn is_logged(line: &str) -> bool {
    line.contains("WARN") && line.contains("kind=lock-cycle")
}

impl Arrivals {
    /// When the next cycle was told of, after 1970.
    pub(super) fn next(&self) -> Result<Duration> {
        let patience = Duration::from_secs(60);
        let next = self.cycles.recv_timeout(patience);
        next.context("no lock cycle was told of within a minute")
    }
}
