//! Measures the search for lock holders: `lock_holders PID` in a process, `lock_holders waiters PID`
//! a glance at who waits for locks there, `lock_holders stacks PID` the first and the second search in
//! a process whose stacks are deep, `lock_holders graph` the wait graph alone, solved whole and
//! kept. Prints one line of numbers for `cargo xtask bench holders`.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use nix::time::ClockId;
use tracer_user::{
    graph::{
        AssumeReachable, Disposition, GoroutineNode, HolderSet, Need, Requirement, VerdictCache,
        solve,
    },
    holders::{Analyzer, holders},
    ids::{Goid, Pid, TargetAddr},
    image::Image,
    process::Process,
    snapshot::{self, Target},
};

/// Goroutines of the synthetic graph.
const NODES: u64 = 1_000_000;
/// Goroutines of one cycle in it; every other one queues behind one.
const CYCLE: u64 = 5;
/// Glances at who waits for locks.
const GLANCES: u32 = 100;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["graph"] => graph(),
        ["waiters", pid] => waiters(pid.parse()?),
        ["stacks", pid] => stacks(pid.parse()?),
        [pid] => process(pid.parse()?),
        _ => bail!("a pid, `waiters` or `stacks` and a pid, or `graph`"),
    }
}

/// Prints: goroutines, how many of them were followed at first; then seconds of CPU time of the first
/// analysis, and of the second.
fn stacks(pid: u32) -> Result<()> {
    let target = target(pid)?;
    let snapshot = snapshot::take(&target)?;
    let analyzer = Analyzer::new(Arc::clone(&target.image));
    let started = spent()?;
    let locks = analyzer.locks(&target, &snapshot, &snapshot.goroutines);
    let first = spent()? - started;
    let started = spent()?;
    let _ = analyzer.locks(&target, &snapshot, &snapshot.goroutines);
    println!(
        "{} {} {} {}",
        snapshot.goroutines.len(),
        locks.followed,
        first.as_secs_f64(),
        (spent()? - started).as_secs_f64()
    );
    Ok(())
}

/// Prints: goroutines, stacks; then seconds of CPU time of the first analysis, of the second, of
/// following each goroutine by itself, of judging.
fn process(pid: u32) -> Result<()> {
    let target = target(pid)?;
    let snapshot = snapshot::take(&target)?;
    let mut stacks: Vec<_> = snapshot
        .goroutines
        .iter()
        .map(|g| Arc::as_ptr(&g.stack))
        .collect();
    stacks.sort_unstable();
    stacks.dedup();
    let analyzer = Analyzer::new(Arc::clone(&target.image));
    let started = spent()?;
    let _ = analyzer.locks(&target, &snapshot, &snapshot.goroutines);
    let first = spent()? - started;
    let started = spent()?;
    let locks = analyzer.locks(&target, &snapshot, &snapshot.goroutines);
    let second = spent()? - started;
    let started = spent()?;
    let _ = analyzer.pending_one_by_one(&target, &snapshot.goroutines);
    let one_by_one = spent()? - started;
    let started = spent()?;
    let _ = holders(&snapshot, &locks);
    println!(
        "{} {} {} {} {} {}",
        snapshot.goroutines.len(),
        stacks.len(),
        first.as_secs_f64(),
        second.as_secs_f64(),
        one_by_one.as_secs_f64(),
        (spent()? - started).as_secs_f64()
    );
    Ok(())
}

/// Prints: who waits for locks; then seconds of CPU time of one glance at them.
fn waiters(pid: u32) -> Result<()> {
    let target = target(pid)?;
    let mut waiters = 0;
    let started = spent()?;
    for _ in 0..GLANCES {
        let seen = snapshot::semaphore_waiters(&target)?;
        waiters = seen.context("the table's place is not known")?.len();
    }
    let glance = (spent()? - started) / GLANCES;
    println!("{waiters} {}", glance.as_secs_f64());
    Ok(())
}

fn target(pid: u32) -> Result<Target> {
    let process = Process::open(Pid(pid))?;
    let image = Arc::new(Image::open(Path::new(&format!("/proc/{pid}/exe")))?);
    Ok(Target::live(&process, image)?)
}

/// The CPU time that this process has taken: other work on the machine does not count.
fn spent() -> Result<Duration> {
    let time = ClockId::CLOCK_PROCESS_CPUTIME_ID.now();
    Ok(time.context("the clock of the process")?.into())
}

/// Prints: goroutines, dead ones; then seconds of CPU time of solving the whole, of doing so where nothing is
/// kept yet, of doing so again where nothing has changed.
fn graph() -> Result<()> {
    let nodes: Vec<GoroutineNode> = (0..NODES).map(node).collect();
    let started = spent()?;
    let verdicts = solve(&nodes, &mut AssumeReachable::new(true));
    let whole = spent()? - started;
    let mut cache = VerdictCache::default();
    let mut kept = [Duration::ZERO; 2];
    for time in &mut kept {
        let started = spent()?;
        anyhow::ensure!(*cache.solve(&nodes) == verdicts, "what is kept differs");
        *time = spent()? - started;
    }
    println!(
        "{NODES} {} {} {} {}",
        verdicts.dead.len(),
        whole.as_secs_f64(),
        kept[0].as_secs_f64(),
        kept[1].as_secs_f64()
    );
    Ok(())
}

/// Cycles of [`CYCLE`], each with as many queued behind it, and after every other pair of these as
/// many goroutines that wait for somebody who moves.
fn node(number: u64) -> GoroutineNode {
    let group = number / CYCLE * CYCLE;
    let holder = match number / CYCLE % 4 {
        0 => group + (number + 1) % CYCLE,
        1 => number - CYCLE,
        2 => number + CYCLE,
        _ => {
            return GoroutineNode {
                goid: Goid(number),
                disposition: Disposition::Live,
            };
        }
    };
    GoroutineNode {
        goid: Goid(number),
        disposition: Disposition::Blocked(Requirement::Release {
            object: TargetAddr(0x1000 + 8 * holder),
            holders: Arc::new(HolderSet {
                holders: vec![Goid(holder)],
                need: Need::OneOf,
                complete: true,
                unseen: Vec::new(),
            }),
        }),
    }
}
