//! Running a program, looking at it with `gostuck inspect`, and comparing.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    cgroup::CpuCgroup,
    expectation::{Expectation, Header},
    json_schema,
};

/// Looks at a healthy program: each a chance to be wrong.
const HEALTHY_LOOKS: usize = 15;
/// No further look is begun after this time: a walk of a busy heap takes seconds.
const HEALTHY_TIME: Duration = Duration::from_secs(20);
/// How long a program may take to get ready, and a verdict to appear.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program, ended when dropped.
struct Target(Child);

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Target {
    /// Starts `program` and waits until it says READY. It dies with the thread that started it, so
    /// that an aborted test run leaves nothing behind.
    fn start(program: &Path, environment: &[(String, String)]) -> Result<Self, String> {
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let output = child.stdout.take().ok_or("the program has no output")?;
        let target = Self(child);
        let (ready, waiting) = mpsc::channel();
        thread::spawn(move || {
            // Reads on after READY: a full pipe would block the program.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if line.starts_with("READY") {
                    let _ = ready.send(());
                }
            }
        });
        match waiting.recv_timeout(PATIENCE) {
            Ok(()) => Ok(target),
            Err(_) => Err("the program never said READY".into()),
        }
    }

    fn inspect(&self) -> Result<Value, String> {
        let output = Command::new(env!("CARGO_BIN_EXE_gostuck"))
            .args(["inspect", &self.0.id().to_string(), "--format", "json"])
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!(
                "inspect: {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        let document = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("inspect printed no JSON: {error}"))?;
        match json_schema::violations("", &document).as_slice() {
            [] => Ok(document),
            violations => Err(format!("against the schema: {}", violations.join("; "))),
        }
    }

    /// The findings as `watch` sees them over `seconds`, with `options`.
    fn watch(&self, options: &[&str]) -> Result<Vec<Value>, String> {
        let output = Command::new(env!("CARGO_BIN_EXE_gostuck"))
            .args(["watch", &self.0.id().to_string(), "--format", "json"])
            .args(options)
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!(
                "watch: {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().map(line).collect()
    }
}

/// A line that `watch` printed, which must be as documented.
fn line(text: &str) -> Result<Value, String> {
    let line =
        serde_json::from_str(text).map_err(|error| format!("watch printed `{text}`: {error}"))?;
    match json_schema::violations("/$defs/watch_line", &line).as_slice() {
        [] => Ok(line),
        violations => Err(format!(
            "watch, against the schema: {}",
            violations.join("; ")
        )),
    }
}

/// Checks everything that `header` expects of `program`.
pub(crate) fn check(program: &Path, header: &Header) -> Result<(), String> {
    let cgroup = header.cpus.map(CpuCgroup::new).transpose()?;
    let target = Target::start(program, &header.environment)?;
    if let Some(cgroup) = &cgroup {
        cgroup.take(target.0.id())?;
    }
    if header.expectations == [Expectation::Healthy] {
        let started = Instant::now();
        return (0..HEALTHY_LOOKS)
            .take_while(|_| started.elapsed() < HEALTHY_TIME)
            .try_for_each(|_| nothing_proven(&target.inspect()?));
    }
    if header.expectations == [Expectation::Quiet] {
        return quiet(&target);
    }
    for expectation in &header.expectations {
        if let Expectation::Growth { kind, function } = expectation {
            growth(&target, kind, function)?;
        }
    }
    let started = Instant::now();
    loop {
        let document = target.inspect()?;
        match meets(&document, header) {
            Ok(()) => break,
            Err(why) if started.elapsed() > PATIENCE / 6 => {
                return Err(format!("{why}\n{}", told(&document)));
            }
            Err(_) => thread::sleep(Duration::from_millis(200)),
        }
    }
    Ok(())
}

/// Nothing stands at the end of a watch by which every wait has become a long one.
fn quiet(target: &Target) -> Result<(), String> {
    let events = target.watch(&["--for", "12s", "--stuck-after", "3s"])?;
    let mut standing = BTreeMap::new();
    for event in events.iter().filter(|event| event["finding"].is_object()) {
        let finding = &event["finding"];
        let id = finding["id"].to_string();
        if finding["verdict"] == "proven" {
            return Err(format!("proven: {finding}"));
        }
        if event["event"] == "cleared" {
            standing.remove(&id);
        } else {
            standing.insert(id, finding["summary"].to_string());
        }
    }
    if standing.is_empty() {
        Ok(())
    } else {
        Err(format!("suspected: {standing:?}"))
    }
}

fn growth(target: &Target, kind: &str, function: &str) -> Result<(), String> {
    let events = target.watch(&["--for", "25s", "--growth-window", "15s"])?;
    let found = events
        .iter()
        .map(Value::to_string)
        .any(|e| e.contains(kind) && e.contains(function));
    if found {
        Ok(())
    } else {
        Err(format!("no {kind} found at {function} in {events:?}"))
    }
}

fn meets(document: &Value, header: &Header) -> Result<(), String> {
    let mut explained = Vec::new();
    for expectation in &header.expectations {
        match expectation {
            Expectation::Finding {
                verdict,
                kind,
                goroutines,
                function,
            } => {
                let concerned = concerned(document, verdict, kind, function.as_deref());
                let met =
                    goroutines.map_or(!concerned.is_empty(), |count| concerned.len() == count);
                if !met {
                    return Err(format!(
                        "expected {goroutines:?} goroutines {verdict} {kind}, got {concerned:?}"
                    ));
                }
                explained.extend(concerned);
            }
            Expectation::PinnedThreads(count) => pinned(document, *count)?,
            Expectation::Growth { .. } => {}
            Expectation::Healthy | Expectation::Quiet => nothing_proven(document)?,
        }
    }
    let proven = concerned(document, "proven", "*", None);
    let surplus: Vec<_> = proven.iter().filter(|g| !explained.contains(g)).collect();
    if surplus.is_empty() {
        Ok(())
    } else {
        Err(format!("proven beyond what is expected: {surplus:?}"))
    }
}

/// The goroutines, each once, of the findings of this verdict and kind whose stacks have `function`.
fn concerned(document: &Value, verdict: &str, kind: &str, function: Option<&str>) -> Vec<u64> {
    let mut goroutines: Vec<u64> = list(document, "findings")
        .filter(|f| f["verdict"] == verdict && (kind == "*" || f["kind"] == kind))
        .flat_map(|f| list(f, "goroutines").filter_map(Value::as_u64))
        .filter(|goid| function.is_none_or(|function| runs(document, *goid, function)))
        .collect();
    goroutines.sort_unstable();
    goroutines.dedup();
    goroutines
}

fn runs(document: &Value, goid: u64, function: &str) -> bool {
    list(document, "goroutines")
        .filter(|g| g["id"] == goid)
        .flat_map(|g| list(g, "stack"))
        .any(|frame| {
            frame["function"]
                .as_str()
                .is_some_and(|name| name.starts_with(function))
        })
}

fn pinned(document: &Value, count: u64) -> Result<(), String> {
    let pinned = document["threads"]["pinned"].as_u64();
    if pinned == Some(count) {
        Ok(())
    } else {
        Err(format!(
            "expected {count} pinned threads, got {}",
            document["threads"]
        ))
    }
}

fn nothing_proven(document: &Value) -> Result<(), String> {
    if concerned(document, "proven", "*", None).is_empty() {
        Ok(())
    } else {
        Err(told(document))
    }
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn told(document: &Value) -> String {
    let findings = serde_json::to_string_pretty(&document["findings"]).unwrap_or_default();
    format!(
        "findings: {findings}\nincomplete: {}",
        document["incomplete"]
    )
}
