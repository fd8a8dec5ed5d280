//! Measurements. Each prints its table, with ratios measured in one run.

use anyhow::Result;
use clap::{Args, Subcommand};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {}

pub(crate) fn run(options: &Options) -> Result<()> {
    match options.what {}
}
