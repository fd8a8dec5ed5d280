//! Commands end when they are told to, whatever they are at.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    go::Flavour,
    running::{GOSTUCK, Running, built, dying_with_us},
    trial,
};

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
fn large() -> Result<Running, String> {
    let program = built("bench/parked", Flavour::Stripped)?;
    Running::ready_by(dying_with_us(program.as_os_str()).arg(MANY))
}

fn gostuck(arguments: &[&str]) -> Result<Running, String> {
    Running::spawn(Command::new(GOSTUCK).args(arguments).stdout(Stdio::null()))
}

fn signal(process: &Running, signal: Signal) -> Result<(), String> {
    let pid = Pid::from_raw(process.pid().cast_signed());
    kill(pid, signal).map_err(|error| error.to_string())
}

/// How long it takes from now on until the process has ended, and with which status.
fn ends(process: &mut Running) -> Result<(Duration, Option<i32>), String> {
    let began = Instant::now();
    while began.elapsed() < 10 * PATIENCE {
        if let Some(status) = process.0.try_wait().map_err(|error| error.to_string())? {
            return Ok((began.elapsed(), status.code()));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err("it did not end".to_owned())
}

fn a_watch_ends_when_told_to() -> Result<(), String> {
    let target = large()?;
    let mut watch = gostuck(&["watch", "--no-probes", &target.pid().to_string()])?;
    thread::sleep(Duration::from_secs(2));
    signal(&watch, Signal::SIGTERM)?;
    let (took, status) = ends(&mut watch)?;
    assert!(took < PATIENCE, "{took:?}");
    assert_eq!(status, Some(0));
    Ok(())
}

fn a_watch_ends_at_its_time() -> Result<(), String> {
    let target = large()?;
    let pid = target.pid().to_string();
    let mut watch = gostuck(&["watch", "--no-probes", "--for", "1s", &pid])?;
    let (took, status) = ends(&mut watch)?;
    assert!(took < PATIENCE, "{took:?}");
    assert_eq!(status, Some(0));
    Ok(())
}

fn a_daemon_ends_when_told_to() -> Result<(), String> {
    let _target = large()?;
    let mut daemon = gostuck(&["run", "--no-probes", "--listen", "127.0.0.1:0"])?;
    thread::sleep(Duration::from_secs(4));
    signal(&daemon, Signal::SIGINT)?;
    let (took, status) = ends(&mut daemon)?;
    assert!(took < PATIENCE, "{took:?}");
    assert_eq!(status, Some(0));
    Ok(())
}

fn a_look_ends_with_its_process() -> Result<(), String> {
    let target = large()?;
    let mut inspect = gostuck(&["inspect", &target.pid().to_string()])?;
    thread::sleep(Duration::from_millis(500));
    drop(target);
    let (took, status) = ends(&mut inspect)?;
    assert!(took < PATIENCE, "{took:?}");
    assert_eq!(status, Some(1));
    Ok(())
}
