//! `gostuck record` and `gostuck replay`: one moment of a process in a file, or a series of them.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Args;

use super::{
    Failure,
    answering::{PATIENCE, answer},
    failure::from_look,
    output, series,
};
use crate::{
    finding::{self, Verdict},
    inspect::Inspector,
    recording::{self, RecordingError},
};
use ids::Pid;

const AFTER_RECORD: &str = "\
Examples:
  sudo gostuck record 4711 -o shop.gostuck
  sudo gostuck record --for 30s --every 2s 4711 -o shop.gostuck
  gostuck replay shop.gostuck

The process is held still while its memory is copied, a few milliseconds as a rule and --hold at
most, and runs on by itself even if gostuck dies. With --for it is held and read again and again, and what probes tell in between is kept as well;
a replay shows the findings as they appeared and cleared. The file appears when it is whole, readable
by you alone. It holds the executable and the memory that the look read: stacks and the heap as far
as walked, with whatever secrets lie there. Look at it before you hand it on; --no-reach keeps the heap
out of it.";

/// Options of `gostuck record`.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_RECORD)]
pub struct RecordOptions {
    /// The process
    pub(super) pid: u32,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    pub(super) output: PathBuf,
    /// For how long to hold the process still at most
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = humantime::parse_duration)]
    hold: Duration,
    /// Record a series of moments, for so long
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(super) duration: Option<Duration>,
    /// Time between the moments of a series
    #[arg(long, value_name = "TIME", default_value = "1s", requires = "duration", value_parser = humantime::parse_duration)]
    pub(super) every: Duration,
    /// Place no probes during a series: waits are dated by its moments only
    #[arg(long, requires = "duration")]
    pub(super) no_probes: bool,
    /// Do not walk the heap: a smaller file, no proof that nobody can wake a goroutine
    #[arg(long)]
    no_reach: bool,
    /// Leave the executable out of the file; a replay then needs it (--exe)
    #[arg(long)]
    without_exe: bool,
}

/// Options of `gostuck replay`.
#[derive(Debug, Args)]
pub struct ReplayOptions {
    /// The recording
    pub(super) file: PathBuf,
    /// The executable, where it was left out of the recording
    #[arg(long, value_name = "FILE")]
    pub(super) exe: Option<PathBuf>,
    /// Report a wait as suspected once it has lasted this long, where nothing proves a deadlock
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    stuck_after: Duration,
    #[command(flatten)]
    pub(super) report: output::Report,
}

/// Records the process.
///
/// # Errors
/// [`Failure`] with the next step.
pub fn record(options: &RecordOptions) -> Result<ExitCode, Failure> {
    let inspector = Inspector::new(finding::Options {
        reach: (!options.no_reach).then(reach::Options::default),
        ..finding::Options::default()
    });
    let how = recording::Options {
        hold: options.hold,
        with_executable: !options.without_exe,
    };
    if let Some(length) = options.duration {
        return series::record(inspector, options, how, length);
    }
    let (pid, output) = (Pid(options.pid), options.output.clone());
    let record = move || recording::record(&inspector, pid, &output, how);
    let recorded = answer(PATIENCE, record).map_err(from_look)?;
    let recorded = recorded.map_err(from_recording)?;
    let findings = &recorded.look.diagnosis.findings;
    let proven = findings.iter().filter(|f| f.verdict == Verdict::Proven);
    writeln!(
        io::stdout(),
        "recorded {} goroutines and {} KiB of memory in {}; held the process for {:.1} ms; {} findings, {} proven{}",
        recorded.look.diagnosis.snapshot.goroutines.len(),
        recorded.bytes >> 10,
        options.output.display(),
        recorded.held.as_secs_f64() * 1e3,
        findings.len(),
        proven.count(),
        if recorded.whole {
            ""
        } else {
            "; it lacks pages that changed meanwhile, so nothing is proven"
        },
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Looks at the recording and prints what is seen.
///
/// # Errors
/// [`Failure`] with the next step.
pub fn replay(options: &ReplayOptions) -> Result<ExitCode, Failure> {
    options.report.check()?;
    let inspector = Inspector::new(finding::Options {
        stuck_after: options.stuck_after,
        ..finding::Options::default()
    });
    if recording::is_series(&options.file).map_err(from_recording)? {
        return series::replay(&inspector, options);
    }
    let look = recording::replay(&inspector, &options.file, options.exe.as_deref());
    options.report.print(&look.map_err(from_recording)?)?;
    Ok(ExitCode::SUCCESS)
}

/// Explains it, with the next step.
pub(super) fn from_recording(error: RecordingError) -> Failure {
    let next_step = match &error {
        RecordingError::Format { .. } => "record it again, or copy it again: it must arrive whole",
        RecordingError::NoExecutable { .. } => "name that executable: --exe FILE",
        RecordingError::Io { .. } => "check the path and the space there",
        RecordingError::Inspection(_) => "",
    };
    match error {
        RecordingError::Inspection(error) => from_look(error),
        error => Failure::with_next_step(error, next_step),
    }
}
