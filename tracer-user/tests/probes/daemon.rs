//! The daemon over probes: discovery by exec and exit, the budget, and many short lives.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use libtest_mimic::Trial;

use super::{NEWEST, load::Load, program, served::Daemon, traces::until, trial, watch::Watch};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a process that executes a Go program is probed until it executes another",
            &[NEWEST],
            a_process_is_followed_from_exec_to_exec,
        ),
        trial(
            "over the default budget looks take over and find a deadlock, and probes come back",
            &[NEWEST],
            over_budget_looks_take_over_and_probes_come_back,
        ),
        trial(
            "a lock cycle is found by its probes, long before the next look is due",
            &[NEWEST],
            a_lock_cycle_is_found_by_its_probes,
        ),
        trial(
            "a cycle that a wait for a channel closes is found by its probes",
            &[NEWEST],
            a_cycle_that_a_channel_closes_is_found_by_its_probes,
        ),
        trial(
            "hundreds of short-lived processes leave nothing behind",
            &[NEWEST],
            hundreds_of_short_lived_processes_leave_nothing_behind,
        ),
    ]
}

fn a_process_is_followed_from_exec_to_exec() {
    let (_directory, path, _image) = program(NEWEST);
    let daemon = Daemon::start(&[]);
    let mut load = Load::start_after_shell(&path);
    let pid = load.pid();
    until("it is probed", || {
        daemon.mode(pid).as_deref() == Some("events")
    });
    load.tell("exec /bin/sleep 100");
    until("it is followed no more", || daemon.process(pid).is_none());
    let log = daemon.log();
    assert!(!log.contains("cannot detach"), "{log}");
}

fn over_budget_looks_take_over_and_probes_come_back() {
    let (_directory, path, _image) = program(NEWEST);
    let daemon = Daemon::start(&["--interval", "2s"]);
    let mut load = Load::start(&path);
    let pid = load.pid();
    let watch = Watch::start(pid);
    until("it is probed", || {
        daemon.mode(pid).as_deref() == Some("events")
    });
    let cell = |cell| {
        let row = daemon.row_of_ps(pid);
        row.is_some_and(|row| row.split_whitespace().any(|word| word == cell))
    };
    assert!(cell("events"));
    // For longer than it takes to notice, and for less than the probes stay off.
    load.tell("load 8");
    assert_eq!(load.answer(), "loading");
    until("probes come off", || {
        daemon.mode(pid).as_deref() == Some("snapshots")
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
        let process = daemon.process(pid);
        process.is_some_and(|process| process["findings"]["proven"] == 1)
    });
    until("probes come back", || {
        daemon.mode(pid).as_deref() == Some("events") && over_budget() == Some(0.0)
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
        let process = daemon.process(load.pid());
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
    let daemon = Daemon::start(&["--interval", "1h"]);
    let load = Load::start(&path);
    until("it is probed", || {
        daemon.mode(load.pid()).as_deref() == Some("events")
    });
    (daemon, load, directory)
}

fn hundreds_of_short_lived_processes_leave_nothing_behind() {
    let (directory, program, _image) = program(NEWEST);
    // What is counted here must not be other tests' processes.
    let path = directory.path().join("shortlived");
    fs::rename(program, &path).unwrap();
    let daemon = Daemon::following("shortlived", &[]);
    let mut held = Vec::new();
    for _ in 0..4 {
        for _ in 0..5 {
            short_lives(&path, 20);
        }
        until("all are gone from the list", || {
            daemon.processes().is_empty()
        });
        held.push(daemon.holds());
    }
    let ((files, memory), (_, memory_after)) = (held[1], held[3]);
    // A scan that is under way has a file open for a moment.
    until("no more files are open than before", || {
        daemon.holds().0 <= files
    });
    // Ten per cent are for the allocator; what hundreds of processes leave would be more.
    assert!(memory_after < memory + memory / 10, "{held:?}");
    // And there is room for more.
    let load = Load::start(&path);
    until("the next is probed", || {
        daemon.mode(load.pid()).as_deref() == Some("events")
    });
}

/// Processes that live for less than a second.
fn short_lives(path: &Path, number: usize) {
    let mut children: Vec<_> = (0..number)
        .map(|_| {
            let mut command = Command::new(path);
            command.stdin(Stdio::piped()).stdout(Stdio::null());
            command.spawn().unwrap()
        })
        .collect();
    thread::sleep(Duration::from_millis(400));
    for child in &mut children {
        // The end of its input ends it.
        drop(child.stdin.take());
    }
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
}
