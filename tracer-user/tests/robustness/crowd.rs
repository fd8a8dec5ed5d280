//! Many targets, and many goroutines.

use std::{process::Command, thread, time::Duration};

use nix::sys::signal::Signal;
use testing::{Result, daemon::Daemon, http, wait::PATIENCE};

use crate::{
    gostuck::{self, BINARY},
    target::{fickle, ready, start},
};

/// Processes that come and go under the daemon.
const LIVES: u32 = 300;
const GOROUTINES: usize = 100_000;

pub(crate) fn short_lives() -> Result {
    let program = fickle()?;
    let mut command = Command::new(BINARY);
    command.arg("run");
    let mut daemon = Daemon::start(command)?;
    let mut lives = Vec::new();
    for number in 0..LIVES {
        let lives_ms = (number % 40 * 5).to_string();
        lives.push(start(&program, &["brief", &lives_ms])?);
        if lives.len() >= 16 {
            for mut life in lives.drain(..) {
                life.wait()?;
            }
        }
    }
    drop(lives);
    let health = http::ask(&daemon.address(), "/healthz")?;
    if health.status != 200 {
        return Err(format!("after {LIVES} short lives: {health:?}"));
    }
    // All of them are gone; those of other tests are not of this name.
    thread::sleep(Duration::from_secs(6));
    let list = daemon.get("/api/v1/processes").ok_or("no list")?;
    if list.contains("robustness-fickle") && list.contains("\"brief\"") {
        return Err(format!("still listed: {list}"));
    }
    let daemon = daemon.process_mut();
    daemon.signal(Signal::SIGTERM)?;
    let (_, status) = daemon.ends_within(PATIENCE)?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the daemon ended with {status}"))
    }
}

pub(crate) fn many_goroutines() -> Result {
    let target = ready(&fickle()?, &["crowd", &GOROUTINES.to_string()])?;
    let document = gostuck::inspect(target.pid())?.document()?;
    let read = document["goroutines"].as_array().map_or(0, Vec::len);
    if read < GOROUTINES {
        return Err(format!("{read} of {GOROUTINES} goroutines were read"));
    }
    let findings = document["findings"].as_array().map_or(0, Vec::len);
    if findings == 0 {
        Ok(())
    } else {
        Err(format!(
            "found in a healthy program: {}",
            document["findings"]
        ))
    }
}
