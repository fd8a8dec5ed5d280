//! libFuzzer on one target.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{
    corpus::{self, Corpus},
    progress::{self, Progress},
};

/// The variables that `fuzz/src/main.rs` reads.
const TARGET_VARIABLE: &str = "GOSTUCK_FUZZ_TARGET";
const SEEDS_VARIABLE: &str = "GOSTUCK_FUZZ_SEEDS";
/// No input may take longer. The slowest takes seconds on a busy machine.
const INPUT_TIMEOUT: Duration = Duration::from_secs(60);
/// Most memory of the whole program; what one input may take is much less, and checked by the targets.
const MEMORY_MIB: u32 = 2_048;
/// How often it is said how far it is.
const REPORT_INTERVAL: Duration = Duration::from_secs(15);
/// For how long an input that breaks something is made smaller.
const SHRINK_TIME: Duration = Duration::from_secs(60);

/// A target, and for how long it is fuzzed.
pub(super) struct Campaign<'p> {
    program: &'p Path,
    corpus: Corpus,
    time: Duration,
}

/// What came of it.
pub(super) struct Outcome {
    target: String,
    /// The input that broke it.
    broken_by: Option<PathBuf>,
    /// How it broke.
    why: String,
    progress: Progress,
    took: Duration,
}

impl Outcome {
    fn summary(&self) -> String {
        let (target, took) = (&self.target, progress::clock(self.took));
        format!("{target}: {} in {took}", self.progress)
    }

    /// What broke it, and how to see that again.
    pub(super) fn broken(&self) -> Option<String> {
        let (target, input) = (&self.target, self.broken_by.as_ref()?.display());
        let why = &self.why;
        Some(format!(
            "{target} is broken by {input}: {why}; again: cargo xtask fuzz {target} --input {input}"
        ))
    }
}

/// The program on `target`, without arguments of libFuzzer.
pub(super) fn command(program: &Path, target: &str) -> Command {
    let mut command = Command::new(program);
    command.env(TARGET_VARIABLE, target);
    command.arg(format!("-timeout={}", INPUT_TIMEOUT.as_secs()));
    command.arg(format!("-rss_limit_mb={MEMORY_MIB}"));
    command
}

impl<'p> Campaign<'p> {
    pub(super) fn new(program: &'p Path, target: &str, time: Duration) -> Self {
        Self {
            program,
            corpus: Corpus::of(target),
            time,
        }
    }

    /// Fuzzes until the time is over or something breaks.
    pub(super) fn run(&self) -> Result<Outcome> {
        self.corpus.create()?;
        let started = Instant::now();
        let mut command = command(self.program, self.corpus.target());
        command
            .env(SEEDS_VARIABLE, self.corpus.grown())
            .arg(format!("-max_total_time={}", self.time.as_secs().max(1)))
            .arg(self.artifact_prefix())
            .args(["-print_final_stats=1", "-reload=0"])
            .args(self.corpus.folders());
        let mut progress = Progress::default();
        let succeeded = self.follow(&mut command, started, &mut progress)?;
        let broken_by = match (succeeded, progress.artifact.take()) {
            (true, _) => None,
            (false, Some(input)) => Some(self.shrunk(&input)),
            (false, None) => bail!(
                "{}: the fuzzer ended early: {}",
                self.corpus.target(),
                progress.said()
            ),
        };
        let outcome = Outcome {
            target: self.corpus.target().to_owned(),
            why: progress.said(),
            progress,
            broken_by,
            took: started.elapsed(),
        };
        eprintln!("{}", outcome.summary());
        Ok(outcome)
    }

    /// Runs `command`, saying now and then how far it is. Whether nothing broke.
    fn follow(
        &self,
        command: &mut Command,
        started: Instant,
        progress: &mut Progress,
    ) -> Result<bool> {
        let program = self.program.display();
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let output = child.stderr.take().context("the fuzzer has no output")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut report = started + REPORT_INTERVAL;
        loop {
            let now = Instant::now();
            if now >= report {
                report = now + REPORT_INTERVAL;
                let left = self.time.saturating_sub(started.elapsed());
                let (target, left) = (self.corpus.target(), progress::clock(left));
                eprintln!("{target}: {progress}, {left} left");
            }
            match lines.recv_timeout(report.saturating_duration_since(now)) {
                Ok(line) => progress.read(&line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        Ok(child.wait()?.success())
    }

    /// `input`, or a smaller one that breaks the target, too.
    fn shrunk(&self, input: &Path) -> PathBuf {
        let name = input.file_name().unwrap_or_default().to_string_lossy();
        let to = input.with_file_name(format!("{name}.small"));
        eprintln!("{}: making {name} smaller", self.corpus.target());
        let mut command = command(self.program, self.corpus.target());
        command
            .arg("-minimize_crash=1")
            .arg(format!("-max_total_time={}", SHRINK_TIME.as_secs()))
            .arg(format!("-exact_artifact_path={}", to.display()))
            .arg(input)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // It ends with an error in any case.
        let _ = command.status();
        if to.is_file() { to } else { input.to_owned() }
    }

    fn artifact_prefix(&self) -> String {
        let prefix = corpus::artifacts().join(self.corpus.target());
        format!("-artifact_prefix={}-", prefix.display())
    }
}
