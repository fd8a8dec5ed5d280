//! From a deadlock to its finding.

use std::{
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    super::{ended::Ended, http, numbers::of, page::Section},
    Bench,
    arrival::Teller,
    load::Load,
};
use crate::command::step;

/// Where the daemon listens meanwhile.
const LISTEN: &str = "127.0.0.1:19106";

/// One way of being told.
struct Way {
    name: &'static str,
    teller: Teller,
    options: &'static [&'static str],
    /// Whether the server is under load, by wrk, meanwhile.
    busy: bool,
    cycles: usize,
}

const WAYS: [Way; 5] = [
    Way {
        name: "`watch`, events",
        teller: Teller::Watch,
        options: &["--interval", "10s"],
        busy: false,
        cycles: 60,
    },
    Way {
        name: "`watch`, looks every second",
        teller: Teller::Watch,
        options: &["--no-probes", "--interval", "1s"],
        busy: false,
        cycles: 25,
    },
    Way {
        name: "`watch`, looks every 5 s",
        teller: Teller::Watch,
        options: &["--no-probes", "--interval", "5s"],
        busy: false,
        cycles: 8,
    },
    Way {
        name: "the daemon, events",
        teller: Teller::Daemon,
        options: &["--interval", "10s"],
        busy: false,
        cycles: 30,
    },
    Way {
        name: "the daemon, server under wrk and over budget",
        teller: Teller::Daemon,
        options: &["--interval", "10s"],
        busy: true,
        cycles: 10,
    },
];

pub(super) fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    let mut rows = Vec::new();
    for way in WAYS {
        let cycles = bench.count(5, way.cycles);
        if way.busy && !Load::is_possible() {
            section.text("Under load: not measured, wrk is not installed.");
            continue;
        }
        step(&format!("time from deadlock to finding: {}", way.name));
        let mut times = times(bench, &way, cycles)?;
        times.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len());
            format!("{:.0}", times[place - 1] * 1e3)
        };
        rows.push(vec![
            way.name.to_owned(),
            times.len().to_string(),
            at(0.5),
            at(0.99),
            at(1.0),
        ]);
    }
    section.text(
        "**Time to a finding**: two goroutines of a server lock each other out, again and again at odd \
         times; from the last lock asked for to the line of `gostuck watch`, or of the daemon's log, that \
         proves it. Nobody ever lets go: the goroutines that are stuck grow more with each cycle.",
    );
    section.table(&["by", "cycles", "p50 ms", "p99 ms", "most ms"], &rows);
    Ok(())
}

/// Seconds from each deadlock to its finding.
fn times(bench: &Bench, way: &Way, cycles: usize) -> Result<Vec<f64>> {
    let target = bench.waits(2)?;
    let mut command = Command::new(&bench.gostuck);
    match way.teller {
        Teller::Watch => command
            .args(["watch", "--format", "json", "--stuck-after", "1h"])
            .args(way.options)
            .arg(target.pid().to_string()),
        Teller::Daemon => command
            .args(["run", "--listen", LISTEN, "--stuck-after", "1h"])
            .args(["--command", "bench-waits"])
            .args(way.options),
    };
    let load = way.busy.then(|| load(&target.address)).transpose()?;
    let told = way.teller.start(&mut command)?;
    thread::sleep(Duration::from_secs(if way.busy { 8 } else { 4 }));
    let times = (0..cycles)
        .map(|cycle| {
            let answer = http::get(&target.address, "/deadlock")?;
            let closed: u64 = String::from_utf8_lossy(&answer).trim().parse()?;
            let found = told.next()?;
            // Not in step with any interval.
            thread::sleep(Duration::from_millis(400 + cycle as u64 * 271 % 900));
            Ok(of(found.saturating_sub(Duration::from_nanos(closed))))
        })
        .collect();
    drop(load);
    times
}

/// Requests for longer than it takes.
fn load(address: &str) -> Result<Ended> {
    let wrk = Load::FULL
        .command(address, 600)
        .stdout(Stdio::null())
        .spawn();
    Ok(Ended(wrk.context("cannot start wrk")?))
}
