//! From a deadlock to its finding.

use std::{process::Command, thread, time::Duration};

use anyhow::Result;

use super::{
    super::{http, numbers::of, page::Section},
    Bench,
    arrival::Watch,
};
use crate::command::step;

pub(super) fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    let ways: [(&str, &[&str], usize); 3] = [
        ("events", &["--interval", "10s"], 60),
        (
            "looks every second",
            &["--no-probes", "--interval", "1s"],
            25,
        ),
        ("looks every 5 s", &["--no-probes", "--interval", "5s"], 8),
    ];
    let mut rows = Vec::new();
    for (name, options, cycles) in ways {
        let cycles = bench.count(5, cycles);
        step(&format!("time from deadlock to finding, by {name}"));
        let mut times = times(bench, options, cycles)?;
        times.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = ((times.len() as f64 * share).ceil() as usize).clamp(1, times.len());
            format!("{:.0}", times[place - 1] * 1e3)
        };
        rows.push(vec![
            name.to_owned(),
            times.len().to_string(),
            at(0.5),
            at(0.99),
            at(1.0),
        ]);
    }
    section.text(
        "**Time to a finding**: two goroutines of a server lock each other out, again and again at odd \
         times; from the last lock asked for to the line of `gostuck watch` that proves it.",
    );
    section.table(&["by", "cycles", "p50 ms", "p99 ms", "most ms"], &rows);
    Ok(())
}

/// Seconds from each deadlock to its finding.
fn times(bench: &Bench, options: &[&str], cycles: usize) -> Result<Vec<f64>> {
    let target = bench.waits(2)?;
    let watch = Watch::start(
        Command::new(&bench.gostuck)
            .args(["watch", "--format", "json", "--stuck-after", "1h"])
            .args(options)
            .arg(target.pid().to_string()),
    )?;
    thread::sleep(Duration::from_secs(3));
    (0..cycles)
        .map(|cycle| {
            let answer = http::get(&target.address, "/deadlock")?;
            let closed: u64 = String::from_utf8_lossy(&answer).trim().parse()?;
            let told = watch.next()?;
            // Not in step with any interval.
            thread::sleep(Duration::from_millis(400 + cycle as u64 * 271 % 900));
            Ok(of(told.saturating_sub(Duration::from_nanos(closed))))
        })
        .collect()
}
