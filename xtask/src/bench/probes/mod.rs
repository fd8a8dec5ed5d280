//! What probes cost and what they are good for: docs/performance.md, "Probes".

mod arrival;
mod attachment;
mod latency;
mod load;
mod rates;
mod rounds;
mod server;
mod slices;
mod tracer;

use std::{path::PathBuf, process::Command};

use anyhow::Result;
use clap::ValueEnum;

use super::{
    page::Section,
    program::{self, Running},
    tool,
};

/// One of the measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Programs that only wait
    Rounds,
    /// An HTTP server with the default budget, second by second
    Slices,
    /// An HTTP server with every wait traced
    Server,
    /// The daemon at given rates of events
    Rates,
    /// From a deadlock to its finding
    Latency,
    /// Attaching to many processes
    Attachment,
}

impl Part {
    fn measure(self, bench: &Bench, section: &mut Section) -> Result<()> {
        match self {
            Self::Rounds => rounds::measure(bench, section),
            Self::Slices => slices::measure(bench, section),
            Self::Server => server::measure(bench, section),
            Self::Rates => rates::measure(bench, section),
            Self::Latency => latency::measure(bench, section),
            Self::Attachment => attachment::measure(bench, section),
        }
    }
}

/// What all parts measure with, and on.
struct Bench {
    gostuck: PathBuf,
    facts: PathBuf,
    /// `programs/bench/waits`, with symbols for bpftrace.
    waits: PathBuf,
    /// A small idle program.
    parked: PathBuf,
    quick: bool,
}

impl Bench {
    /// Starts the program that waits on demand.
    fn waits(&self, processors: usize) -> Result<Running> {
        Running::start(Command::new(&self.waits).env("GOMAXPROCS", processors.to_string()))
    }

    /// `few` in a quick run, else `many`.
    const fn count(&self, few: usize, many: usize) -> usize {
        if self.quick { few } else { many }
    }
}

/// Measures `parts`, or everything where none is named.
pub(crate) fn run(parts: &[Part], quick: bool) -> Result<()> {
    let bench = Bench {
        gostuck: tool::gostuck()?,
        facts: tool::example("probe_facts")?,
        waits: program::build_with_symbols("bench/waits")?,
        parked: program::build("bench/parked")?,
        quick,
    };
    let mut section = Section::new(
        "Probes",
        "`cargo xtask bench probes`, as root, on Go 1.27.3. What is compared took turns in one run, each \
         round a tracer of its own; medians of the rounds. *Without governor* is `--budget 102400%`. \
         bpftrace keeps the same facts on the same functions: time and reason at `gopark`, the semaphore \
         at `semacquire1`, a histogram of the duration by reason at `ready`; it probes their entries, as \
         everybody does.",
    );
    let chosen = |part: &&Part| parts.is_empty() || parts.contains(part);
    for part in Part::value_variants().iter().filter(chosen) {
        part.measure(&bench, &mut section)?;
    }
    section.publish(quick || !parts.is_empty())
}
