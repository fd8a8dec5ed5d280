//! Series of moments: `gostuck record --for`, and their replay.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use super::{
    Failure,
    answering::answer_until,
    changes::Findings,
    ending::{Ending, ended},
    failure::from_look,
    record::{RecordOptions, ReplayOptions, from_recording},
};
use crate::{
    daemon::{
        probe_manager::{ProbeManager, Settings},
        process_findings::ProcessFindings,
        self_metrics::SelfMetrics,
    },
    finding::Verdict,
    inspect::Inspector,
    recording::{self, Recorder, Replay, Told},
};
use ids::Pid;
use resources::cancellation::Lifeline;

/// What probes may cost the process that is recorded, as a share of one CPU.
const BUDGET: f64 = 0.01;
/// Most moments of a series.
const MOST: u128 = 50_000;

/// What has been recorded.
#[derive(Default)]
struct Tally {
    moments: usize,
    events: usize,
    bytes: u64,
    held_longest: Duration,
    gone: bool,
}

/// Records a series for `length`.
///
/// # Errors
/// [`Failure`] with the next step.
pub fn record(
    inspector: Inspector,
    options: &RecordOptions,
    how: recording::Options,
    length: Duration,
) -> Result<ExitCode, Failure> {
    if length.as_nanos() / options.every.as_nanos().max(1) > MOST {
        return Err(Failure::with_next_step(
            anyhow::anyhow!("a series has {MOST} moments at most"),
            "record for a shorter time, or less often (--every 10s)",
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ending = Ending::watch(None)?;
    let (asked, own) = (ending.clone(), options.clone());
    let series = move || runtime.block_on(series(inspector, asked, &own, how, length));
    let tally = answer_until(&ending, series).map_err(from_look)??;
    writeln!(
        io::stdout(),
        "recorded {} moments, {} events and {} KiB of memory in {}; held the process for {:.1} ms at most{}",
        tally.moments,
        tally.events,
        tally.bytes >> 10,
        options.output.display(),
        tally.held_longest.as_secs_f64() * 1e3,
        if tally.gone { "; it has ended" } else { "" },
    )?;
    Ok(ExitCode::SUCCESS)
}

async fn series(
    inspector: Inspector,
    mut ending: Ending,
    options: &RecordOptions,
    how: recording::Options,
    length: Duration,
) -> Result<Tally, Failure> {
    let inspector = inspector.until(ending.cancellation());
    let pid = Pid(options.pid);
    let lifeline = Lifeline::of(pid);
    let beginning = ending.cancellation().begin(None);
    let recorder = Recorder::begin(&inspector, pid, &options.output, how);
    let mut recorder = recorder.map_err(from_recording)?;
    drop(beginning);
    let settings = Settings {
        wanted: !options.no_probes,
        budget: BUDGET,
    };
    let probing = ProbeManager::start(settings, SelfMetrics::default());
    probing.attach(pid, &recorder.process().exe_for_us(), recorder.image());
    let mut tally = Tally::default();
    let mut due = Instant::now();
    let end = due + length;
    loop {
        let told = told(&probing, pid);
        tally.events += told.events.len();
        recorder.told(&told).map_err(from_recording)?;
        match recorder.moment() {
            Ok(taken) => {
                tally.moments += 1;
                tally.bytes += taken.bytes;
                tally.held_longest = tally.held_longest.max(taken.held);
            }
            Err(_) if tally.moments > 0 && recorder.process().check_same().is_err() => {
                tally.gone = true;
                break;
            }
            // Cut short: the moments before it are the series.
            Err(_) if tally.moments > 0 && ending.is_asked() => break,
            Err(error) => {
                if tally.moments > 0 {
                    recorder.end().map_err(from_recording)?;
                }
                return Err(from_recording(error));
            }
        }
        due += options.every;
        if due > end {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(due.saturating_duration_since(Instant::now())) => {}
            () = ending.asked() => break,
            () = ended(lifeline.as_ref()) => {
                tally.gone = true;
                break;
            }
        }
    }
    recorder.end().map_err(from_recording)?;
    Ok(tally)
}

/// What the probes tell of `pid`.
fn told(probing: &ProbeManager, pid: Pid) -> Told {
    let news = probing.news().events.into_iter();
    let own = news.filter(|(of, _)| *of == pid);
    Told {
        events: own.map(|(_, event)| event).collect(),
        parked: probing.parked(pid),
    }
}

/// Prints the findings of a series as they appear and clear.
///
/// # Errors
/// [`Failure`] with the next step; what came before it has been printed.
pub fn replay(inspector: &Inspector, options: &ReplayOptions) -> Result<ExitCode, Failure> {
    let report = options.report.of_changes()?;
    let replay = Replay::open(&options.file, options.exe.as_deref());
    let mut replay = replay.map_err(from_recording)?;
    let mut followed = ProcessFindings::default();
    while let Some(mut look) = replay.look(inspector).map_err(from_recording)? {
        let changes = followed.take(&mut look);
        report.changes(&look, &changes)?;
    }
    let standing = |verdict| {
        let standing = followed.standing();
        standing.filter(|f| f.verdict == verdict).count()
    };
    let findings = Findings {
        proven: standing(Verdict::Proven),
        suspected: standing(Verdict::Suspected),
    };
    report.summary(findings, &[])?;
    Ok(ExitCode::SUCCESS)
}
