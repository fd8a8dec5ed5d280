//! `gostuck explain`: why one goroutine waits.

use std::{
    io::{self, BufWriter, Write},
    process::ExitCode,
};

use clap::{Args, ValueEnum};

use super::{
    Failure,
    answering::{PATIENCE, answer},
    failure::from_look,
    heap_walk_options, output,
};
use crate::{
    export::text,
    finding::{self},
    inspect::Inspector,
};
use ids::{Goid, Pid};

const AFTER_HELP: &str = "\
Examples:
  sudo gostuck explain 4711 18
  sudo gostuck explain 4711 18 --format json | jq '.objects[].ways'

Where the program has its symbols and debug information, variables, fields and types are named; of a stripped one,
addresses are.";

/// Options of `gostuck explain`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    /// The process
    pid: u32,
    /// The goroutine
    #[arg(value_name = "GOID")]
    goroutine: u64,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    options: output::Options,
}

/// How to print an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// What a person reads
    Text,
    /// One JSON object (docs/json.md)
    Json,
}

/// Explains and prints.
///
/// # Errors
/// [`Failure`] with the next step: no such process or goroutine, not a Go program, not permitted, …
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let inspector = Inspector::new(finding::Options {
        reach: Some(reach::Options {
            progress: Some(heap_walk_options::tell),
            ..reach::Options::default()
        }),
        budget: heap_walk_options::budget_of_command(),
        ..finding::Options::default()
    });
    let (pid, goroutine) = (Pid(options.pid), Goid(options.goroutine));
    let explained = answer(PATIENCE, move || inspector.explain(pid, goroutine));
    let explained = explained
        .and_then(|explained| explained)
        .map_err(from_look)?;
    let explanation = explained.ok_or_else(|| {
        Failure::with_next_step(
            anyhow::anyhow!("process {pid} has no goroutine {goroutine}, or no longer"),
            format!("gostuck inspect {pid} --all lists them"),
        )
    })?;
    let mut out = BufWriter::new(io::stdout().lock());
    match options.format {
        Format::Text => {
            let paint = options.options.paint();
            text::explanation(&mut out, &explanation, (paint, output::width()))?;
        }
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &explanation).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
