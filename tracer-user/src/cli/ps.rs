//! `gostuck ps`: the Go processes of this host, and how a daemon follows them if there is one.

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, ValueEnum};
use rustc_hash::FxHashMap;
use serde::Serialize;

use super::{
    Failure,
    answering::{PATIENCE, answer},
    daemon_client::{self, AskError, Followed},
    run::{LISTEN, token},
    stderr,
};
use crate::{
    daemon::process_table::Mode,
    document::{Clock, ImageFacts, Process as Facts, command, key_text, words::percent},
    export::{
        json,
        text::{ago, count},
    },
    inspect::InspectError,
    target_text::TargetText,
};
use ids::Pid;
use process::{
    GoCheck, GoProcesses, ImageCache, ImageLimits, Process, ProcessError, all_pids, cpu_limit,
};
use snapshot::{self, Target};

const AFTER_HELP: &str = "\
Examples:
  gostuck ps                                   your own processes
  sudo gostuck ps                              everybody's
  sudo gostuck ps --format json | jq '.[] | select(.goroutines > 10000)'

Columns: goroutines include the runtime's own; FLAGS: c linked with C, s stripped.
A process that cannot be traced is listed with the reason.
Of a daemon on this host: PROBES is how it follows the process: by events, or by looks at an
interval where the probes are off because they cost too much; COST is what they cost the process, as
a share of one CPU; LOOKED is when the daemon last looked at it. A dash: not probed, or no daemon follows it.";

/// Options of `gostuck ps`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Options {
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Where a daemon listens that may follow them [default: 127.0.0.1:9102]
    #[arg(long, value_name = "ADDR:PORT")]
    daemon: Option<SocketAddr>,
    /// File with the bearer token that the daemon asks for
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table
    Text,
    /// An array of objects: the `process` object of docs/json.md, with `traceable`, `why_not`,
    /// `mode`, `cost_ratio` and `last_look_seconds_ago`
    Json,
}

/// One Go process.
#[derive(Debug, Serialize)]
struct Row {
    traceable: bool,
    /// Why it cannot be traced.
    why_not: Option<TargetText>,
    /// How the daemon follows it; `None` where none does.
    mode: Option<Mode>,
    /// What the daemon's probes cost it, as a share of one CPU.
    cost_ratio: Option<f64>,
    /// How long ago the daemon looked at it.
    last_look_seconds_ago: Option<u64>,
    #[serde(flatten)]
    known: Known,
    #[serde(skip)]
    command: TargetText,
}

/// What is known of a process.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Known {
    /// Of a traceable one.
    Facts(Box<Facts>),
    /// Of another.
    Pid { pid: Pid },
}

