//! What a measured program felt while something was done to it.

use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{http, numbers::of, program::Running};

/// What the program says of its own progress since it was asked last.
#[derive(Debug, Deserialize)]
struct Meter {
    operations: u64,
    longest_gap_ns: u64,
}

/// The speed of a program that counts without ever waiting, and its longest pause.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Felt {
    pub(crate) operations_a_second: f64,
    /// The longest time between two of its turns, in seconds.
    pub(crate) longest_gap: f64,
}

/// Does `work`, and asks `target` at `/meter` what it felt of it.
pub(crate) fn felt<T>(target: &Running, work: impl FnOnce() -> Result<T>) -> Result<(T, Felt)> {
    ask(target)?;
    let started = Instant::now();
    let done = work()?;
    let elapsed = of(started.elapsed());
    let meter = ask(target)?;
    let felt = Felt {
        operations_a_second: meter.operations as f64 / elapsed,
        longest_gap: meter.longest_gap_ns as f64 / 1e9,
    };
    Ok((done, felt))
}

fn ask(target: &Running) -> Result<Meter> {
    let answer = http::get(&target.address, "/meter")?;
    serde_json::from_slice(&answer).context("reading the program's meter")
}
