//! The heap walk beside the runtime's own search for leaks: docs/performance.md, "Heap walk".

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{
    http,
    numbers::{mebibytes, median, of, percent, seconds},
    page::Section,
    program::{self, Running},
    tool::{self, Cost},
};
use crate::command::step;

/// What the program says of its own progress since it was asked last.
#[derive(Debug, Deserialize)]
struct Meter {
    operations: u64,
    longest_gap_ns: u64,
}

/// One search, and what the target felt of it.
#[derive(Debug)]
struct Round {
    elapsed: f64,
    /// CPU time: our own, or what the target used beyond its usual.
    cpu: f64,
    peak: u64,
    operations_a_second: f64,
    longest_gap: f64,
}

/// Who searches.
#[derive(Debug, Clone, Copy)]
enum Searcher {
    /// Nobody, for a second: the baseline.
    Nobody,
    /// `inspect` without a walk: the rest of a look.
    WithoutWalk,
    Walk,
    Runtime,
}

impl Searcher {
    const ALL: [Self; 4] = [Self::Nobody, Self::WithoutWalk, Self::Walk, Self::Runtime];

    fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody, for 1 s",
            Self::WithoutWalk => "`gostuck inspect --no-reach`",
            Self::Walk => "`gostuck inspect`",
            Self::Runtime => "the runtime's `goroutineleak` profile",
        }
    }

    fn search(self, gostuck: &Path, target: &Running) -> Result<Cost> {
        let inspect = |more: &[&str]| {
            let mut command = Command::new(gostuck);
            command.arg("inspect").arg(target.pid().to_string());
            tool::meter(command.args(["--format", "json"]).args(more))
        };
        let (started, before) = (Instant::now(), cpu_of(target.pid())?);
        match self {
            Self::Walk => return inspect(&[]),
            Self::WithoutWalk => return inspect(&["--no-reach"]),
            Self::Nobody => std::thread::sleep(Duration::from_secs(1)),
            Self::Runtime => {
                http::get(&target.address, "/debug/pprof/goroutineleak?debug=1")?;
            }
        }
        let elapsed = started.elapsed();
        // The counting goroutine alone uses one CPU.
        let cpu = cpu_of(target.pid())?.saturating_sub(before);
        Ok(Cost {
            elapsed,
            cpu: cpu.saturating_sub(elapsed),
            peak: 0,
        })
    }
}

/// CPU time that the process has used, of all its threads.
fn cpu_of(pid: u32) -> Result<Duration> {
    let stat =
        fs::read_to_string(format!("/proc/{pid}/stat")).context("reading the target's stat")?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    // proc(5): utime and stime are fields 14 and 15; the state, field 3, comes first here. Linux
    // counts them in hundredths of a second.
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|t| t.parse::<u64>().ok())
            .unwrap_or(0)
    };
    Ok(Duration::from_millis(10 * (ticks(11) + ticks(12))))
}

fn meter(target: &Running) -> Result<Meter> {
    let answer = http::get(&target.address, "/meter")?;
    serde_json::from_slice(&answer).context("reading the program's meter")
}

fn round(searcher: Searcher, gostuck: &Path, target: &Running) -> Result<Round> {
    meter(target)?;
    let started = Instant::now();
    let cost = searcher.search(gostuck, target)?;
    let elapsed = of(started.elapsed());
    let felt = meter(target)?;
    Ok(Round {
        elapsed: of(cost.elapsed),
        cpu: of(cost.cpu),
        peak: cost.peak,
        operations_a_second: felt.operations as f64 / elapsed,
        longest_gap: felt.longest_gap_ns as f64 / 1e9,
    })
}

pub(crate) fn run(quick: bool) -> Result<()> {
    let gostuck = tool::gostuck()?;
    let program = program::build("bench/heap")?;
    let mut section = Section::new(
        "Heap walk",
        "`cargo xtask bench reach`. A Go 1.27.3 program, stripped, with a live heap of trees, maps, \
         slices and strings, goroutines that wait on channels of that heap, and 100 leaked ones; one \
         goroutine counts without ever waiting: its longest time between two turns is the pause that it \
         felt, its turns a second are its speed. The searchers take turns; figures are medians. CPU is \
         our own for `inspect`; for the profile, which works inside, it is what the target used beyond \
         the counting goroutine. Both find all 100 leaks.",
    );
    let sizes: &[(u32, u32, u32)] = if quick {
        &[(64, 1_000, 1)]
    } else {
        &[(1024, 1_000, 5), (128, 100_000, 5), (16, 1_000, 5)]
    };
    for &(mebibytes, goroutines, rounds) in sizes {
        step(&format!("{mebibytes} MiB, {goroutines} goroutines"));
        let mut command = Command::new(&program);
        let target = Running::start(command.args([mebibytes.to_string(), goroutines.to_string()]))?;
        std::thread::sleep(Duration::from_secs(1));
        section.text(&format!(
            "### {mebibytes} MiB live heap, {goroutines} goroutines"
        ));
        section.table(
            &[
                "who searches",
                "time",
                "CPU",
                "own memory",
                "target's speed",
                "longest pause",
            ],
            &measure(&gostuck, &target, rounds)?,
        );
    }
    section.publish(quick)
}

fn measure(gostuck: &Path, target: &Running, rounds: u32) -> Result<Vec<Vec<String>>> {
    let mut all: [Vec<Round>; Searcher::ALL.len()] = Default::default();
    for _ in 0..rounds {
        for (searcher, into) in Searcher::ALL.into_iter().zip(&mut all) {
            into.push(round(searcher, gostuck, target)?);
        }
    }
    let of_rounds = |rounds: &[Round], f: fn(&Round) -> f64| median(rounds.iter().map(f));
    let base = of_rounds(&all[0], |r| r.operations_a_second);
    let rows = Searcher::ALL
        .into_iter()
        .zip(&all)
        .map(|(searcher, rounds)| {
            let ours = matches!(searcher, Searcher::Walk | Searcher::WithoutWalk);
            vec![
                searcher.name().to_owned(),
                seconds(of_rounds(rounds, |r| r.elapsed)),
                match searcher {
                    Searcher::Nobody => "–".to_owned(),
                    _ => seconds(of_rounds(rounds, |r| r.cpu)),
                },
                match ours {
                    true => mebibytes(of_rounds(rounds, |r| r.peak as f64) as u64),
                    false => "–".to_owned(),
                },
                percent(of_rounds(rounds, |r| r.operations_a_second) / base),
                seconds(of_rounds(rounds, |r| r.longest_gap)),
            ]
        });
    Ok(rows.collect())
}
