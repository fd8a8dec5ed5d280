//! Measurements: each prints its tables and writes them to its own section of docs/performance.md.

mod churn;
mod daemon;
mod ended;
mod holders;
mod http;
mod inspect;
mod meter;
mod node;
mod numbers;
mod page;
mod probes;
mod program;
mod reach;
mod soundness;
mod tool;
mod used;

use anyhow::Result;
use clap::{Args, Subcommand};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
    /// Fewer and shorter rounds, to see that it works; docs/performance.md is left alone
    #[arg(long, global = true)]
    quick: bool,
}

#[derive(Debug, Clone, Subcommand)]
enum What {
    /// One look at 100,000 and 1,000,000 goroutines, beside the process's own pprof
    Inspect,
    /// The daemon with 100 idle Go processes
    Daemon,
    /// The daemon over 10,000 short-lived processes and 10,000,000 goroutines, in an hour
    Churn,
    /// What probes cost: programs that only wait, an HTTP server, the daemon; and how soon they tell
    Probes {
        /// Only these parts; docs/performance.md is left alone then
        #[arg(long = "part", value_enum, value_name = "PART")]
        parts: Vec<probes::Part>,
    },
    /// Who holds which lock: how often it is found, and in what time
    Holders,
    /// How soon a deadlock is found in a small process beside others that are costly to look at
    Node(node::Options),
    /// The heap walk beside the runtime's own search for leaks
    Reach,
    /// Looks at random programs whose truth is known: what is proven, and who is said to hold what
    Soundness(soundness::Options),
    /// All of these but soundness, which measures no cost
    All,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    match &options.what {
        What::Soundness(options) => soundness::run(options),
        What::Inspect => inspect::run(options.quick),
        What::Daemon => daemon::run(options.quick),
        What::Churn => churn::run(options.quick),
        What::Probes { parts } => probes::run(parts, options.quick),
        What::Holders => holders::run(options.quick),
        What::Node(node) => node::run(node, options.quick),
        What::Reach => reach::run(options.quick),
        What::All => {
            inspect::run(options.quick)?;
            daemon::run(options.quick)?;
            churn::run(options.quick)?;
            reach::run(options.quick)?;
            holders::run(options.quick)?;
            probes::run(&[], options.quick)
        }
    }
}
