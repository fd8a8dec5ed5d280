//! Measures the search for lock holders: `lock_holders PID` in a process, `lock_holders graph` the
//! wait graph alone. Prints one line of numbers for `cargo xtask bench holders`.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::{Context as _, Result};
use tracer_user::{
    graph::{AssumeReachable, Disposition, GoroutineNode, HolderSet, Need, Requirement, solve},
    ids::{Goid, Pid, TargetAddr},
    image::Image,
    process::Process,
    release::{Analyzer, holders},
    snapshot::{self, Target},
};

/// Goroutines of the synthetic graph.
const NODES: u64 = 1_000_000;
/// Goroutines of one cycle in it; every other one queues behind one.
const CYCLE: u64 = 5;

fn main() -> Result<()> {
    let what = std::env::args().nth(1).context("a pid, or `graph`")?;
    match what.parse() {
        Ok(pid) => process(pid),
        Err(_) => {
            graph();
            Ok(())
        }
    }
}

/// Prints: goroutines, stacks, seconds of the first analysis, of the second, of judging.
fn process(pid: u32) -> Result<()> {
    let process = Process::open(Pid(pid))?;
    let image = Arc::new(Image::open(Path::new(&format!("/proc/{pid}/exe")))?);
    let target = Target::live(&process, Arc::clone(&image))?;
    let snapshot = snapshot::take(&target)?;
    let mut stacks: Vec<_> = snapshot
        .goroutines
        .iter()
        .map(|g| Arc::as_ptr(&g.stack))
        .collect();
    stacks.sort_unstable();
    stacks.dedup();
    let analyzer = Analyzer::new(image);
    let started = Instant::now();
    let _ = analyzer.pending(&target, &snapshot.goroutines);
    let first = started.elapsed();
    let started = Instant::now();
    let pending = analyzer.pending(&target, &snapshot.goroutines);
    let second = started.elapsed();
    let started = Instant::now();
    let _ = holders(&snapshot, &pending);
    println!(
        "{} {} {} {} {}",
        snapshot.goroutines.len(),
        stacks.len(),
        first.as_secs_f64(),
        second.as_secs_f64(),
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Prints: goroutines, dead ones, seconds.
fn graph() {
    let nodes: Vec<GoroutineNode> = (0..NODES).map(node).collect();
    let started = Instant::now();
    let verdicts = solve(&nodes, &mut AssumeReachable::new(true));
    let elapsed = started.elapsed();
    println!("{NODES} {} {}", verdicts.dead.len(), elapsed.as_secs_f64());
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
