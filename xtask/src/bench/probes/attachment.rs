//! Attaching to 1, 100 and 1,000 processes, and what the kernel makes of the programs.

use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    super::{numbers::median, page::Section, program::Running},
    Bench,
};
use crate::command::{output, step};

pub(super) fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    let most = bench.count(50, 1_000);
    step(&format!("starting {most} Go processes"));
    let targets: Vec<Running> = (0..most)
        .map(|_| {
            let mut command = Command::new(&bench.parked);
            Running::start(command.arg("2").env("GOMAXPROCS", "1"))
        })
        .collect::<Result<_>>()?;
    let rounds = bench.count(2, 5);
    let facts = |method: &str, number: usize| -> Result<Value> {
        step(&format!("attaching by {method} to {number} processes"));
        let pids = targets.iter().take(number).map(|t| t.pid().to_string());
        let mut command = Command::new(&bench.facts);
        command.args(["attach", method, &rounds.to_string()]);
        let said = output(command.args(pids)).context("probe_facts failed")?;
        Ok(serde_json::from_str(&said)?)
    };
    let mut rows = Vec::new();
    let mut last = Value::Null;
    for number in [1, most / 10, most] {
        last = facts("multi", number)?;
        rows.push(times("uprobe_multi", number, &last)?);
    }
    for number in [1, most / 10] {
        rows.push(times("perf events", number, &facts("perf", number)?)?);
    }
    section.text(&format!(
        "**Attachment** to processes of one image; four probes serve all of them. Medians of {rounds} times.",
    ));
    section.table(&["by", "processes", "attach, ms", "detach, ms"], &rows);
    programs(&last, section);
    Ok(())
}

/// A row of the medians.
fn times(method: &str, number: usize, facts: &Value) -> Result<Vec<String>> {
    let middle = |name: &str| -> Result<String> {
        let times = facts[name]
            .as_array()
            .with_context(|| format!("no {name}"))?;
        let ms = median(times.iter().filter_map(Value::as_f64));
        Ok(format!("{ms:.0}"))
    };
    let (attach, detach) = (middle("attach_ms")?, middle("detach_ms")?);
    Ok(vec![method.to_owned(), number.to_string(), attach, detach])
}

fn programs(facts: &Value, section: &mut Section) {
    let rows: Vec<Vec<String>> = facts["programs"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|program| {
            let cell = |at: usize| program[at].to_string().trim_matches('"').to_owned();
            vec![cell(0), cell(1), cell(2)]
        })
        .collect();
    section.text(&format!(
        "**Programs**: instructions as the kernel runs them, and how many its verifier went through along \
         all paths. None has a loop. The calibration at the start, with these programs, measured {} ns a hit.",
        facts["hit_ns"]
    ));
    section.table(&["program", "instructions", "verified"], &rows);
}
