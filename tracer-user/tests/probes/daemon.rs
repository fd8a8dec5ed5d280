//! The daemon over probes: discovery by exec and exit, the budget, and many short lives.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use libtest_mimic::Trial;
use testing::{
    daemon::Daemon,
    go::NEWEST,
    process::{Process, quiet},
    wait::until,
};
use tracer_user::ids::Pid;

use super::{load::Load, program, trial, watch::Watch};

/// The binary under test.
const GOSTUCK: &str = env!("CARGO_BIN_EXE_gostuck");

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a process that executes a Go program is probed until it executes another",
            a_process_is_followed_from_exec_to_exec,
        ),
        trial(
            "over the default budget looks take over and find a deadlock, and probes come back",
            over_budget_looks_take_over_and_probes_come_back,
        ),
        trial(
            "a lock cycle is found by its probes, long before the next look is due",
            a_lock_cycle_is_found_by_its_probes,
        ),
        trial(
            "a cycle that a wait for a channel closes is found by its probes",
            a_cycle_that_a_channel_closes_is_found_by_its_probes,
        ),
        trial(
            "hundreds of short-lived processes leave nothing behind",
            hundreds_of_short_lived_processes_leave_nothing_behind,
        ),
    ]
}

/// The daemon, which follows processes of `program`.
fn following(program: &Path, options: &[&str]) -> Daemon {
    let mut daemon = Command::new(GOSTUCK);
    daemon.args(["-v", "run", "--command"]);
    daemon.arg(program.file_name().unwrap());
    daemon.args(options);
    let daemon = Daemon::start(daemon).unwrap();
    until("the daemon answers", || daemon.get("/healthz").is_some());
    daemon
}

