//! The heap walk beside the runtime's own search for leaks: docs/performance.md, "Heap walk".

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    http,
    meter::{self, Felt},
    numbers::{mebibytes, median, of, percent, seconds},
    page::Section,
    program::{self, Running},
    tool::{self, Cost},
    used::used,
};
use crate::command::step;

const SECOND: Duration = Duration::from_secs(1);

/// One search, and what the target felt of it.
#[derive(Debug)]
struct Round {
    /// Its CPU time is our own, or what the target used beyond its usual.
    cost: Cost,
    felt: Felt,
}

/// Who searches.
#[derive(Debug, Clone, Copy)]
enum Searcher {
    /// Nobody, for a second: the baseline.
    Nobody,
    /// Nobody, but a CPU is busy with something else for a second: what any work on this machine
    /// costs the target.
    Busy,
    /// `inspect` without a walk: the rest of a look.
    WithoutWalk,
    Walk,
    Runtime,
}

impl Searcher {
    const ALL: [Self; 5] = [
        Self::Nobody,
        Self::Busy,
        Self::WithoutWalk,
        Self::Walk,
        Self::Runtime,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Nobody => "nobody, for 1 s",
            Self::Busy => "nobody; another process computes for 1 s",
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
        let (started, before) = (Instant::now(), used(target.pid())?.cpu);
        match self {
            Self::Walk => return inspect(&[]),
            Self::WithoutWalk => return inspect(&["--no-reach"]),
            Self::Nobody => std::thread::sleep(SECOND),
            Self::Busy => while started.elapsed() < SECOND {},
            Self::Runtime => {
                http::get(&target.address, "/debug/pprof/goroutineleak?debug=1")?;
            }
        }
        let elapsed = started.elapsed();
        // The counting goroutine alone uses one CPU.
        let cpu = used(target.pid())?.cpu.saturating_sub(before);
        Ok(Cost {
            elapsed,
            cpu: cpu.saturating_sub(elapsed),
            peak: 0,
        })
    }
}

fn round(searcher: Searcher, gostuck: &Path, target: &Running) -> Result<Round> {
    let (cost, felt) = meter::felt(target, || searcher.search(gostuck, target))?;
    Ok(Round { cost, felt })
}

pub(crate) fn run(quick: bool) -> Result<()> {
    let gostuck = tool::gostuck()?;
    let program = program::build("bench/heap")?;
    let mut section = Section::new(
        "Heap walk",
        "`cargo xtask bench reach`. A Go 1.27.3 program, stripped, with a live heap of trees, maps, \
         slices and strings, goroutines that wait on channels of that heap, and 100 leaked ones; one \
         goroutine counts without ever waiting: its longest time between two turns is the pause that it \
         felt, its turns a second are its speed. What it loses while another process merely computes it \
         loses to the scheduler, whoever computes. The searchers take turns; figures are medians. CPU is \
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
    let base = of_rounds(&all[0], |r| r.felt.operations_a_second);
    let rows = Searcher::ALL
        .into_iter()
        .zip(&all)
        .map(|(searcher, rounds)| {
            let ours = matches!(searcher, Searcher::Walk | Searcher::WithoutWalk);
            vec![
                searcher.name().to_owned(),
                seconds(of_rounds(rounds, |r| of(r.cost.elapsed))),
                match searcher {
                    Searcher::Nobody | Searcher::Busy => "–".to_owned(),
                    _ => seconds(of_rounds(rounds, |r| of(r.cost.cpu))),
                },
                match ours {
                    true => mebibytes(of_rounds(rounds, |r| r.cost.peak as f64) as u64),
                    false => "–".to_owned(),
                },
                percent(of_rounds(rounds, |r| r.felt.operations_a_second) / base),
                seconds(of_rounds(rounds, |r| r.felt.longest_gap)),
            ]
        });
    Ok(rows.collect())
}
