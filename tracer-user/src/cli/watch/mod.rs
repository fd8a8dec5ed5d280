//! `gostuck watch`: findings of one process, or of a command and what it starts, as they appear and
//! clear.

mod child;
mod targets;

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::{Args, ValueEnum};
use tokio::task;

use self::{child::Child, targets::Targets};
use super::{
    EXIT_FINDING, Failure, answering,
    changes::{Findings, Report},
    ending::{Ending, ended},
    fail_on::FailOn,
    failure, heap_walk_options, output,
    percent::share,
    stderr,
};
use crate::{
    daemon::{
        heap_walk_worker::{HeapWalkWorker, SchedPolicy},
        probe_manager::{ProbeManager, Settings},
        self_metrics::SelfMetrics,
    },
    finding::{self},
    inspect::{InspectError, Inspector},
};
use ids::Pid;
use process::{Process, Untraceable};
use resources::cancellation::Lifeline;

const AFTER_HELP: &str = "\
Examples:
  sudo gostuck watch 4711                       until interrupted
  sudo gostuck watch --for 30s --fail-on proven 4711
  sudo gostuck watch --fail-on proven -- go test ./...
  sudo gostuck watch --format json 4711         one object a line (docs/json.md)

With a command, every Go process below it is watched; findings go to standard error, because
standard output is the command's. With --fail-on the first such finding ends the watch and the
command.

Exit status: 3 when --fail-on saw such a finding; else the command's own status (128 + signal when
a signal ended it), or 0.";

/// Options of `gostuck watch`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP, override_usage = "gostuck watch [OPTIONS] <PID>\n       gostuck watch [OPTIONS] -- <COMMAND>...")]
pub struct Options {
    /// The process to watch
    #[arg(required_unless_present = "command", conflicts_with = "command")]
    pid: Option<u32>,
    /// The command to start and to watch, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    /// Stop after this time
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// End with status 3 as soon as there is such a finding
    #[arg(long, value_enum, value_name = "VERDICT")]
    fail_on: Option<FailOn>,
    /// How to print findings
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Report a wait as suspected once it has lasted this long, where nothing proves a deadlock
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    stuck_after: Duration,
    /// Over which time growth is judged
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = humantime::parse_duration)]
    growth_window: Duration,
    /// How often to look
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    interval: Duration,
    /// Place no probes: look at intervals only
    #[arg(long)]
    no_probes: bool,
    /// Never walk a heap for goroutines that nobody can wake any more
    #[arg(long)]
    no_reach: bool,
    /// What probes may cost a process: a share of one CPU
    #[arg(long, value_name = "SHARE", default_value = "1%", value_parser = share)]
    budget: f64,
    #[command(flatten)]
    output: output::Options,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Stories with stacks
    Text,
    /// One object a line
    Json,
}

/// Watches until the time is over, the process ends, or a signal comes.
///
/// # Errors
/// [`Failure`] when the process cannot be looked at or the command not be started.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(watch(options));
    // A turn that is left behind is not waited for.
    runtime.shutdown_background();
    outcome
}

async fn watch(options: &Options) -> Result<ExitCode, Failure> {
    let mut ending = Ending::watch(options.duration)?;
    let inspector = Inspector::new(finding::Options {
        stuck_after: options.stuck_after,
        reach: heap_walk_options::of_followed(options.no_reach),
        budget: heap_walk_options::budget_of_command(),
        ..finding::Options::default()
    });
    let inspector = Arc::new(inspector.until(ending.cancellation()));
    let mut child = match options.command.split_first() {
        Some((program, arguments)) => Some(Child::start(program, arguments)?),
        None => None,
    };
    let root = child
        .as_ref()
        .map_or(Pid(options.pid.unwrap_or_default()), Child::pid);
    if child.is_none() {
        // What cannot be read need not be probed: one clear line instead of two.
        let inspector = Arc::clone(&inspector);
        let opened = answering::answer(answering::PATIENCE, move || {
            Process::open(root)
                .map_err(Untraceable::from)
                .and_then(|process| inspector.image_of(&process))
        });
        opened
            .and_then(|opened| Ok(opened?))
            .map_err(failure::from_look)?;
    }
    let settings = Settings {
        wanted: !options.no_probes,
        budget: options.budget,
    };
    let probing = ProbeManager::start(settings, SelfMetrics::default());
    let walker = inspector
        .walks_heaps()
        .then(|| HeapWalkWorker::start(Arc::clone(&inspector), SchedPolicy::Nice, None));
    let mut targets = Targets::new(
        inspector,
        walker.transpose()?,
        probing,
        root,
        child.is_some(),
        options.growth_window,
        options.interval,
    );
    let of_command = child.is_some();
    let json = options.format == Format::Json;
    let mut report = Report::new(json, of_command, options.output.paint());
    let mut standing = Findings::default();
    // Below a command others may go on when it has ended.
    let alone = child.is_none().then(|| Lifeline::of(root)).flatten();
    let outcome = loop {
        // Beside this thread, which has to hear of signals meanwhile.
        let turn = task::spawn_blocking(move || {
            let news = targets.turn(&mut report);
            (targets, report, news)
        });
        let turned = tokio::select! {
            turned = turn => turned,
            () = answering::silent() => {
                stderr::say(failure::from_look(InspectError::Silent));
                return match child {
                    Some(child) => child.wait().await,
                    None => Ok(ExitCode::FAILURE),
                };
            }
            () = ending.overdue() => {
                let report = Report::new(json, of_command, options.output.paint());
                report.summary(standing, &[])?;
                return over(child, options).await;
            }
        };
        let news;
        (targets, report, news) = turned?;
        let news = news?;
        standing = targets.findings();
        if options
            .fail_on
            .is_some_and(|fail_on| news.iter().any(|finding| fail_on.is_met_by(finding)))
        {
            break Outcome::Failed;
        }
        if targets.is_over() || ending.is_asked() {
            break Outcome::Over;
        }
        tokio::select! {
            () = tokio::time::sleep(targets.rest()) => {}
            () = ending.asked() => break Outcome::Over,
            () = ended(alone.as_ref()) => {
                targets.root_ended(&report)?;
                break Outcome::Over;
            }
            status = child::ended(child.as_mut()) => break Outcome::Ended(status?),
        }
    };
    report.summary(standing, &targets.histograms())?;
    match outcome {
        Outcome::Failed => {
            if let Some(child) = child {
                child.stop(targets.pids()).await;
            }
            Ok(ExitCode::from(EXIT_FINDING))
        }
        Outcome::Ended(status) => Ok(status),
        Outcome::Over => over(child, options).await,
    }
}

/// The watch is over. The command goes on without us, as a process watched by its pid does; an
/// interrupt from the terminal reaches it as well.
async fn over(child: Option<Child>, options: &Options) -> Result<ExitCode, Failure> {
    match child {
        Some(child) if options.duration.is_none() => child.wait().await,
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Why the watch ends.
enum Outcome {
    /// A finding that `--fail-on` names.
    Failed,
    /// The command ended with this status.
    Ended(ExitCode),
    /// The time is over, the process gone, or a signal came.
    Over,
}
