//! Counting what passed, failed and was skipped, over several test runners.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{silent, skips};
use crate::command::step;

/// The longest single test takes two minutes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// The outcome so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    passed: u64,
    failed: u64,
    failures: Vec<String>,
    skipped: Vec<String>,
    /// Those that the test harness has skipped, by name.
    skipped_tests: Vec<String>,
}

impl Tally {
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// Counts one check.
    pub(super) fn check(&mut self, name: &str, result: Result<()>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(error) => {
                eprintln!("FAILED {name}: {error:#}");
                self.fail(name);
            }
        }
    }

    fn fail(&mut self, name: &str) {
        self.failed += 1;
        self.failures.push(name.to_owned());
    }

    /// Counts something that could not run.
    pub(super) fn skip(&mut self, why: &str) {
        eprintln!("SKIPPED {why}");
        self.skipped.push(why.to_owned());
    }

    /// Has each test that was skipped, although this machine can do it, count as failed.
    pub(super) fn fail_skips_of_what_is_here(&mut self) {
        for name in std::mem::take(&mut self.skipped_tests) {
            match skips::reproach(&name) {
                Some(why) => self.fail(&format!("{name}: skipped, but {why}")),
                None => self.skipped.push(name),
            }
        }
    }

    /// Runs cargo's tests, showing their output while reading their summaries. A test program that
    /// says nothing for [`PATIENCE`] is ended and counts as failed; cargo goes on with the next.
    pub(super) fn cargo_test(&mut self, cargo: &mut Command) -> Result<()> {
        step("cargo test");
        let mut child = cargo
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cargo test")?;
        let output = child.stdout.take().context("cargo test has no output")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let before = self.failed();
        loop {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    let line = line?;
                    println!("{line}");
                    self.read(&line);
                }
                Err(RecvTimeoutError::Timeout) => {
                    let ended = silent::end_children(child.id());
                    eprintln!("FAILED: no word for {PATIENCE:?}, ended {ended}");
                    self.fail(&format!("{ended}: said nothing for {PATIENCE:?}"));
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = child.wait()?;
        if !status.success() && self.failed() == before {
            self.fail(&format!("cargo test: {status}"));
        }
        Ok(())
    }

    fn read(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            let number = |what: &str| {
                counts
                    .split([';', '.'])
                    .find_map(|part| part.trim().strip_suffix(what)?.trim().parse::<u64>().ok())
                    .unwrap_or(0)
            };
            self.passed += number("passed");
            self.failed += number("failed");
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|l| l.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.trim_end().to_owned());
        } else if let Some(name) = line.strip_prefix("test ").and_then(|l| {
            let (name, outcome) = l.split_once(" ... ")?;
            outcome.starts_with("ignored").then_some(name)
        }) {
            self.skipped_tests.push(name.trim_end().to_owned());
        }
    }

    /// The summary: what failed and what was skipped by name, then the counts.
    pub(super) fn print(&self, elapsed: Duration) {
        println!("\n{elapsed:.0?} in all");
        let skipped = || self.skipped.iter().chain(&self.skipped_tests);
        for name in skipped() {
            println!("skipped: {name}");
        }
        for name in &self.failures {
            println!("failed: {name}");
        }
        println!(
            "{} passed, {} failed, {} skipped",
            self.passed,
            self.failed(),
            skipped().count()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_lines_of_the_test_harness() {
        let mut tally = Tally::default();
        for line in [
            "test a::b ... ok",
            "test c::d ... FAILED",
            "test e ... ignored, needs root",
            "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ] {
            tally.read(line);
        }
        assert_eq!(
            (tally.passed, tally.failed(), tally.skipped_tests.len()),
            (6, 1, 1)
        );
        assert_eq!(tally.failures, ["c::d"]);
    }

    #[test]
    fn what_is_skipped_for_no_reason_fails() {
        let mut tally = Tally::default();
        tally.read("test shown in a browser (needs /none) ... ignored");
        tally.read("test shown in a shell (needs sh)      ... ignored");
        tally.fail_skips_of_what_is_here();
        assert_eq!(tally.skipped, ["shown in a browser (needs /none)"]);
        assert_eq!(tally.failed(), 1);
    }
}
