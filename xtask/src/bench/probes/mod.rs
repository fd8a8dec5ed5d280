//! What probes cost and what they are good for: docs/performance.md, "Probes".

mod arrival;
mod attachment;
mod latency;
mod rates;
mod rounds;
mod server;
mod tracer;

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use super::{
    page::Section,
    program::{self, Running},
    tool,
};

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

pub(crate) fn run(quick: bool) -> Result<()> {
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
    rounds::measure(&bench, &mut section)?;
    server::measure(&bench, &mut section)?;
    rates::measure(&bench, &mut section)?;
    latency::measure(&bench, &mut section)?;
    attachment::measure(&bench, &mut section)?;
    section.publish(quick)
}
