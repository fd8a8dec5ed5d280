//! What the default budget costs a Go HTTP server, second by second.

use std::fs;

use anyhow::{Context as _, Result};

use super::{
    super::{numbers::median, page::Section},
    Bench,
    load::{Answers, Load},
    tracer::Tracer,
};
use crate::command::step;

/// How long the tracer has been there, under the same load, when its seconds begin. By then the
/// governor has decided, and tried the probes once more, and the first look has been made: what goes on
/// for days is measured.
const SETTLING_S: usize = 14;

/// Hundredths of a second of which the host may have used the processors for somebody else, for the
/// second to count.
const STOLEN_LIMIT: u64 = 1;

/// Seconds with and without the tracer, next to each other.
#[derive(Debug, Default)]
struct Turn {
    bare: Slices,
    traced: Slices,
}

impl Turn {
    /// Whether both kinds have seconds that count: else there is no change.
    fn counts(&self) -> bool {
        [&self.bare, &self.traced]
            .iter()
            .all(|slices| slices.answers().count() > 0)
    }

    /// By how much a figure changed.
    fn change(&self, figure: fn(&Answers) -> f64) -> f64 {
        figure(&self.traced.answers()) / figure(&self.bare.answers()) - 1.0
    }
}

/// Seconds under load, and those that do not count.
#[derive(Debug, Default)]
struct Slices {
    kept: Vec<Answers>,
    stolen: usize,
}

impl Slices {
    fn measure(&mut self, load: Load, address: &str, slices: usize) -> Result<()> {
        for _ in 0..slices {
            let before = stolen()?;
            let answers = load.run(address, 1)?;
            if stolen()?.saturating_sub(before) <= STOLEN_LIMIT {
                self.kept.push(answers);
            } else {
                self.stolen += 1;
            }
        }
        Ok(())
    }

    fn answers(&self) -> Answers {
        Answers::all(&self.kept)
    }
}

pub(super) fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    if !Load::is_possible() {
        section.text("**HTTP server, second by second**: not measured, wrk is not installed.");
        return Ok(());
    }
    let turns = bench.count(2, 15);
    let slices = bench.count(3, 20);
    section.text(&format!(
        "**HTTP server with the default budget, second by second**: every request makes a goroutine and waits for \
         it in a select; `GOMAXPROCS` is 2. {turns} turns of {slices} s bare and {slices} s traced, the latter after \
         {SETTLING_S} s of the same load. Where the host took the processors away for more than {STOLEN_LIMIT}0 ms, \
         the second does not count, with or without a tracer. Figures are of all seconds that count together; changes \
         are the median of the turns that have seconds of both kinds, and its quartiles.",
    ));
    let loads = [
        ("64 connections, each resting 2 to 10 ms", Load::PACED),
        ("16 connections, as fast as they are answered", Load::FULL),
    ];
    for (name, load) in loads {
        let turns = interleaved(bench, name, load, turns, slices)?;
        let counting = turns.iter().filter(|turn| turn.counts()).count();
        section.text(&format!(
            "{name}; {counting} of {} turns have seconds that count both bare and traced:",
            turns.len()
        ));
        section.table(
            &[
                "",
                "seconds",
                "of them stolen from",
                "requests/s",
                "p50 µs",
                "p90 µs",
                "p99 µs",
                "p99.9 µs",
            ],
            &rows(&turns),
        );
    }
    Ok(())
}

fn interleaved(
    bench: &Bench,
    name: &str,
    load: Load,
    turns: usize,
    slices: usize,
) -> Result<Vec<Turn>> {
    let target = bench.waits(2)?;
    load.run(&target.address, 2)?;
    (1..=turns)
        .map(|number| {
            step(&format!("{name}: turn {number} of {turns}"));
            let mut turn = Turn::default();
            turn.bare.measure(load, &target.address, slices)?;
            let attached = Tracer::Gostuck.attach(bench, target.pid())?;
            load.run(&target.address, SETTLING_S)?;
            turn.traced.measure(load, &target.address, slices)?;
            attached.detach()?;
            Ok(turn)
        })
        .collect()
}

fn rows(turns: &[Turn]) -> Vec<Vec<String>> {
    let figures: [fn(&Answers) -> f64; 5] = [
        Answers::per_second,
        |answers| answers.quantile_us(0.5),
        |answers| answers.quantile_us(0.9),
        |answers| answers.quantile_us(0.99),
        |answers| answers.quantile_us(0.999),
    ];
    let absolute = |name: &str, which: fn(&Turn) -> &Slices| {
        let all = Answers::all(turns.iter().flat_map(|turn| &which(turn).kept));
        let kept: usize = turns.iter().map(|turn| which(turn).kept.len()).sum();
        let stolen: usize = turns.iter().map(|turn| which(turn).stolen).sum();
        let mut row = vec![
            name.to_owned(),
            (kept + stolen).to_string(),
            stolen.to_string(),
        ];
        row.extend(figures.iter().map(|figure| format!("{:.0}", figure(&all))));
        row
    };
    let mut change = vec!["change".to_owned(), String::new(), String::new()];
    change.extend(figures.iter().map(|figure| {
        let counting = turns.iter().filter(|turn| turn.counts());
        let mut changes: Vec<f64> = counting.map(|turn| turn.change(*figure) * 100.0).collect();
        changes.sort_by(f64::total_cmp);
        let quartile = |of: usize| {
            changes
                .get(changes.len() * of / 4)
                .copied()
                .unwrap_or(f64::NAN)
        };
        let middle = median(changes.iter().copied());
        format!("{middle:+.1} % ({:+.1} … {:+.1})", quartile(1), quartile(3))
    }));
    vec![
        absolute("bare", |turn| &turn.bare),
        absolute("traced", |turn| &turn.traced),
        change,
    ]
}

/// Hundredths of a second that the host has used this machine's processors for somebody else, in which
/// they had something to do: `steal` of `/proc/stat`.
fn stolen() -> Result<u64> {
    let stat = fs::read_to_string("/proc/stat").context("reading /proc/stat")?;
    let total = stat.split_whitespace().nth(8);
    total
        .and_then(|steal| steal.parse().ok())
        .context("/proc/stat tells no steal")
}