/// Prints the Go processes.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(options: &Options) -> Result<ExitCode, Failure> {
    let followed = ask(options)?;
    let (rows, failed) = rows(&followed);
    let mut out = io::stdout().lock();
    match options.format {
        Format::Text => write_table(&mut out, &rows)?,
        Format::Json => {
            json::write_pretty(&mut out, &rows)?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    if !failed.is_empty() {
        stderr::say(format_args!(
            "{} could not be looked at (-v says why; root may look at all)",
            count(failed.len(), "other process").replace("processs", "processes")
        ));
        for error in failed {
            tracing::info!(%error, "passed over");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a daemon says, by the key of the process. That there is none is worth a word only to who named one.
fn ask(options: &Options) -> Result<FxHashMap<String, Followed>, Failure> {
    let token = options.token_file.as_deref().map(token).transpose()?;
    let address = options.daemon.unwrap_or(LISTEN);
    let followed = match daemon_client::followed(address, token.as_ref()) {
        Ok(followed) => followed,
        Err(AskError::Absent { .. }) if options.daemon.is_none() => Vec::new(),
        Err(error) => {
            // It may quote whoever listens there.
            let why = TargetText::from(error.to_string());
            stderr::say(format_args!("PROBES and COST are not known: {why}"));
            Vec::new()
        }
    };
    let by_key = followed.into_iter().map(|one| (one.key.clone(), one));
    Ok(by_key.collect())
}

/// All Go processes, and what went wrong with others. One whose memory or executable does not answer is
/// listed, whatever it executes.
fn rows(followed: &FxHashMap<String, Followed>) -> (Vec<Row>, Vec<ProcessError>) {
    let images = Arc::new(ImageCache::new(ImageLimits::of_daemon(None)));
    let mut scanner = Some(GoProcesses::new());
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    let mut patience = PATIENCE;
    for pid in all_pids() {
        let (images, mut own) = (Arc::clone(&images), scanner.take().unwrap_or_default());
        let read = answer(patience, move || {
            let read = read(pid, &mut own, &images);
            (read, own)
        });
        match read {
            Ok((read, own)) => {
                scanner = Some(own);
                match read {
                    Ok(Some((process, facts))) => rows.push(row(&process, facts, followed)),
                    Ok(None)
                    | Err(
                        ProcessError::Gone(_) | ProcessError::Zombie(_) | ProcessError::Kernel(_),
                    ) => {}
                    Err(error) => failed.push(error),
                }
            }
            Err(silent) => {
                // Others of the kind need not be waited for as long.
                patience = PATIENCE / 10;
                if let Ok(process) = Process::glimpse(pid) {
                    rows.push(row(&process, Err(silent), followed));
                }
            }
        }
    }
    (rows, failed)
}

/// A Go process, and what it says of itself.
type Read = (Process, Result<Facts, InspectError>);

/// What the Go process is that has `pid`; `None` where that is no Go process.
fn read(
    pid: Pid,
    scanner: &mut GoProcesses,
    images: &ImageCache,
) -> Result<Option<Read>, ProcessError> {
    let process = Process::open(pid)?;
    if scanner.check(&process)? == GoCheck::Other {
        return Ok(None);
    }
    let facts = facts(&process, images);
    Ok(Some((process, facts)))
}

fn row(
    process: &Process,
    facts: Result<Facts, InspectError>,
    followed: &FxHashMap<String, Followed>,
) -> Row {
    let followed = followed.get(&key_text(process.key));
    Row {
        traceable: facts.is_ok(),
        why_not: facts.as_ref().err().map(|error| error.to_string().into()),
        mode: followed.map(|followed| followed.mode),
        cost_ratio: followed.and_then(|followed| followed.cost_ratio),
        last_look_seconds_ago: followed.and_then(|followed| followed.last_look_seconds_ago),
        known: facts.map_or_else(
            |_| Known::Pid { pid: process.pid() },
            |facts| Known::Facts(Box::new(facts)),
        ),
        command: command(process),
    }
}

fn facts(process: &Process, images: &ImageCache) -> Result<Facts, InspectError> {
    let image = images.image_of(process)?;
    let snapshot = snapshot::take(&Target::live(process, Arc::clone(&image))?)?;
    let facts = ImageFacts::new(&image, &snapshot);
    let clock = Clock::at(snapshot.taken_ns);
    Ok(Facts::new(
        process,
        facts,
        cpu_limit(process),
        &snapshot,
        &clock,
    ))
}

fn write_table(out: &mut impl Write, rows: &[Row]) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "No Go process that this user may look at.");
    }
    writeln!(
        out,
        "{:>7}  {:<20} {:<9} {:>10} {:>7} {:>5} {:>5}  {:<6} {:>8} {:>10}  {:<5} CONTAINER",
        "PID",
        "COMMAND",
        "GO",
        "GOROUTINES",
        "THREADS",
        "PROCS",
        "CPUS",
        "PROBES",
        "COST",
        "LOOKED",
        "FLAGS"
    )?;
    for row in rows {
        let command: String = row.command.clean().chars().take(20).collect();
        match &row.known {
            Known::Facts(facts) => write_facts(out, &command, facts, row)?,
            Known::Pid { pid } => writeln!(
                out,
                "{pid:>7}  {command:<20} not traceable: {}",
                row.why_not.clone().unwrap_or_default()
            )?,
        }
    }
    Ok(())
}

fn write_facts(out: &mut impl Write, command: &str, facts: &Facts, row: &Row) -> io::Result<()> {
    let or_dash = |number: Option<String>| number.unwrap_or_else(|| "-".to_owned());
    let flags = [(facts.image.cgo, 'c'), (facts.image.stripped, 's')];
    let flags: String = flags
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, flag)| flag)
        .collect();
    let identity = facts.identity.as_ref();
    let container = identity.and_then(|identity| {
        let name = identity.container.clone();
        name.or_else(|| Some(identity.container_id.as_ref()?.raw().get(..12)?.into()))
    });
    writeln!(
        out,
        "{:>7}  {command:<20} {:<9} {:>10} {:>7} {:>5} {:>5}  {:<6} {:>8} {:>10}  {flags:<5} {}",
        facts.pid,
        TargetText::from(facts.image.go_version.raw().trim_start_matches("go")),
        facts.goroutines,
        facts.threads,
        or_dash(facts.gomaxprocs.map(|procs| procs.to_string())),
        or_dash(facts.cpu_limit.map(|limit| limit.to_string())),
        row.mode.unwrap_or(Mode::Unprobed).cell(),
        or_dash(row.cost_ratio.map(percent)),
        ago(row.last_look_seconds_ago),
        container.unwrap_or_else(|| "-".into()),
    )
}
