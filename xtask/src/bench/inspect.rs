//! One look at many goroutines, beside the process's own pprof: docs/performance.md, "One look".

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
};
use crate::command::step;

/// One reading of the process, and what the process felt of it.
#[derive(Debug)]
struct Round {
    cost: Cost,
    felt: Felt,
}

/// How the process is read.
#[derive(Debug, Clone, Copy)]
enum Reader {
    /// Left alone for a second: the baseline.
    Nobody,
    Inspect,
    WithoutReach,
    Pprof,
}

impl Reader {
    const ALL: [Self; 4] = [Self::Nobody, Self::Inspect, Self::WithoutReach, Self::Pprof];

    fn name(self) -> &'static str {
        match self {
            Self::Nobody => "left alone for 1 s",
            Self::Inspect => "`gostuck inspect --format json`",
            Self::WithoutReach => "`gostuck inspect --no-reach --format json`",
            Self::Pprof => "its own `pprof/goroutine?debug=2`",
        }
    }

    fn read(self, gostuck: &Path, target: &Running) -> Result<Cost> {
        let inspect = |more: &[&str]| {
            let mut command = Command::new(gostuck);
            command.arg("inspect").arg(target.pid().to_string());
            tool::meter(command.args(["--format", "json"]).args(more))
        };
        match self {
            Self::Inspect => inspect(&[]),
            Self::WithoutReach => inspect(&["--no-reach"]),
            Self::Nobody => {
                std::thread::sleep(Duration::from_secs(1));
                Ok(alone(Duration::from_secs(1), 0))
            }
            Self::Pprof => {
                let started = Instant::now();
                let dump = http::get(&target.address, "/debug/pprof/goroutine?debug=2")?;
                Ok(alone(started.elapsed(), dump.len() as u64))
            }
        }
    }
}

/// The cost of what ran inside the target: only its time is known, and what it made.
fn alone(elapsed: Duration, bytes: u64) -> Cost {
    Cost {
        elapsed,
        cpu: Duration::ZERO,
        peak: bytes,
    }
}

fn round(reader: Reader, gostuck: &Path, target: &Running) -> Result<Round> {
    let (cost, felt) = meter::felt(target, || reader.read(gostuck, target))?;
    Ok(Round { cost, felt })
}

pub(crate) fn run(quick: bool) -> Result<()> {
    let gostuck = tool::gostuck()?;
    let program = program::build("bench/parked")?;
    let mut section = Section::new(
        "One look",
        "`cargo xtask bench inspect`. A Go 1.27.3 program, stripped, parks goroutines in a select under \
         stacks of eight depths while one more counts without ever waiting: its longest time between two \
         turns is the pause that it felt, its turns a second are its speed. The readers take turns; \
         figures are medians. `pprof` works inside the target, so its processor time is the target's own, \
         and its dump ends at 64 MB whatever the number of goroutines.",
    );
    let sizes: &[(u32, u32)] = if quick {
        &[(10_000, 2)]
    } else {
        &[(100_000, 7), (1_000_000, 3)]
    };
    for &(goroutines, rounds) in sizes {
        step(&format!("{goroutines} goroutines, {rounds} rounds"));
        let mut command = Command::new(&program);
        let target = Running::start(
            command
                .args([&goroutines.to_string(), "meter"])
                .env("GOMAXPROCS", "2"),
        )?;
        std::thread::sleep(Duration::from_secs(2));
        section.text(&format!("### {} goroutines", thousands(goroutines)));
        section.table(
            &[
                "reader",
                "time",
                "CPU",
                "memory",
                "target's speed",
                "longest pause",
            ],
            &measure(&gostuck, &target, rounds)?,
        );
    }
    section.publish(quick)
}

fn measure(gostuck: &Path, target: &Running, rounds: u32) -> Result<Vec<Vec<String>>> {
    let mut all: [Vec<Round>; Reader::ALL.len()] = Default::default();
    for _ in 0..rounds {
        for (reader, into) in Reader::ALL.into_iter().zip(&mut all) {
            into.push(round(reader, gostuck, target)?);
        }
    }
    let base = median(all[0].iter().map(|r| r.felt.operations_a_second));
    let rows = Reader::ALL.into_iter().zip(&all).map(|(reader, rounds)| {
        let of_cost = |f: fn(&Cost) -> f64| median(rounds.iter().map(|r| f(&r.cost)));
        let ours = matches!(reader, Reader::Inspect | Reader::WithoutReach);
        let cell = |text: String| if ours { text } else { "–".to_owned() };
        let peak = of_cost(|c| c.peak as f64) as u64;
        let speed = median(rounds.iter().map(|r| r.felt.operations_a_second));
        vec![
            reader.name().to_owned(),
            seconds(of_cost(|c| of(c.elapsed))),
            cell(seconds(of_cost(|c| of(c.cpu)))),
            match reader {
                Reader::Pprof => format!("dump of {}", mebibytes(peak)),
                _ => cell(mebibytes(peak)),
            },
            percent(speed / base),
            seconds(median(rounds.iter().map(|r| r.felt.longest_gap))),
        ]
    });
    Ok(rows.collect())
}

fn thousands(number: u32) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    groups.join(",")
}
