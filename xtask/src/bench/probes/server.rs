//! A Go HTTP server under wrk.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::{
    super::{numbers::median, page::Section},
    Bench,
    tracer::Tracer,
};
use crate::command::{output, step};

const TRACERS: [Tracer; 4] = [
    Tracer::None,
    Tracer::Gostuck,
    Tracer::Ungoverned,
    Tracer::Bpftrace,
];

/// Those of which a difference of a few per cent matters: they have more rounds.
const CLOSE: usize = 2;

/// How long the load has been on when a round begins: by then the governor has decided, and the
/// first look has been made.
const SETTLING_SECONDS: usize = 8;

/// One run of wrk.
#[derive(Debug, Clone, Copy)]
struct Load {
    requests_per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

pub(super) fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    if crate::paths::on_path("wrk").is_none() {
        section.text("**HTTP server under wrk**: not measured, wrk is not installed.");
        return Ok(());
    }
    let (rounds, seconds) = (bench.count(2, 5), bench.count(3, 4));
    let close_rounds = bench.count(2, 15);
    let target = bench.waits(1)?;
    wrk(&target.address, 1)?;
    let mut loads: [Vec<Load>; TRACERS.len()] = Default::default();
    for round in 1..=close_rounds {
        step(&format!(
            "HTTP server under wrk: round {round} of {close_rounds}"
        ));
        let tracers = if round <= rounds {
            TRACERS.len()
        } else {
            CLOSE
        };
        for offset in 0..tracers {
            // In another order each time, so that nobody always follows the same one.
            let which = (offset + round) % tracers;
            let attached = TRACERS[which].attach(bench, target.pid())?;
            wrk(&target.address, SETTLING_SECONDS)?;
            loads[which].push(wrk(&target.address, seconds)?);
            attached.detach()?;
        }
    }
    let of = |which: usize, figure: fn(&Load) -> f64| median(loads[which].iter().map(figure));
    let rows: Vec<Vec<String>> = (0..TRACERS.len())
        .map(|which| {
            let cell = |figure: fn(&Load) -> f64| {
                let value = of(which, figure);
                let change = (value / of(0, figure) - 1.0) * 100.0;
                match TRACERS[which] {
                    Tracer::None => format!("{value:.0}"),
                    _ => format!("{value:.0} ({change:+.1} %)"),
                }
            };
            vec![
                TRACERS[which].name().to_owned(),
                cell(|load| load.requests_per_second),
                cell(|load| load.p50_us),
                cell(|load| load.p99_us),
            ]
        })
        .collect();
    section.text(&format!(
        "**HTTP server under wrk** (16 connections, one thread, {seconds} s a round after {SETTLING_SECONDS} s of the \
         same load; {close_rounds} rounds of the first two, {rounds} of the others): every request makes a goroutine and waits for it in a select. The server has `GOMAXPROCS=1`, wrk the other processor.",
    ));
    section.table(&["", "requests/s", "p50 µs", "p99 µs"], &rows);
    Ok(())
}

fn wrk(address: &str, seconds: usize) -> Result<Load> {
    let said = output(
        Command::new("wrk")
            .args(["-t1", "-c16", "--latency", "-d"])
            .arg(format!("{seconds}s"))
            .arg(format!("http://{address}/page")),
    )
    .context("wrk failed")?;
    let after = |name: &str| {
        said.lines()
            .find_map(|line| line.trim().strip_prefix(name))
            .map(str::trim)
            .with_context(|| format!("wrk did not tell {name}: {said}"))
    };
    Ok(Load {
        requests_per_second: after("Requests/sec:")?.parse()?,
        p50_us: microseconds(after("50%")?)?,
        p99_us: microseconds(after("99%")?)?,
    })
}

/// wrk writes `851.00us`, `1.21ms`, `2.00s`.
fn microseconds(text: &str) -> Result<f64> {
    for (unit, scale) in [("us", 1.0), ("ms", 1e3), ("s", 1e6)] {
        if let Some(number) = text.strip_suffix(unit) {
            return Ok(number.parse::<f64>()? * scale);
        }
    }
    anyhow::bail!("not a time of wrk's: {text}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_of_wrk_are_read() {
        for (text, us) in [("851.00us", 851.0), ("1.21ms", 1210.0), ("2.00s", 2e6)] {
            assert!((super::microseconds(text).unwrap_or(0.0) - us).abs() < 1e-6);
        }
    }
}
