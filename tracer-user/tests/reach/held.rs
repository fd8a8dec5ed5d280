//! A target that is held: by somebody else, by us, and by us when we are killed.

use std::{
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
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
    dead, functions,
    go_program::{Link, Running, build, toolchain},
    is_leak, look, look_at_copy,
};

const PATIENCE: Duration = Duration::from_secs(20);

fn status(pid: Pid, key: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.unwrap().trim_start_matches(':').trim().to_owned()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "never {what}");
        thread::sleep(Duration::from_micros(200));
    }
}

fn busy() -> Option<(Running, tempfile::TempDir)> {
    let go = toolchain("1.27.3")?;
    let directory = tempfile::tempdir().unwrap();
    let binary = build(&go, "reach-healthy", Link::Plain, directory.path());
    Some((Running::start(&binary, &["-load"]), directory))
}

/// Between two instructions a reference may be in a register only, and nobody can see it.
#[test]
fn a_process_that_was_stopped_is_not_at_rest() {
    let Some((running, _directory)) = busy() else {
        return;
    };
    let target = running.target();
    let options = Options {
        limit: Duration::from_millis(500),
        ..Options::default()
    };
    for _ in 0..8 {
        running.signal(libc::SIGSTOP);
        wait_until("stopped", || {
            status(running.pid(), "State").starts_with('T')
        });
        let (snapshot, proof) = look(&target, options);
        running.signal(libc::SIGCONT);
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

#[test]
fn a_hold_that_is_too_short_ends_in_time_and_tells_nothing() {
    let Some((running, _directory)) = busy() else {
        return;
    };
    let target = running.target();
    let looked = look_held(
        &target,
        Duration::from_micros(200),
        || Ok::<(), FreezeError>(()),
        |_| Ok(()),
    );
    assert!(looked.is_err());
    wait_until("let go", || status(running.pid(), "TracerPid") == "0");
    assert!(!status(running.pid(), "State").starts_with(['T', 't']));
}

/// The process runs on while the copy is looked at, and the copy stays as it was.
#[test]
fn the_process_runs_while_its_copy_is_looked_at() {
    let Some((running, _directory)) = busy() else {
        return;
    };
    let (target, pid) = (running.target(), running.pid());
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
#[test]
fn of_a_large_process_only_what_is_read_is_copied() {
    let Some(go) = toolchain("1.27.3") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let binary = build(&go, "leaks", Link::Plain, directory.path());
    let running = Running::start(&binary, &["-ballast", "200"]);
    let (snapshot, proof) = look_at_copy(&running.target(), Duration::from_secs(5));
    assert_eq!(proof.certainty, Certainty::Exact);
    let leaks = snapshot
        .goroutines
        .iter()
        .filter(|g| is_leak(&running.target().image, g));
    let dead = dead(&proof);
    let found = leaks.filter(|g| dead.contains(&g.goid)).count();
    assert!(found >= 36, "{found}");
}

/// For [`killing_us_lets_the_target_go`]: holds the process that it is told of, for ever.
#[test]
fn holds_until_it_is_killed() {
    let Ok(pid) = std::env::var(HELD) else {
        return;
    };
    let _freeze = Freeze::begin(Pid(pid.parse().unwrap()), PATIENCE).unwrap();
    thread::sleep(PATIENCE);
}

const HELD: &str = "GOSTUCK_TEST_HELD";

#[test]
fn killing_us_lets_the_target_go() {
    let Some((running, _directory)) = busy() else {
        return;
    };
    let pid = running.pid();
    let mut ours = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "held::holds_until_it_is_killed"])
        .env(HELD, pid.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("held", || {
        status(pid, "TracerPid") != "0" && status(pid, "State").starts_with('t')
    });
    ours.kill().unwrap();
    ours.wait().unwrap();
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