/// What `gostuck ps` tells of `pid` in its table, asking the daemon.
fn row_of_ps(daemon: &Daemon, pid: Pid) -> Option<String> {
    let output = Command::new(GOSTUCK)
        .args(["ps", "--daemon", &daemon.address()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("not known"), "{said}");
    let table = String::from_utf8(output.stdout).unwrap();
    let mut lines = table.lines().map(str::trim_start);
    let row = lines.find(|line| line.starts_with(&format!("{pid} ")));
    row.map(str::to_owned)
}

/// The daemon's open files and its memory in KiB.
fn holds(daemon: &Daemon) -> (usize, u64) {
    let pid = daemon.pid();
    let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    (files, resident.unwrap().parse().unwrap())
}

fn a_process_is_followed_from_exec_to_exec() {
    let (_directory, path, _image) = program(NEWEST);
    let daemon = following(&path, &[]);
    let mut load = Load::start_after_shell(&path);
    let pid = load.pid();
    until("it is probed", || {
        daemon.mode(pid.0).as_deref() == Some("events")
    });
    load.tell("exec /bin/sleep 100");
    until("it is followed no more", || {
        daemon.process_of(pid.0).is_none()
    });
    let log = daemon.log();
    assert!(!log.contains("cannot detach"), "{log}");
}

fn over_budget_looks_take_over_and_probes_come_back() {
    let (_directory, path, _image) = program(NEWEST);
    let daemon = following(&path, &["--interval", "2s"]);
    let mut load = Load::start(&path);
    let pid = load.pid();
    let watch = Watch::start(pid);
    until("it is probed", || {
        daemon.mode(pid.0).as_deref() == Some("events")
    });
    let cell = |cell| {
        let row = row_of_ps(&daemon, pid);
        row.is_some_and(|row| row.split_whitespace().any(|word| word == cell))
    };
    assert!(cell("events"));
    // For longer than it takes to notice, and for less than the probes stay off.
    load.tell("load 8");
    assert_eq!(load.answer(), "loading");
    until("probes come off", || {
        daemon.mode(pid.0).as_deref() == Some("snapshots")
    });
    let over_budget = || daemon.metric("gostuck_over_budget{", "}");
    let switches = |to: &str| daemon.metric("gostuck_probe_switches_total{", to);
    assert_eq!(over_budget(), Some(1.0));
    assert_eq!(switches(r#",to="snapshots"}"#), Some(1.0));
    assert!(cell("looks"));
    // The governor looks early once a processor has counted `LOAD_STEP` (1024) parks. Which of the two
    // kinds they were depends on where the goroutines met: only both together have a least number.
    let waits_for = |reason| {
        let labels_end = format!(r#",reason="{reason}"}}"#);
        daemon.metric(r#"gostuck_wait_seconds_bucket{le="+Inf","#, &labels_end)
    };
    until(
        "it is told how long the waits lasted that the probes saw",
        || {
            let waits = ["chan receive", "chan send"].map(waits_for);
            waits.into_iter().flatten().sum::<f64>() > 1000.0
        },
    );
    load.tell("deadlock");
    until("the deadlock is proven meanwhile", || {
        let process = daemon.process_of(pid.0);
        process.is_some_and(|process| process["findings"]["proven"] == 1)
    });
    until("probes come back", || {
        daemon.mode(pid.0).as_deref() == Some("events") && over_budget() == Some(0.0)
    });
    let log = daemon.log();
    assert!(
        log.contains("over budget") && log.contains("back on trial"),
        "{log}"
    );
    assert!(cell("events") && switches(r#",to="events"}"#) >= Some(1.0));
    until("the watch tells of both", || {
        let modes = watch.modes();
        modes.first().is_some_and(|first| first == "snapshots")
            && modes.contains(&"events".to_owned())
    });
}

fn a_lock_cycle_is_found_by_its_probes() {
    let (daemon, mut load, _directory) = probed_and_not_due();
    load.tell("deadlock");
    until("the deadlock is proven", || {
        let process = daemon.process_of(load.pid().0);
        process.is_some_and(|process| process["findings"]["proven"] == 1)
    });
}

fn a_cycle_that_a_channel_closes_is_found_by_its_probes() {
    let (daemon, mut load, _directory) = probed_and_not_due();
    load.tell("handshake");
    assert_eq!(load.answer(), "waiting");
    // Its proof may need a walk of the heap, and so another look.
    until("the cycle is told of", || {
        daemon.log().contains("lock-cycle")
    });
}

/// A program that is probed, and of which no look is due within the life of the test but the first.
fn probed_and_not_due() -> (Daemon, Load, tempfile::TempDir) {
    let (directory, path, _image) = program(NEWEST);
    let daemon = following(&path, &["--interval", "1h"]);
    let load = Load::start(&path);
    until("it is probed", || {
        daemon.mode(load.pid().0).as_deref() == Some("events")
    });
    (daemon, load, directory)
}

fn hundreds_of_short_lived_processes_leave_nothing_behind() {
    let (_directory, path, _image) = program(NEWEST);
    let daemon = following(&path, &[]);
    let mut held = Vec::new();
    for _ in 0..4 {
        for _ in 0..5 {
            short_lives(&path, 20);
        }
        until("all are gone from the list", || {
            daemon.processes().is_empty()
        });
        held.push(holds(&daemon));
    }
    let ((files, memory), (_, memory_after)) = (held[1], held[3]);
    // A scan that is under way has a file open for a moment.
    until("no more files are open than before", || {
        holds(&daemon).0 <= files
    });
    // Ten per cent are for the allocator; what hundreds of processes leave would be more.
    assert!(memory_after < memory + memory / 10, "{held:?}");
    // And there is room for more.
    let load = Load::start(&path);
    until("the next is probed", || {
        daemon.mode(load.pid().0).as_deref() == Some("events")
    });
}

/// Processes that live for less than a second.
fn short_lives(path: &Path, number: usize) {
    let start = |_| {
        let mut command = quiet(path);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::null());
        Process::start(command).unwrap()
    };
    let mut lives: Vec<Process> = (0..number).map(start).collect();
    thread::sleep(Duration::from_millis(400));
    for life in &mut lives {
        // The end of its input ends it.
        life.close();
    }
    for life in &mut lives {
        assert!(life.wait().unwrap().success());
    }
}
