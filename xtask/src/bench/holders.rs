//! Who holds which lock: how often it is found, and in what time. docs/performance.md, "Lock holders".

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{
    numbers::{median, seconds},
    page::Section,
    program::{self, Running},
    tool,
};
use crate::paths;

/// Random programs, each with over a thousand holders that are known.
const PROGRAMS: u32 = 40;
const ROUNDS: usize = 7;

pub(crate) fn run(quick: bool) -> Result<()> {
    let (programs, rounds) = if quick { (2, 2) } else { (PROGRAMS, ROUNDS) };
    let example = tool::example("lock_holders")?;
    let mut section = Section::new(
        "Lock holders",
        "`cargo xtask bench holders`, as root. Random programs take and release locks in every way \
         that Go has and park in the middle; each says which goroutine holds which lock. *Exact*: \
         that goroutine and no other was named. *With others*: others who release the lock on some \
         path count as alternatives. *Open*: nobody was named for certain. The times, of the CPU, are \
         those of 10,000 goroutines that wait at a hundred stacks, holding locks, and of a wait graph \
         alone: all by one thread. The code at a site is decoded once; of goroutines that stand \
         alike one is followed through it, and the others take its result where what it depends on \
         is the same for them. *Each by itself* is the baseline: the same analysis without that. \
         Servers: so many requests wait behind two handlers that hold what the other one wants; each \
         has goroutines of its connection and of its client beside it.",
    );
    section.text(&precision(programs)?);

    let program = program::build("holders/many")?;
    let target = Running::start(&mut Command::new(program))?;
    let pid = target.pid().to_string();
    let looks = (0..rounds)
        .map(|_| numbers(Command::new(&example).arg(&pid)))
        .collect::<Result<Vec<_>>>()?;
    let waited_for = glances(&example, &pid, rounds)?;
    drop(target);
    let idle = program::build("bench/parked")?;
    let idle = Running::start(Command::new(idle).arg("1000"))?;
    let nobody = glances(&example, &idle.pid().to_string(), rounds)?;
    let graphs = (0..rounds)
        .map(|_| numbers(Command::new(&example).arg("graph")))
        .collect::<Result<Vec<_>>>()?;
    let of = |runs: &[Vec<f64>], column: usize| {
        seconds(median(
            runs.iter().filter_map(|run| run.get(column).copied()),
        ))
    };
    let each = median(
        looks
            .iter()
            .filter_map(|run| Some(run.get(3)? / run.first()?)),
    );
    let spared = median(
        looks
            .iter()
            .filter_map(|run| Some(run.get(4)? / run.get(3)?)),
    );
    let row = |what: &str, time: String| vec![what.to_owned(), time];
    section.table(
        &["", "median"],
        &[
            row("what 10,000 goroutines release, first look", of(&looks, 2)),
            row("the same, code known", of(&looks, 3)),
            row("the same, for each goroutine", seconds(each)),
            row("the same, each by itself", of(&looks, 4)),
            row(
                "each by itself, in comparison",
                format!("{spared:.1} times"),
            ),
            row("from releases to holders", of(&looks, 5)),
            row(&glance(&nobody), of(&nobody, 1)),
            row(&glance(&waited_for), of(&waited_for, 1)),
            row("wait graph of 1,000,000 goroutines, whole", of(&graphs, 2)),
            row("the same, kept from then on: at first", of(&graphs, 3)),
            row("again, where nothing has changed", of(&graphs, 4)),
        ],
    );
    section.table(
        &[
            "server, requests that wait",
            "goroutines",
            "followed",
            "first look",
            "the same again",
        ],
        &servers(if quick { 200 } else { 10_000 }, rounds)?,
    );
    section.publish(quick)
}

/// What the search takes in servers with `requests` that wait behind a cycle.
fn servers(requests: u32, rounds: usize) -> Result<Vec<Vec<String>>> {
    let example = tool::example("lock_holders")?;
    let program = program::build("bench/servers")?;
    let of = |kind: &&str| {
        let mut command = Command::new(&program);
        let target = Running::start(command.args([*kind, &requests.to_string()]))?;
        let pid = target.pid().to_string();
        let looks = (0..rounds)
            .map(|_| numbers(Command::new(&example).args(["stacks", &pid])))
            .collect::<Result<Vec<_>>>()?;
        let column =
            |column: usize| median(looks.iter().filter_map(|run| run.get(column).copied()));
        Ok(vec![
            format!("{kind}, {requests}"),
            format!("{:.0}", column(0)),
            format!("{:.0}", column(1)),
            seconds(column(2)),
            seconds(column(3)),
        ])
    };
    ["http", "http2", "proxy", "sql"].iter().map(of).collect()
}

/// What the test of random programs says of `programs` of them.
fn precision(programs: u32) -> Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(paths::workspace())
        .env("GOSTUCK_HOLDERS_PROGRAMS", programs.to_string())
        .args(["test", "--package", "tracer-user"])
        .args(["--test", "holders", "--", "--nocapture", "random programs"])
        .output()
        .context("running cargo test")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "a wrong holder was named: {text}");
    let total = text.lines().find(|line| line.contains("holders exact"));
    let total = total.context("the test of random programs was skipped")?;
    Ok(format!("{programs} random programs: {}.", total.trim()))
}

/// Who waits for locks in the process, and what a glance at them takes.
fn glances(example: &Path, pid: &str, rounds: usize) -> Result<Vec<Vec<f64>>> {
    (0..rounds)
        .map(|_| numbers(Command::new(example).args(["waiters", pid])))
        .collect()
}

fn glance(runs: &[Vec<f64>]) -> String {
    let waiters = median(runs.iter().filter_map(|run| run.first().copied()));
    format!("one glance at who waits for locks, {waiters} goroutines")
}

fn numbers(command: &mut Command) -> Result<Vec<f64>> {
    let output = command.output().context("running the example")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let words = text.split_whitespace().map(str::parse);
    words
        .collect::<Result<Vec<f64>, _>>()
        .with_context(|| format!("the example said {text:?}"))
}
