//! A Go HTTP server under wrk.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::{
    super::{numbers::median, page::Section},
    Bench,
    tracer::Tracer,
};
use crate::command::{output, step};

/// Who traces, and how.
const PLANS: [Plan; 4] = [
    Plan {
        tracer: Tracer::None,
        settling_s: 3,
        ..Plan::CLOSE
    },
    Plan {
        tracer: Tracer::Gostuck,
        ..Plan::CLOSE
    },
    Plan {
        tracer: Tracer::Ungoverned,
        ..Plan::FAR
    },
    Plan {
        tracer: Tracer::Bpftrace,
        ..Plan::FAR
    },
];

/// How a tracer is measured.
#[derive(Debug, Clone, Copy)]
struct Plan {
    tracer: Tracer,
    /// How long the load has been on when a round begins.
    settling_s: usize,
    seconds: usize,
    rounds: usize,
}

impl Plan {
    /// Where a difference of a few per cent matters. By then the governor has decided, and tried the
    /// probes once more, and the first look has been made: what goes on for days is measured.
    const CLOSE: Self = Self {
        tracer: Tracer::None,
        settling_s: 14,
        seconds: 10,
        rounds: 15,
    };
    const FAR: Self = Self {
        tracer: Tracer::None,
        settling_s: 8,
        seconds: 4,
        rounds: 5,
    };
}

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
    let target = bench.waits(1)?;
    wrk(&target.address, 1)?;
    let plans = PLANS.map(|plan| Plan {
        seconds: bench.count(3, plan.seconds),
        rounds: bench.count(2, plan.rounds),
        ..plan
    });
    let most = plans.iter().map(|plan| plan.rounds).max().unwrap_or(0);
    let mut loads: [Vec<Load>; PLANS.len()] = Default::default();
    for round in 0..most {
        step(&format!(
            "HTTP server under wrk: round {} of {most}",
            round + 1
        ));
        let now = plans.iter().filter(|plan| round < plan.rounds).count();
        for offset in 0..now {
            // In another order each time, so that nobody always follows the same one.
            let which = (offset + round) % now;
            let plan = plans[which];
            let attached = plan.tracer.attach(bench, target.pid())?;
            wrk(&target.address, plan.settling_s)?;
            loads[which].push(wrk(&target.address, plan.seconds)?);
            attached.detach()?;
        }
    }
    let rows: Vec<Vec<String>> = (0..plans.len())
        .map(|which| {
            let cell = |figure: fn(&Load) -> f64| cell(&loads[which], &loads[0], figure);
            vec![
                plans[which].tracer.name().to_owned(),
                cell(|load| load.requests_per_second),
                cell(|load| load.p50_us),
                cell(|load| load.p99_us),
            ]
        })
        .collect();
    let [_, close, far, _] = plans;
    section.text(&format!(
        "**HTTP server under wrk** (16 connections, one thread; {} rounds of {} s of the first two, the traced ones after \
         {} s of the same load; {} of {} s of the others): every request makes a goroutine and waits for it in a \
         select. The server has `GOMAXPROCS=1`, wrk the other processor. Figures are medians, and so are the changes, each \
         against the bare round of the same turn.",
        close.rounds, close.seconds, close.settling_s, far.rounds, far.seconds,
    ));
    section.table(&["", "requests/s", "p50 µs", "p99 µs"], &rows);
    Ok(())
}

/// The median of a figure, and of its changes against the bare rounds next to it.
fn cell(traced: &[Load], bare: &[Load], figure: fn(&Load) -> f64) -> String {
    let value = median(traced.iter().map(figure));
    if std::ptr::eq(traced, bare) {
        return format!("{value:.0}");
    }
    let pairs = traced.iter().zip(bare);
    let change = median(pairs.map(|(traced, bare)| figure(traced) / figure(bare) - 1.0));
    format!("{value:.0} ({:+.1} %)", change * 100.0)
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
