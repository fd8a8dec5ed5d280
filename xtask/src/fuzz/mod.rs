//! Fuzzing: libFuzzer on everything that is read of others. `fuzz/src/lib.rs` says what the targets are.

mod campaign;
mod corpus;
mod progress;

use std::{
    collections::VecDeque,
    num::NonZero,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

use crate::{
    command::{self, step},
    paths, setup,
};
use campaign::{Campaign, Outcome};
use corpus::Corpus;

const AFTER_HELP: &str = "\
Examples:
  cargo xtask fuzz --for 8h                       all targets, two at a time on two CPUs
  cargo xtask fuzz memory image --for 10m
  cargo xtask fuzz memory --input fuzz/artifacts/memory-crash-…    one input again

New inputs go to fuzz/corpus/, and what broke something to fuzz/artifacts/, made small. Put it into
fuzz/regressions/TARGET/ with the repair: `cargo test -p gostuck-fuzz` replays what is there.";

/// What to fuzz, and for how long.
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Options {
    /// The targets; all of them where none is named
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// For how long in all; the targets share it evenly
    #[arg(long = "for", value_name = "TIME", default_value = "6m", value_parser = humantime::parse_duration)]
    time: Duration,
    /// How many targets run at once; as many as there are CPUs, if not said
    #[arg(long, value_name = "NUMBER")]
    jobs: Option<NonZero<usize>>,
    /// Run the one target on this input only, and show all that it says
    #[arg(long, value_name = "FILE", conflicts_with_all = ["time", "keep"])]
    input: Option<PathBuf>,
    /// Afterwards, put the inputs that reach most into fuzz/seeds/, few and small ones
    #[arg(long)]
    keep: bool,
}

/// For how long each target is fuzzed in CI.
const CI_TIME: Duration = Duration::from_secs(60);

/// A minute of each target.
pub(crate) fn run_in_ci() -> Result<()> {
    let targets = corpus::targets()?;
    let jobs = jobs(None);
    let rounds = u32::try_from(targets.len().div_ceil(jobs.get())).unwrap_or(1);
    run(&Options {
        targets,
        time: CI_TIME * rounds,
        jobs: Some(jobs),
        input: None,
        keep: false,
    })
}

/// Builds the fuzzer, runs it on the targets, and fails if anything broke.
pub(crate) fn run(options: &Options) -> Result<()> {
    let all = corpus::targets()?;
    let targets = if options.targets.is_empty() {
        &all
    } else {
        &options.targets
    };
    for target in targets {
        ensure!(
            all.contains(target),
            "no target is called {target}: there are {}",
            all.join(", ")
        );
    }
    let program = build()?;
    if let Some(input) = &options.input {
        let [target] = &targets[..] else {
            bail!("name the one target that the input is for");
        };
        return again(&program, target, input);
    }
    let jobs = jobs(options.jobs).get().min(targets.len());
    let rounds = u32::try_from(targets.len().div_ceil(jobs)).unwrap_or(u32::MAX);
    let each = options.time / rounds;
    step(&format!(
        "fuzzing {} for {} each, {jobs} at a time",
        targets.join(", "),
        progress::clock(each)
    ));
    let outcomes = run_all(&program, targets, each, jobs)?;
    if options.keep {
        for target in targets {
            Corpus::of(target).keep(&program)?;
        }
    }
    report(&outcomes)
}

/// Runs all `targets`, `jobs` at a time.
fn run_all(
    program: &Path,
    targets: &[String],
    each: Duration,
    jobs: usize,
) -> Result<Vec<Outcome>> {
    let waiting: Mutex<VecDeque<&String>> = Mutex::new(targets.iter().collect());
    let next = || {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.pop_front()
    };
    let work = || -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        while let Some(target) = next() {
            outcomes.push(Campaign::new(program, target, each).run()?);
        }
        Ok(outcomes)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        let mut outcomes = Vec::new();
        for worker in workers {
            let done = worker.join().ok().context("a thread of ours broke off")?;
            outcomes.extend(done?);
        }
        Ok(outcomes)
    })
}

/// Fails with one line of each target that broke.
fn report(outcomes: &[Outcome]) -> Result<()> {
    let broken = outcomes
        .iter()
        .filter_map(Outcome::broken)
        .collect::<Vec<_>>();
    ensure!(broken.is_empty(), "{}", broken.join("\n"));
    Ok(())
}

fn jobs(asked: Option<NonZero<usize>>) -> NonZero<usize> {
    let cpus = || thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
    asked.unwrap_or_else(cpus)
}

/// Builds the program with libFuzzer in it; of this workspace alone, with counters (`fuzz/rustc.sh`), by the
/// toolchain that all is built with. What others wrote is as in any other build, and not built again.
fn build() -> Result<PathBuf> {
    setup::for_fuzzing()?;
    let mut cargo = command::cargo_command();
    cargo
        .env(
            "RUSTC_WORKSPACE_WRAPPER",
            paths::workspace().join("fuzz/rustc.sh"),
        )
        // Of the workspace only, too. Checks of the development profile stay on.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "2")
        .args(["build", "--locked", "--package", "gostuck-fuzz"])
        .args(["--features", "libfuzzer"]);
    command::run(&mut cargo)?;
    Ok(paths::target().join("debug/gostuck-fuzz"))
}

/// Runs one input, with all that it says.
fn again(program: &Path, target: &str, input: &Path) -> Result<()> {
    let mut command = campaign::command(program, target);
    command::run(command.env("RUST_BACKTRACE", "1").arg(input))
}
