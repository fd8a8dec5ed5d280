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
         has a record sent of every park and every wake.",
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

fn at_rate(bench: &Bench, rate: usize, seconds: usize) -> Result<Vec<String>> {
    let target = bench.waits(1)?;
    step(&format!("{rate} events a second"));
    let load = |length: usize| -> Result<f64> {
        let path = format!("/rate?hits={rate}&ms={}", length * 1000);
        let started = Instant::now();
        let made: f64 = String::from_utf8_lossy(&http::get(&target.address, &path)?)
            .trim()
            .parse()?;
        Ok(made / of(started.elapsed()))
    };
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
    let before = used(daemon.0.id())?;
    let started = Instant::now();
    let reached = load(seconds)?;
    let after = used(daemon.0.id())?;
    let share = of(after.cpu.saturating_sub(before.cpu)) / of(started.elapsed());
    let resident = after.resident;
    let metrics = http::get(listen, "/metrics")?;
    let lost = String::from_utf8_lossy(&metrics)
        .lines()
        .find_map(|line| {
            line.strip_prefix("gostuck_events_lost_total ")
                .map(str::to_owned)
        })
        .context("no gostuck_events_lost_total")?;
    drop(daemon);

    let reader = Command::new(&bench.facts)
        .args(["records", &target.pid().to_string()])
        .arg((seconds + 2).to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut reader = Ended(reader);
    thread::sleep(Duration::from_secs(1));
    let before = used(reader.0.id())?;
    let started = Instant::now();
    load(seconds)?;
    let after = used(reader.0.id())?;
    let reading = of(after.cpu.saturating_sub(before.cpu)) / of(started.elapsed());
    let said = reader.0.stdout.take().context("the reader has no output")?;
    let facts: serde_json::Value = serde_json::from_reader(said)?;
    let number = |name: &str| facts[name].as_f64().unwrap_or(f64::NAN);
    Ok(vec![
        format!("{reached:.0}"),
        percent(share),
        mebibytes(resident),
        lost,
        percent(reading),
        format!("{:.0}", number("records") / of(started.elapsed())),
        format!("{:.0}", number("lost")),
    ])
}
