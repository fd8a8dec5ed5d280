//! `gostuck inspect`: one inspection of one process.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;

use super::{
    EXIT_FINDING, Failure,
    answering::{PATIENCE, answer},
    fail_on::FailOn,
    failure::from_look,
    heap_walk_options, output,
};
use crate::{
    finding::{self},
    inspect::{Inspector, StoppedProcess},
};
use ids::Pid;

const AFTER_HELP: &str = "\
Examples:
  sudo gostuck inspect 4711                    findings, goroutines by stack, threads
  sudo gostuck inspect 4711 --all              every goroutine with its whole stack
  sudo gostuck inspect 4711 --format json | jq '.findings'
  sudo gostuck inspect 4711 --format dot | dot -Tsvg > waits.svg
  gostuck inspect --core core.4711 --exe ./shop
  sudo gostuck inspect 4711 --format pprof > g.pb.gz && go tool pprof -top g.pb.gz

The process is neither paused (but with --freeze) nor changed. Without root, your own processes can be inspected
where the kernel's ptrace scope allows it (gostuck doctor).

Exit status: 0 done, 1 failed, 3 --fail-on saw such a finding.";

/// Options of `gostuck inspect`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    /// The process
    #[arg(required_unless_present = "core")]
    pid: Option<u32>,
    /// Look at this core file instead (of gcore, or of the kernel)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["pid", "freeze"])]
    core: Option<PathBuf>,
    /// The executable of the core file's process; without it, the one at the path it had
    #[arg(long, value_name = "FILE", requires = "core")]
    exe: Option<PathBuf>,
    /// Report a wait as suspected once it has lasted this long, where nothing proves a deadlock
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    stuck_after: Duration,
    /// Do not walk the heap for goroutines that nobody can wake any more
    #[arg(long)]
    no_reach: bool,
    /// Hold the process still while its memory is copied, for so long at most, and look at the copy
    #[arg(
        long,
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2s",
        conflicts_with = "no_reach",
        value_parser = humantime::parse_duration
    )]
    freeze: Option<Duration>,
    /// Exit with status 3 when there is such a finding
    #[arg(long, value_enum, value_name = "VERDICT")]
    fail_on: Option<FailOn>,
    #[command(flatten)]
    report: output::Report,
}

/// Looks at the process and prints what was seen.
///
/// # Errors
/// [`Failure`] with the next step: no such process, not a Go program, not permitted, …
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    options.report.check()?;
    let inspector = Inspector::new(finding::Options {
        stuck_after: options.stuck_after,
        reach: (!options.no_reach).then(|| reach::Options {
            progress: Some(heap_walk_options::tell),
            ..reach::Options::default()
        }),
        hold: options.freeze,
        budget: heap_walk_options::budget_of_command(),
        ..finding::Options::default()
    });
    if let (Some(limit), Some(pid)) = (options.freeze, options.pid) {
        heap_walk_options::announce_freeze(pid, limit);
    }
    let (core, exe, pid) = (options.core.clone(), options.exe.clone(), options.pid);
    let look = answer(PATIENCE, move || match (core, pid) {
        (Some(core), _) => {
            let core = StoppedProcess::of_core(&core, exe.as_deref());
            core.and_then(|core| inspector.look_at_still(core))
        }
        (None, pid) => inspector.look(Pid(pid.unwrap_or_default())),
    });
    let look = look.and_then(|look| look).map_err(from_look)?;
    options.report.print(&look)?;
    let failed = options
        .fail_on
        .is_some_and(|fail_on| look.diagnosis.findings.iter().any(|f| fail_on.is_met_by(f)));
    Ok(if failed {
        ExitCode::from(EXIT_FINDING)
    } else {
        ExitCode::SUCCESS
    })
}
