//! Processes whose memory or executable does not answer: each costs the daemon a thread, is named, and
//! changes nothing for others.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpStream,
    process::Stdio,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};
use serde_json::Value;
use testing::{
    Result,
    daemon::Daemon,
    go::{Flavour, newest},
    process::{Process, output, quiet},
    wait::for_some,
};

use crate::{GOSTUCK, trial};

/// How long the daemon may take to end. It takes less than a second on an idle machine.
const ENDING: Duration = Duration::from_secs(10);
/// Commands give up after some five seconds; nothing else ends them.
const GIVEN_UP: Duration = Duration::from_secs(60);
/// What the log, and commands, say.
const SILENT: &str = "does not answer";

/// What follows an executable that is served, as the server calls it. No daemon of another test does: what
/// waits for that server ends only when it does.
const SERVED: [&str; 2] = ["--command", "program"];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("the memory of one does not answer glances", || {
            others_are_followed(&["--no-probes"], || userfault("treap"))
        }),
        trial("the memory of one does not answer looks", || {
            others_are_followed(&[], || userfault("allgs"))
        }),
        trial("the executable of one cannot be read", || {
            others_are_followed(&SERVED, || fuse("read"))
        }),
        trial("the executable of one cannot be opened", || {
            others_are_followed(&SERVED, || fuse("open"))
        }),
        trial("many do not answer", many),
        trial("one answers again", answers_again),
        trial("commands say that the memory does not answer", commands),
        trial("doctor says that the executable does not answer", doctor),
    ]
}

/// A process that does not answer, with what keeps it.
struct Hostile {
    _running: Process,
    pid: u32,
    /// Whether the kernel ends nobody who waits for it, whatever the signal: FUSE, once the server has
    /// taken the request (`request_wait_answer`, fs/fuse/dev.c).
    holds_for_good: bool,
}

fn userfault(kind: &str) -> Result<Hostile> {
    let program = newest("hostile/userfault", Flavour::Plain)?;
    let running = Process::ready(quiet(&program).arg(kind))?;
    let pid = running.pid();
    Ok(Hostile {
        _running: running,
        pid,
        holds_for_good: false,
    })
}

/// A process whose executable was served until it ran.
fn fuse(kind: &str) -> Result<Hostile> {
    let served = abba()?;
    let server = newest("hostile/fuse", Flavour::Plain)?;
    let mut command = quiet(&server);
    let running = Process::ready(command.arg(kind).arg(served))?;
    let pid = running.address();
    let pid = pid.parse().map_err(|_| format!("no pid: {pid}"))?;
    Ok(Hostile {
        _running: running,
        pid,
        holds_for_good: true,
    })
}

/// The daemon, which follows the programs of these tests and nobody else.
pub(crate) fn daemon(arguments: &[&str]) -> Result<Daemon> {
    let mut all = arguments.to_vec();
    let programs = [
        abba()?,
        newest("hostile/userfault", Flavour::Plain)?,
        newest("hostile/tables", Flavour::Plain)?,
    ];
    let names = programs
        .iter()
        .filter_map(|program| program.file_name()?.to_str());
    all.extend(names.flat_map(|name| ["--command", name]));
    Daemon::run(GOSTUCK, &all)
}

fn abba() -> Result<std::path::PathBuf> {
    newest("abba", Flavour::Stripped)
}

pub(crate) fn is_proven(daemon: &Daemon, pid: u32) -> Result {
    let proven = |process: &Value| process["findings"]["proven"] == 1;
    daemon.lists(pid, "its deadlock", proven).map(drop)
}

fn is_named(daemon: &Daemon, pid: u32) -> Result {
    let silent = |process: &Value| process["mode"] == "unresponsive";
    daemon.lists(pid, "that it is silent", silent).map(drop)
}

/// Ends the daemon as a service manager does.
pub(crate) fn ends(daemon: &Daemon) -> Result {
    let pid = Pid::from_raw(daemon.pid().cast_signed());
    kill(pid, Signal::SIGTERM).map_err(|error| error.to_string())?;
    let began = Instant::now();
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while began.elapsed() < ENDING {
        match waitid(Id::Pid(pid), flags) {
            Ok(WaitStatus::Exited(_, 0)) => return Ok(()),
            Ok(WaitStatus::StillAlive) => thread::sleep(Duration::from_millis(10)),
            other => return Err(format!("the daemon ended oddly: {other:?}")),
        }
    }
    Err(format!("the daemon did not end within {ENDING:?}"))
}

