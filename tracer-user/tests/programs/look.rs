//! Running a program, looking at it with `gostuck inspect`, and comparing.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use testing::{Result, cgroup::CpuCgroup, process::Process, schema};
use tracer_user::{document::Document, finding::Options, ids::Pid, inspect::Inspector};

use crate::expectation::{Expectation, Header};

/// The binary under test.
const GOSTUCK: &str = env!("CARGO_BIN_EXE_gostuck");
/// Looks at a healthy program: each a chance to be wrong.
const HEALTHY_LOOKS: usize = 15;
/// Between two of them, so that the program gets on.
const HEALTHY_PAUSE: Duration = Duration::from_millis(50);
/// No further look is begun after this time: a walk of a busy heap takes seconds.
const HEALTHY_TIME: Duration = Duration::from_secs(20);
/// How long a verdict may take to appear.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `gostuck inspect` says of process `pid`, which must be as documented.
fn inspect(pid: u32) -> Result<Value> {
    let output = Command::new(GOSTUCK)
        .args(["inspect", &pid.to_string(), "--format", "json"])
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
    match schema::violations("", &document).as_slice() {
        [] => Ok(document),
        violations => Err(format!("against the schema: {}", violations.join("; "))),
    }
}

/// The lines that `gostuck watch` prints of process `pid` with `options`.
fn watch(pid: u32, options: &[&str]) -> Result<Vec<Value>> {
    let output = Command::new(GOSTUCK)
        .args(["watch", &pid.to_string(), "--format", "json"])
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

/// A line that `watch` printed, which must be as documented.
fn line(text: &str) -> Result<Value> {
    let line =
        serde_json::from_str(text).map_err(|error| format!("watch printed `{text}`: {error}"))?;
    match schema::violations("/$defs/watch_line", &line).as_slice() {
        [] => Ok(line),
        violations => Err(format!(
            "watch, against the schema: {}",
            violations.join("; ")
        )),
    }
}

/// Checks everything that `header` expects of `program`.
pub(crate) fn check(program: &Path, header: &Header) -> Result {
    let cgroup = header.cpus.map(CpuCgroup::new).transpose()?;
    let environment = header.environment.iter().cloned();
    let target = Process::ready(Command::new(program).envs(environment).stdin(Stdio::null()))?;
    let pid = target.pid();
    if let Some(cgroup) = &cgroup {
        cgroup.take(pid)?;
    }
    match header.expectations[..] {
        [Expectation::Healthy] => return healthy(pid),
        [Expectation::Quiet] => return quiet(pid),
        _ => {}
    }
    for expectation in &header.expectations {
        if let Expectation::Growth { kind, function } = expectation {
            growth(pid, kind, function)?;
        }
    }
    let started = Instant::now();
    loop {
        let document = inspect(pid)?;
        match meets(&document, header) {
            Ok(()) => break,
            Err(why) if started.elapsed() > PATIENCE => {
                return Err(format!("{why}\n{}", told(&document)));
            }
            Err(_) => thread::sleep(Duration::from_millis(200)),
        }
    }
    Ok(())
}

/// Nothing is proven, look after look. The first and the last are by the binary, whose document is
/// held against the schema, too; a process for each would read the image anew each time.
fn healthy(pid: u32) -> Result {
    let started = Instant::now();
    nothing_proven(&inspect(pid)?)?;
    let looker = Inspector::new(Options::default());
    for _ in 2..HEALTHY_LOOKS {
        if started.elapsed() > HEALTHY_TIME {
            break;
        }
        thread::sleep(HEALTHY_PAUSE);
        let look = looker.look(Pid(pid)).map_err(|error| error.to_string())?;
        let document = serde_json::to_value(Document::new(&look));
        nothing_proven(&document.map_err(|error| error.to_string())?)?;
    }
    nothing_proven(&inspect(pid)?)
}

/// Nothing stands at the end of a watch by which every wait has become a long one.
fn quiet(pid: u32) -> Result {
    let events = watch(pid, &["--for", "12s", "--stuck-after", "3s"])?;
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

fn growth(pid: u32, kind: &str, function: &str) -> Result {
    let events = watch(pid, &["--for", "25s", "--growth-window", "15s"])?;
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

fn meets(document: &Value, header: &Header) -> Result {
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

fn pinned(document: &Value, count: u64) -> Result {
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

fn nothing_proven(document: &Value) -> Result {
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
