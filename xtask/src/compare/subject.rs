//! One program, seen by gostuck and by the runtime's own profile at the same moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use testing::go::{self, NEWEST};

use crate::{command, paths};

/// How long a program gets to reach its bug, and the profile to be written.
const PATIENCE: Duration = Duration::from_secs(10);
/// When a program counts as having reached its bug.
const SETTLED: Duration = Duration::from_secs(1);

/// What the two said of one process: goroutine ids.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    /// In proven findings of gostuck, by kind.
    pub(super) ours: BTreeMap<String, BTreeSet<u64>>,
    /// In the runtime's profile.
    pub(super) theirs: BTreeSet<u64>,
}

impl Comparison {
    /// All goroutines that gostuck proves stuck.
    pub(super) fn proven(&self) -> BTreeSet<u64> {
        self.ours.values().flatten().copied().collect()
    }
}

/// A program built for the comparison.
#[derive(Debug)]
pub(super) struct Subject {
    binary: PathBuf,
    directory: PathBuf,
}

impl Subject {
    /// Builds `programs/NAME`, with the handler that writes the profile laid over it.
    pub(super) fn build(name: &str) -> Result<Self> {
        let root = paths::workspace();
        let directory = root.join("target/compare").join(name);
        fs::create_dir_all(&directory)?;
        let source = root.join("programs").join(name);
        let handler = root.join("xtask/src/compare/profile.go");
        let overlay = serde_json::json!({
            "Replace": { source.join("gostuck_compare.go").display().to_string(): handler }
        });
        let overlay_file = directory.join("overlay.json");
        fs::write(&overlay_file, overlay.to_string())?;
        let binary = directory.join("program");
        let mut go = go::command(NEWEST, &source);
        go.env_remove("CGO_ENABLED")
            .args(["build", "-ldflags=-s -w", "-overlay"])
            .arg(&overlay_file)
            .arg("-o")
            .arg(&binary)
            .arg(".");
        command::run(&mut go)?;
        Ok(Self { binary, directory })
    }

    /// The executable.
    pub(super) fn binary(&self) -> &Path {
        &self.binary
    }

    /// Runs it with `arguments` and asks both.
    pub(super) fn compare(&self, gostuck: &Path, arguments: &[&str]) -> Result<Comparison> {
        let profile = self.directory.join("profile");
        let _ = fs::remove_file(&profile);
        let mut process = Process(
            Command::new(&self.binary)
                .args(arguments)
                .env("GOROUTINELEAK", &profile)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .with_context(|| format!("cannot start {}", self.binary.display()))?,
        );
        thread::sleep(SETTLED);
        let ours = proven(gostuck, process.0.id())?;
        process.signal()?;
        let theirs = process.profiled(&profile)?;
        Ok(Comparison { ours, theirs })
    }
}

/// A running program, ended when dropped.
struct Process(Child);

impl Process {
    fn signal(&self) -> Result<()> {
        let mut kill = Command::new("kill");
        kill.args(["-USR1", &self.0.id().to_string()]);
        command::output(&mut kill).context("kill -USR1 failed")?;
        Ok(())
    }

    /// The goroutines of the profile, once it is written.
    fn profiled(&mut self, path: &Path) -> Result<BTreeSet<u64>> {
        let began = Instant::now();
        loop {
            if let Ok(text) = fs::read_to_string(path) {
                return Ok(leaked(&text));
            }
            if let Some(status) = self.0.try_wait()? {
                bail!("the program ended with {status} before it wrote its profile");
            }
            if began.elapsed() >= PATIENCE {
                bail!("no profile after {PATIENCE:?}");
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The ids in lines such as `goroutine 26 [chan receive (leaked)]:`.
fn leaked(profile: &str) -> BTreeSet<u64> {
    profile
        .lines()
        .filter(|line| line.contains("(leaked)"))
        .filter_map(|line| {
            line.strip_prefix("goroutine ")?
                .split(' ')
                .next()?
                .parse()
                .ok()
        })
        .collect()
}

#[derive(Deserialize)]
struct Document {
    findings: Vec<Finding>,
}

#[derive(Deserialize)]
struct Finding {
    kind: String,
    verdict: String,
    goroutines: Vec<u64>,
}

/// The goroutines of gostuck's proven findings, by kind.
fn proven(gostuck: &Path, pid: u32) -> Result<BTreeMap<String, BTreeSet<u64>>> {
    let mut inspect = Command::new(gostuck);
    inspect.args(["inspect", "--format", "json", &pid.to_string()]);
    let text = command::output(&mut inspect).context("gostuck inspect failed")?;
    let document: Document = serde_json::from_str(&text).context("reading what it found")?;
    let mut found: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for finding in document.findings {
        // The whole process is told of besides the findings that it consists of.
        if finding.verdict == "proven" && finding.kind != "whole-process-deadlock" {
            found
                .entry(finding.kind)
                .or_default()
                .extend(finding.goroutines);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_leaked_goroutines_of_a_profile_count() {
        let profile = "goroutine 1 [running]:\nmain.main()\n\n\
                       goroutine 26 [chan receive (leaked)]:\nmain.f()\n\n\
                       goroutine 30 [select (leaked), 2 minutes]:\n";
        assert_eq!(super::leaked(profile), [26, 30].into());
    }
}
