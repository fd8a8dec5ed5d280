//! A target that is held: by somebody else, by us, and by us when we are killed.

use std::{
    env, fs,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use testing::{
    go::{self, Flavour, Toolchain},
    process::Process,
    wait::{PATIENCE, until_every},
};
use tracer_user::{
    ids::Pid,
    reach::{
        Certainty, Options,
        freeze::{Freeze, FreezeError, look_held},
    },
    snapshot::take,
};

use crate::{
    dead, functions, is_leak, look, look_at_copy,
    target::{run, target_of},
    trial,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "a process that was stopped is not at rest",
            a_process_that_was_stopped_is_not_at_rest,
        ),
        trial(
            "a hold that is too short ends in time and tells nothing",
            a_hold_that_is_too_short_ends_in_time_and_tells_nothing,
        ),
        trial(
            "the process runs while its copy is looked at",
            the_process_runs_while_its_copy_is_looked_at,
        ),
        trial(
            "of a large process only what is read is copied",
            of_a_large_process_only_what_is_read_is_copied,
        ),
        trial(
            "killing us lets the target go",
            killing_us_lets_the_target_go,
        ),
    ]
}

fn status(pid: Pid, key: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap().trim_start_matches(':').trim().to_owned()
}

/// Waits for what may last for a moment only.
fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    until_every(Duration::from_micros(200), what, condition);
}

fn busy() -> Process {
    let binary = go::program(Toolchain::newest(), "reach-healthy", Flavour::Plain);
    run(&binary.unwrap(), &["-load"])
}

/// Between two instructions a reference may be in a register only, and nobody can see it.
fn a_process_that_was_stopped_is_not_at_rest() {
    let running = busy();
    let (target, pid) = (target_of(&running), Pid(running.pid()));
    let options = Options {
        limit: Duration::from_millis(500),
        ..Options::default()
    };
    for _ in 0..8 {
        running.signal(Signal::SIGSTOP).unwrap();
        wait_until("stopped", || status(pid, "State").starts_with('T'));
        let (snapshot, proof) = look(&target, options);
        running.signal(Signal::SIGCONT).unwrap();
        assert_ne!(proof.certainty, Certainty::Exact);
        if proof.certainty.is_proof() {
            let dead = dead(&proof);
            let told = snapshot
                .goroutines
                .iter()
                .filter(|g| dead.contains(&g.goid));
            let told: Vec<_> = told.map(|g| functions(&target.image, g)).collect();
            assert!(told.is_empty(), "{:?} {told:?}", proof.certainty);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn a_hold_that_is_too_short_ends_in_time_and_tells_nothing() {
    let running = busy();
    let (target, pid) = (target_of(&running), Pid(running.pid()));
    let looked = look_held(
        &target,
        Duration::from_micros(200),
        || Ok::<(), FreezeError>(()),
        |_| Ok(()),
    );
    assert!(looked.is_err());
    wait_until("let go", || status(pid, "TracerPid") == "0");
    assert!(!status(pid, "State").starts_with(['T', 't']));
}

/// The process runs on while the copy is looked at, and the copy stays as it was.
fn the_process_runs_while_its_copy_is_looked_at() {
    let running = busy();
    let (target, pid) = (target_of(&running), Pid(running.pid()));
    let none = || Ok::<(), FreezeError>(());
    let (goids, moment) = look_held(&target, Duration::from_secs(5), none, |copy| {
        let goids = || {
            let snapshot = take(copy).unwrap();
            let goroutines = snapshot.goroutines.iter();
            goroutines.map(|g| (g.goid, g.parks)).collect::<Vec<_>>()
        };
        let first = goids();
        let before = cpu_ticks(pid);
        wait_until("getting on", || cpu_ticks(pid) > before + 5);
        assert_eq!(goids(), first);
        Ok(first)
    })
    .unwrap();
    assert!(!goids.is_empty());
    assert!(moment.memory.missing().is_empty());
    println!("held for {:?}", moment.held);
}

/// A process with more memory than is copied whole is looked at first without being held.
fn of_a_large_process_only_what_is_read_is_copied() {
    let binary = go::program(Toolchain::newest(), "leaks", Flavour::Plain);
    let running = run(&binary.unwrap(), &["-ballast", "200"]);
    let target = target_of(&running);
    let (snapshot, proof) = look_at_copy(&target, Duration::from_secs(5));
    assert_eq!(proof.certainty, Certainty::Exact);
    let leaks = snapshot
        .goroutines
        .iter()
        .filter(|g| is_leak(&target.image, g));
    let dead = dead(&proof);
    let found = leaks.filter(|g| dead.contains(&g.goid)).count();
    assert!(found >= 36, "{found}");
}

/// Names, for [`killing_us_lets_the_target_go`], the process that this one is to hold for ever.
const HELD: &str = "GOSTUCK_TEST_HELD";

/// Holds a process until this one is killed, if this one was started for that.
pub(crate) fn hold_if_asked() -> bool {
    let Ok(pid) = env::var(HELD) else {
        return false;
    };
    let _freeze = Freeze::begin(Pid(pid.parse().unwrap()), PATIENCE).unwrap();
    thread::sleep(PATIENCE);
    true
}

fn killing_us_lets_the_target_go() {
    let running = busy();
    let pid = Pid(running.pid());
    let mut ours = Command::new(env::current_exe().unwrap());
    ours.env(HELD, pid.to_string()).stdin(Stdio::null());
    let mut ours = Process::start(&mut ours).unwrap();
    wait_until("held", || {
        status(pid, "TracerPid") != "0" && status(pid, "State").starts_with('t')
    });
    ours.kill().unwrap();
    wait_until("let go", || status(pid, "TracerPid") == "0");
    wait_until("running", || !status(pid, "State").starts_with(['T', 't']));
    // All its threads run on, and it still does what it did.
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    for thread in threads {
        let status = thread.unwrap().path().join("status");
        let status = fs::read_to_string(status).unwrap_or_default();
        assert!(!status.contains("State:\tt"), "{status}");
    }
    let before = cpu_ticks(pid);
    wait_until("getting on", || cpu_ticks(pid) > before);
}

/// CPU time of all threads of `pid`, in hundredths of a second: `utime` and `stime` of proc(5).
fn cpu_ticks(pid: Pid) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    let ticks = fields.skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}
