//! Commands end when they are told to, whatever they are at.

use std::{process::Stdio, thread, time::Duration};

use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use testing::{
    Result,
    go::{Flavour, newest},
    process::{Process, quiet},
};

use crate::{GOSTUCK, trial};

/// Goroutines of the target: a look at them takes seconds.
const MANY: &str = "400000";
/// No command takes so long to end. It is far more than they take, and less than a look does on a
/// machine that is busy enough to need it.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a watch ends in the middle of a look when it is told to",
            &[],
            a_watch_ends_when_told_to,
        ),
        trial(
            "a watch ends at its time in the middle of a look",
            &[],
            a_watch_ends_at_its_time,
        ),
        trial(
            "the daemon ends in the middle of a look when it is told to",
            &[],
            a_daemon_ends_when_told_to,
        ),
        trial(
            "a look ends with its process and says so",
            &[],
            a_look_ends_with_its_process,
        ),
    ]
}

/// A process of which a look takes long.
fn large() -> Result<Process> {
    let program = newest("bench/parked", Flavour::Stripped)?;
    Process::ready(quiet(&program).arg(MANY))
}

fn gostuck(arguments: &[&str]) -> Result<Process> {
    Process::start(quiet(GOSTUCK).args(arguments).stdout(Stdio::null()))
}

/// It ends in time and with this status.
fn ends(process: &mut Process, code: i32) -> Result {
    let (took, status) = process.ends_within(10 * PATIENCE)?;
    assert!(took < PATIENCE, "{took:?}");
    assert_eq!(status.code(), Some(code));
    Ok(())
}

fn a_watch_ends_when_told_to() -> Result {
    let target = large()?;
    let mut watch = gostuck(&["watch", "--no-probes", &target.pid().to_string()])?;
    thread::sleep(Duration::from_secs(2));
    watch.signal(Signal::SIGTERM)?;
    ends(&mut watch, 0)
}

fn a_watch_ends_at_its_time() -> Result {
    let target = large()?;
    let pid = target.pid().to_string();
    let mut watch = gostuck(&["watch", "--no-probes", "--for", "1s", &pid])?;
    ends(&mut watch, 0)
}

fn a_daemon_ends_when_told_to() -> Result {
    let _target = large()?;
    let mut daemon = gostuck(&["run", "--no-probes", "--listen", "127.0.0.1:0"])?;
    thread::sleep(Duration::from_secs(4));
    daemon.signal(Signal::SIGINT)?;
    ends(&mut daemon, 0)
}

fn a_look_ends_with_its_process() -> Result {
    let target = large()?;
    let mut inspect = gostuck(&["inspect", &target.pid().to_string()])?;
    thread::sleep(Duration::from_millis(500));
    drop(target);
    ends(&mut inspect, 1)
}
