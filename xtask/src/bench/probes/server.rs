//! A Go HTTP server under wrk, with every wait traced.

use anyhow::Result;

use super::{
    super::{numbers::median, page::Section},
    Bench,
    load::{Answers, Load},
    tracer::Tracer,
};
use crate::command::step;

/// Who traces in turns.
const TRACERS: [Tracer; 3] = [Tracer::None, Tracer::Ungoverned, Tracer::Bpftrace];

/// How long the load has been on when a traced round begins.
const SETTLING_S: usize = 8;

pub(super) fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    if !Load::is_possible() {
        section.text("**HTTP server under wrk**: not measured, wrk is not installed.");
        return Ok(());
    }
    let target = bench.waits(1)?;
    Load::FULL.run(&target.address, 1)?;
    let seconds = bench.count(3, 4);
    let rounds = bench.count(2, 5);
    let mut answers: [Vec<Answers>; TRACERS.len()] = Default::default();
    for round in 1..=rounds {
        step(&format!("HTTP server under wrk: round {round} of {rounds}"));
        for (tracer, answers) in TRACERS.iter().zip(&mut answers) {
            let attached = tracer.attach(bench, target.pid())?;
            Load::FULL.run(&target.address, SETTLING_S)?;
            answers.push(Load::FULL.run(&target.address, seconds)?);
            attached.detach()?;
        }
    }
    let rows: Vec<Vec<String>> = TRACERS
        .iter()
        .zip(&answers)
        .map(|(tracer, traced)| {
            let cell = |figure: fn(&Answers) -> f64| cell(traced, &answers[0], figure);
            vec![
                tracer.name().to_owned(),
                cell(Answers::per_second),
                cell(|answers| answers.quantile_us(0.5)),
                cell(|answers| answers.quantile_us(0.99)),
            ]
        })
        .collect();
    section.text(&format!(
        "**HTTP server under wrk, every wait traced** (16 connections as fast as they are answered; {rounds} rounds of \
         {seconds} s in turns, each after {SETTLING_S} s of the same load): the same server with `GOMAXPROCS=1`, wrk on \
         the other processor. Figures are medians, and so are the changes, each against the bare round of the same turn.",
    ));
    section.table(&["", "requests/s", "p50 µs", "p99 µs"], &rows);
    Ok(())
}

/// The median of a figure, and of its changes against the bare rounds next to it.
fn cell(traced: &[Answers], bare: &[Answers], figure: fn(&Answers) -> f64) -> String {
    let value = median(traced.iter().map(figure));
    if std::ptr::eq(traced, bare) {
        return format!("{value:.0}");
    }
    let pairs = traced.iter().zip(bare);
    let change = median(pairs.map(|(traced, bare)| figure(traced) / figure(bare) - 1.0));
    format!("{value:.0} ({:+.1} %)", change * 100.0)
}