/// Told to end, the daemon has ended but for the thread that the kernel does not let go: nobody listens any
/// more, and its main thread is gone.
fn has_let_go(daemon: &Daemon) -> Result {
    let pid = Pid::from_raw(daemon.pid().cast_signed());
    kill(pid, Signal::SIGTERM).map_err(|error| error.to_string())?;
    let began = Instant::now();
    while began.elapsed() < ENDING {
        let status = fs::read_to_string(format!("/proc/{pid}/status"));
        let ended = status.map_or(true, |status| status.contains("State:\tZ"));
        if ended && TcpStream::connect(("127.0.0.1", daemon.port())).is_err() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Err(format!("the daemon did not end within {ENDING:?}"))
}

fn others_are_followed(arguments: &[&str], hostile: impl Fn() -> Result<Hostile>) -> Result {
    let before = Process::run(&abba()?)?;
    // Ended after the hostile one: until then nothing may end it.
    let mut slot = None;
    let hostile = hostile()?;
    let daemon = slot.insert(daemon(arguments)?);
    is_proven(daemon, before.pid())?;
    is_named(daemon, hostile.pid)?;
    assert!(daemon.value("gostuck_processes{state=\"unresponsive\"}") >= Some(1.0));
    assert!(daemon.value("gostuck_lost_threads") >= Some(1.0));
    // One that comes while the other hangs.
    let after = Process::run(&abba()?)?;
    is_proven(daemon, after.pid())?;
    assert_eq!(daemon.get("/healthz").as_deref(), Some("ok\n"));
    for_some("the daemon to be ready", || Ok(daemon.get("/readyz")))?;
    let document = daemon.get(&format!("/api/v1/processes/{}", after.pid()));
    assert!(document.is_some(), "no document of the other process");
    if hostile.holds_for_good {
        return has_let_go(daemon);
    }
    ends(daemon)
}

fn many() -> Result {
    let daemon = daemon(&["--no-probes"])?;
    let before = Process::run(&abba()?)?;
    is_proven(&daemon, before.pid())?;
    let hostile: Result<Vec<Hostile>> = (0..12).map(|_| userfault("treap")).collect();
    let hostile = hostile?;
    for_some("some to be called silent", || {
        let silent = daemon.value("gostuck_lost_threads");
        Ok(silent.filter(|silent| *silent >= 4.0))
    })?;
    for_some("others to be left alone", || {
        let refused = "gostuck_processes_refused_total{why=\"owner\"}";
        Ok(daemon.value(refused).filter(|refused| *refused > 0.0))
    })?;
    let lost = daemon.value("gostuck_lost_threads").unwrap_or_default();
    assert!(lost <= hostile.len() as f64, "{lost}");
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid()));
    let threads = tasks.map_err(|error| error.to_string())?.count();
    assert!(threads < 64, "{threads} threads");
    // Those that have answered are looked at as before.
    for_some("another look at the first", || {
        let listed = daemon.process_of(before.pid());
        let age = listed.and_then(|process| process["last_look_seconds_ago"].as_u64());
        Ok(age.filter(|age| *age < 70))
    })?;
    assert_eq!(daemon.get("/healthz").as_deref(), Some("ok\n"));
    ends(&daemon)
}

fn answers_again() -> Result {
    let daemon = daemon(&["--no-probes"])?;
    let program = newest("hostile/userfault", Flavour::Plain)?;
    let mut command = quiet(&program);
    let hostile = Process::ready(command.args(["treap", "15"]))?;
    is_named(&daemon, hostile.pid())?;
    for_some("it to answer again", || {
        let lost = daemon.value("gostuck_lost_threads");
        let silent = daemon.value("gostuck_processes{state=\"unresponsive\"}");
        Ok((lost == Some(0.0) && silent == Some(0.0)).then_some(()))
    })?;
    ends(&daemon)
}

/// The command says that the process is silent, in time.
fn gives_up(arguments: &[&str]) -> Result {
    refuses(arguments, SILENT)
}

/// The command refuses with a line that says `what`, in time.
fn refuses(arguments: &[&str], what: &str) -> Result {
    let began = Instant::now();
    let output = output(GOSTUCK, arguments)?;
    let said = String::from_utf8_lossy(&output.stderr);
    let in_time = began.elapsed() < GIVEN_UP;
    if output.status.code() == Some(1) && said.contains(what) && in_time {
        return Ok(());
    }
    let status = output.status;
    Err(format!(
        "{arguments:?}: {status}, {said:?}, {:?}",
        began.elapsed()
    ))
}

fn commands() -> Result {
    let hostile = userfault("allgs")?;
    let pid = hostile.pid.to_string();
    gives_up(&["inspect", &pid])?;
    gives_up(&["watch", "--no-probes", &pid])?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join("recording");
    let file = file.to_string_lossy();
    // What is held still is copied without waiting for pages that are not there: it may refuse sooner.
    refuses(&["record", &pid, "-o", &file], "gostuck: ")?;
    refuses(&["record", "--for", "5s", &pid, "-o", &file], "gostuck: ")?;
    let list = output(GOSTUCK, &["ps"])?;
    let list = String::from_utf8_lossy(&list.stdout);
    let row = list.lines().find(|row| row.trim_start().starts_with(&pid));
    assert!(row.is_some_and(|row| row.contains(SILENT)), "{list}");
    a_watch_ends_when_told_to(&pid)
}

/// By the first signal, in the middle of a read that hangs.
fn a_watch_ends_when_told_to(pid: &str) -> Result {
    let mut command = quiet(GOSTUCK);
    command.args(["watch", "--no-probes", pid]);
    let watch = Process::start(command.stdout(Stdio::null()))?;
    thread::sleep(Duration::from_secs(1));
    let its = Pid::from_raw(watch.pid().cast_signed());
    kill(its, Signal::SIGINT).map_err(|error| error.to_string())?;
    let began = Instant::now();
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    while waitid(Id::Pid(its), flags) == Ok(WaitStatus::StillAlive) {
        if began.elapsed() > ENDING {
            return Err("the watch did not end".to_owned());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn doctor() -> Result {
    let hostile = fuse("read")?;
    let exe = format!("/proc/{}/exe", hostile.pid);
    let mut command = quiet(GOSTUCK);
    command.args(["doctor", "--image", &exe]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut doctor = command.spawn().map_err(|error| error.to_string())?;
    let (tell, told) = mpsc::channel();
    let errors = doctor.stderr.take().ok_or("no standard error")?;
    thread::spawn(move || {
        let first = BufReader::new(errors)
            .lines()
            .map_while(std::io::Result::ok)
            .next();
        let _ = tell.send(first.unwrap_or_default());
    });
    // It says so in time; the kernel lets it go when the server has ended.
    let said = told.recv_timeout(GIVEN_UP);
    drop(hostile);
    let status = doctor.wait().map_err(|error| error.to_string())?;
    assert!(said.is_ok_and(|said| said.contains(SILENT)));
    assert_eq!(status.code(), Some(1));
    Ok(())
}
