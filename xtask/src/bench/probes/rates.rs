//! The daemon at given rates of events.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    super::{
        ended::Ended,
        http,
        numbers::{mebibytes, of, percent},
        page::Section,
        program::Running,
        used::used,
    },
    Bench,
};
use crate::command::step;

/// More than any program reaches.
const MAXIMUM: usize = 100_000_000;

pub(super) fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    let seconds = bench.count(3, 8);
    let mut rows = Vec::new();
    for rate in [2_000, 10_000, 100_000, 200_000, MAXIMUM] {
        rows.push(at_rate(bench, rate, seconds)?);
    }
    section.text(&format!(
        "**Events**: a process parks and wakes at a given rate for {seconds} s, without governor. The daemon \
         leaves short waits to the kernel, which counts them in histograms. *All sent* is a reader that \
         has a record sent of every park and every wake, through a ring buffer of the daemon's size.",
    ));
    section.table(
        &[
            "events/s",
            "CPU of the daemon",
            "its memory",
            "records lost",
            "all sent: CPU of the reader",
            "records/s",
            "lost",
        ],
        &rows,
    );
    Ok(())
}

/// What a load reached, and what a process that watched it used meanwhile.
struct Watched {
    /// Parks and wakes a second.
    reached: f64,
    /// Share of a processor.
    cpu: f64,
    /// Bytes, at the end.
    resident: u64,
    lasted: Duration,
}

impl Watched {
    /// Has `target` park and wake `rate` times a second, before the eyes of process `watcher`.
    fn measure(target: &Running, rate: usize, seconds: usize, watcher: u32) -> Result<Self> {
        let path = format!("/rate?hits={rate}&ms={}", seconds * 1000);
        let before = used(watcher)?;
        let started = Instant::now();
        let made = http::get(&target.address, &path)?;
        let lasted = started.elapsed();
        let after = used(watcher)?;
        let made: f64 = String::from_utf8_lossy(&made).trim().parse()?;
        Ok(Self {
            reached: made / of(lasted),
            cpu: of(after.cpu.saturating_sub(before.cpu)) / of(lasted),
            resident: after.resident,
            lasted,
        })
    }
}

fn at_rate(bench: &Bench, rate: usize, seconds: usize) -> Result<Vec<String>> {
    let target = bench.waits(1)?;
    step(&format!("{rate} events a second"));
    let mut row = by_daemon(bench, &target, rate, seconds)?;
    row.extend(all_sent(bench, &target, rate, seconds)?);
    Ok(row)
}

fn by_daemon(bench: &Bench, target: &Running, rate: usize, seconds: usize) -> Result<Vec<String>> {
    let listen = "127.0.0.1:19103";
    let daemon = Ended(
        Command::new(&bench.gostuck)
            .args(["run", "--budget", "102400%", "--listen", listen])
            .args(["--command", "bench-waits"])
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the daemon")?,
    );
    thread::sleep(Duration::from_secs(4));
    let watched = Watched::measure(target, rate, seconds, daemon.0.id())?;
    let metrics = http::get(listen, "/metrics")?;
    let metrics = String::from_utf8_lossy(&metrics);
    let lost = metrics
        .lines()
        .find_map(|line| line.strip_prefix("gostuck_events_lost_total "))
        .context("no gostuck_events_lost_total")?;
    Ok(vec![
        format!("{:.0}", watched.reached),
        percent(watched.cpu),
        mebibytes(watched.resident),
        lost.to_owned(),
    ])
}

fn all_sent(bench: &Bench, target: &Running, rate: usize, seconds: usize) -> Result<Vec<String>> {
    let reader = Command::new(&bench.facts)
        .args(["records", &target.pid().to_string()])
        .arg((seconds + 2).to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut reader = Ended(reader);
    thread::sleep(Duration::from_secs(1));
    let watched = Watched::measure(target, rate, seconds, reader.0.id())?;
    // Which ends a second after the load.
    let said = reader.0.stdout.take().context("the reader has no output")?;
    let facts: serde_json::Value = serde_json::from_reader(said)?;
    let number = |name: &str| facts[name].as_f64().unwrap_or(f64::NAN);
    Ok(vec![
        percent(watched.cpu),
        format!("{:.0}", number("records") / of(watched.lasted)),
        format!("{:.0}", number("lost")),
    ])
}
