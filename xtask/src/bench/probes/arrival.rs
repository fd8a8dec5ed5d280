//! Findings of `gostuck watch`, with the time at which each arrives.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result};

use super::super::ended::Ended;

/// A watch whose lock cycles arrive one by one.
pub(super) struct Watch {
    _child: Ended,
    cycles: Receiver<Duration>,
}

impl Watch {
    /// Starts `command`, which is to print findings as lines of JSON.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start gostuck watch")?;
        let output = child.stdout.take().context("watch has no output")?;
        let (sender, cycles) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                let Ok(line) = serde_json::from_str::<serde_json::Value>(&line) else {
                    continue;
                };
                let appeared =
                    line["event"] == "appeared" && line["finding"]["kind"] == "lock-cycle";
                if appeared && now.is_ok_and(|now| sender.send(now).is_err()) {
                    return;
                }
            }
        });
        Ok(Self {
            _child: Ended(child),
            cycles,
        })
    }

    /// When the next cycle was told of, after 1970.
    pub(super) fn next(&self) -> Result<Duration> {
        let patience = Duration::from_secs(60);
        let next = self.cycles.recv_timeout(patience);
        next.context("no lock cycle was told of within a minute")
    }
}
