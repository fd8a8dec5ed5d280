//! Programs that only wait: channels handed back and forth, a contended mutex.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};

use super::{
    super::{ended::Ended, http, numbers::median, page::Section, program::Running},
    Bench,
    tracer::Tracer,
};
use crate::command::step;

const TRACERS: [Tracer; 4] = [
    Tracer::None,
    Tracer::Ungoverned,
    Tracer::Counter,
    Tracer::Bpftrace,
];

pub(super) fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    let rounds = bench.count(3, 5);
    let trips = bench.count(5_000, 20_000);
    pingpong(bench, section, rounds, trips)?;
    mutex(bench, section, rounds, trips)
}

/// What `path` answers under each tracer in turn, round by round.
fn interleaved(
    bench: &Bench,
    target: &Running,
    rounds: usize,
    path: &str,
) -> Result<[Vec<f64>; TRACERS.len()]> {
    let mut figures: [Vec<f64>; TRACERS.len()] = Default::default();
    for round in 1..=rounds {
        step(&format!("{path}: round {round} of {rounds}"));
        for (tracer, figures) in TRACERS.iter().zip(&mut figures) {
            let attached = tracer.attach(bench, target.pid())?;
            let answer = http::get(&target.address, path)?;
            attached.detach()?;
            let answer = String::from_utf8_lossy(&answer);
            figures.push(answer.trim().parse().context("expected a number")?);
        }
    }
    Ok(figures)
}

fn nanoseconds(value: f64) -> String {
    format!("{value:.0}")
}

fn pingpong(bench: &Bench, section: &mut Section, rounds: usize, trips: usize) -> Result<()> {
    /// Two parks and two wakes.
    const HITS: f64 = 4.0;
    let target = bench.waits(1)?;
    let path = format!("/pingpong?rounds={trips}");
    let figures = interleaved(bench, &target, rounds, &path)?;
    let bare = median(figures[0].iter().copied());
    let ours = median(figures[1].iter().copied()) - bare;
    let rows: Vec<Vec<String>> = TRACERS
        .iter()
        .zip(&figures)
        .map(|(tracer, figures)| {
            let trip = median(figures.iter().copied());
            let added = trip - bare;
            let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
            let (hit, ratio) = match tracer {
                Tracer::None => (String::new(), String::new()),
                _ => (nanoseconds(added / HITS), format!("{:.1}", added / ours)),
            };
            vec![
                tracer.name().to_owned(),
                nanoseconds(trip),
                nanoseconds(least),
                hit,
                ratio,
            ]
        })
        .collect();
    section.text(
        "**Ping-pong**, the worst case: two goroutines hand an unbuffered channel back and forth on one \
         processor. A round trip parks twice and wakes twice.",
    );
    section.table(
        &[
            "",
            "ns a round trip",
            "least",
            "ns added a hit",
            "added, against gostuck",
        ],
        &rows,
    );
    Ok(())
}

fn mutex(bench: &Bench, section: &mut Section, rounds: usize, locks: usize) -> Result<()> {
    let target = bench.waits(2)?;
    let locks = locks * 4;
    let path = format!("/mutex?rounds={locks}");
    let parks = parks(bench, &target, &path)? / locks as f64;
    let figures = interleaved(bench, &target, rounds, &path)?;
    let bare = median(figures[0].iter().copied());
    let rows: Vec<Vec<String>> = TRACERS
        .iter()
        .zip(&figures)
        .map(|(tracer, figures)| {
            let lock = median(figures.iter().copied());
            vec![
                tracer.name().to_owned(),
                nanoseconds(lock),
                format!("{:+.1} %", (lock / bare - 1.0) * 100.0),
            ]
        })
        .collect();
    section.text(&format!(
        "**Contended mutex**: four goroutines on two processors take one lock in turns; its holder yields each \
         time, so that others park: {parks:.2} parks a lock, counted by the probes in a run before. A park \
         costs three hits: `semacquire1`, `gopark`, `ready`.",
    ));
    section.table(&["", "ns a lock", "against bare"], &rows);
    Ok(())
}

/// How often goroutines park while `path` is answered.
fn parks(bench: &Bench, target: &Running, path: &str) -> Result<f64> {
    let pid = target.pid().to_string();
    let mut reader = Command::new(&bench.facts)
        .args(["records", &pid, "5"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map(Ended)
        .context("cannot start probe_facts")?;
    let log = reader.0.stderr.take().context("probe_facts has no log")?;
    let attached = BufReader::new(log).lines().map_while(Result::ok);
    let mut attached = attached.filter(|line| line.contains("probes attached"));
    attached.next().context("probe_facts does not attach")?;
    http::get(&target.address, path)?;
    let facts = reader.0.stdout.take().context("no output")?;
    let facts: serde_json::Value = serde_json::from_reader(facts)?;
    facts["parks"].as_f64().context("no parks")
}
