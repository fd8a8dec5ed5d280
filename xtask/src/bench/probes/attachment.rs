//! Attaching to 1, 100 and 1,000 processes, and what the kernel makes of the programs.

use std::process::Command;

use anyhow::{Context as _, Result};

use super::{
    super::{page::Section, program::Running},
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
    let mut rows = Vec::new();
    let mut last = serde_json::Value::Null;
    for number in [1, most / 10, most] {
        let pids = targets.iter().take(number).map(|t| t.pid().to_string());
        let said = output(Command::new(&bench.facts).arg("attach").args(pids));
        last = serde_json::from_str(&said.context("probe_facts failed")?)?;
        let ms = |name: &str| format!("{:.0}", last[name].as_f64().unwrap_or(f64::NAN));
        rows.push(vec![number.to_string(), ms("attach_ms"), ms("detach_ms")]);
    }
    section.text(&format!(
        "**Attachment** to processes of one image, by {}; four probes serve all of them.",
        last["method"].as_str().unwrap_or("?").to_lowercase()
    ));
    section.table(&["processes", "attach, ms", "detach, ms"], &rows);
    let rows: Vec<Vec<String>> = last["programs"]
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
        last["hit_ns"]
    ));
    section.table(&["program", "instructions", "verified"], &rows);
    Ok(())
}
