//! Measurements. Each prints its table, with ratios measured in one run.

mod probes;

use anyhow::Result;
use clap::{Args, Subcommand};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// What probes cost a Go program that does nothing but park, bare and probed in turn.
    Probes,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    match options.what {
        What::Probes => probes::run(),
    }
}
