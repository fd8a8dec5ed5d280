//! A program whose names are line breaks, escape sequences and marks of direction: what gostuck prints
//! and logs of it.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use libtest_mimic::Trial;
use serde_json::Value;
use testing::{
    Result,
    daemon::Daemon,
    go::{Flavour, newest},
    json,
    process::{Process, quiet},
    wait::for_some,
};
use tracer_user::target_text::is_harmful;

use crate::{GOSTUCK, trial};

/// What a log line would look like if a target could write one.
const FORGED: &str = "2026-01-01T00:00:00.000000Z  WARN forged";
/// What the names become, cut or filled to their length.
const HOSTILE: &str =
    "f\r\n2026-01-01T00:00:00.000000Z  WARN forged\x1b]0;t\x07\u{9b}2J\u{202e}\u{2066}";
/// The names in `programs/hostile/names`.
const FUNCTION: &str = "nameThatATestOverwritesInTheBuiltProgramWithBytesThatNobodyShouldPrint";
const FILE: &str = "file_that_a_test_overwrites_with_bytes_that_nobody_should_print_at_all";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial(
            "text: what commands print of hostile names harms nobody",
            what_commands_print_harms_nobody,
        ),
        trial(
            "text: what the daemon logs and serves of hostile names harms nobody",
            what_the_daemon_logs_and_serves_harms_nobody,
        ),
        trial(
            "text: an error is one line whatever it quotes",
            an_error_is_one_line_whatever_it_quotes,
        ),
        trial("text: a zombie is told as one", a_zombie_is_told_as_one),
    ]
}

/// `HOSTILE` at the length of `name`.
fn hostile(name: &str) -> String {
    let filled = HOSTILE.len() + "x".len() <= name.len();
    assert!(filled, "{name} is too short");
    format!("{HOSTILE}{}", "x".repeat(name.len() - HOSTILE.len()))
}

/// The program with its names overwritten, in a file of hostile name, too.
fn program(folder: &Path) -> Result<PathBuf> {
    let mut bytes =
        fs::read(newest("hostile/names", Flavour::Plain)?).map_err(|e| e.to_string())?;
    for name in [FUNCTION, FILE] {
        let places: Vec<usize> = bytes
            .windows(name.len())
            .enumerate()
            .filter(|(_, window)| *window == name.as_bytes())
            .map(|(at, _)| at)
            .collect();
        assert!(!places.is_empty(), "{name} is not in the program");
        for at in places {
            bytes[at..at + name.len()].copy_from_slice(hostile(name).as_bytes());
        }
    }
    let path = folder.join("exe\x1b[2J\r\n\u{202e}");
    fs::write(&path, bytes).map_err(|error| error.to_string())?;
    let everybody: fs::Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&path, everybody).map_err(|error| error.to_string())?;
    Ok(path)
}

/// Runs it under a hostile name of its own.
fn run(program: &Path) -> Result<Process> {
    let mut command = quiet(program);
    command.arg0(HOSTILE);
    Process::ready(&mut command)
}

fn no_harm(what: &str, text: &str) {
    let harmful: Vec<char> = text
        .chars()
        .filter(|c| *c != '\n' && is_harmful(*c))
        .collect();
    assert!(harmful.is_empty(), "{what} has {harmful:?}: {text:?}");
    assert!(
        !text.lines().any(|line| line.starts_with(FORGED)),
        "{what} has a forged line: {text}"
    );
}

/// What a command prints, and what it says on standard error, which must not harm either.
fn printed(arguments: &[&str]) -> Result<String> {
    let output = Command::new(GOSTUCK).args(arguments).output();
    let output = output.map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    no_harm(&format!("{arguments:?}, standard error"), &said);
    if output.stdout.is_empty() {
        return Err(format!("{arguments:?} printed nothing: {said}"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn what_commands_print_harms_nobody() -> Result {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let program = program(folder.path())?;
    let running = run(&program)?;
    let pid = running.pid().to_string();
    for format in ["text", "dot", "folded", "json"] {
        let text = printed(&["inspect", &pid, "--all", "--format", format])?;
        no_harm(format, &text);
        assert!(
            text.contains("forged"),
            "{format} leaves out the name: {text}"
        );
    }
    let document = json(&printed(&["inspect", &pid, "--format", "json"])?)?;
    // A reader gets the very text.
    assert_eq!(document["process"]["command"], HOSTILE);
    let function = format!("main.{}", hostile(FUNCTION));
    let goroutines = document["goroutines"].as_array().ok_or("no goroutines")?;
    let in_it = |goroutine: &Value| {
        let frames = goroutine["stack"].as_array();
        frames.is_some_and(|frames| frames.iter().any(|frame| frame["function"] == function))
    };
    assert!(goroutines.iter().any(in_it), "{document}");
    for arguments in [
        &["ps"][..],
        &["ps", "--format", "json"],
        &["watch", &pid, "--for", "2s", "--no-probes"],
        &[
            "watch",
            &pid,
            "--for",
            "2s",
            "--no-probes",
            "--format",
            "json",
        ],
        &["doctor", "--image", &program.display().to_string()],
    ] {
        no_harm(&format!("{arguments:?}"), &printed(arguments)?);
    }
    Ok(())
}

fn what_the_daemon_logs_and_serves_harms_nobody() -> Result {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let running = run(&program(folder.path())?)?;
    let mut command = Command::new(GOSTUCK);
    command.args(["-v", "run", "--no-probes", "--interval", "1s"]);
    let daemon = Daemon::start(command)?;
    let said = for_some("the finding in the log", || {
        let said = daemon.log();
        Ok(said.contains("kind=lock-cycle").then_some(said))
    })?;
    no_harm("the log", &said);
    for line in said.lines() {
        assert!(
            line.starts_with("20"),
            "no line of the log: {line:?} in {said}"
        );
    }
    let pid = running.pid();
    for path in [
        "/metrics".to_owned(),
        "/api/v1/processes".to_owned(),
        format!("/api/v1/processes/{pid}"),
        format!("/api/v1/processes/{pid}?format=text"),
        format!("/api/v1/processes/{pid}?format=dot"),
        format!("/api/v1/processes/{pid}?format=folded"),
        format!("/api/v1/processes/{pid}?view=groups"),
    ] {
        let answer = for_some(&path, || Ok(daemon.get(&path)))?;
        no_harm(&path, &answer);
        assert!(
            answer.contains("forged"),
            "{path} leaves out the name: {answer}"
        );
    }
    Ok(())
}

fn an_error_is_one_line_whatever_it_quotes() -> Result {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let file = folder.path().join(HOSTILE.replace('/', "_"));
    fs::write(&file, b"no executable").map_err(|error| error.to_string())?;
    let file = file.display().to_string();
    for arguments in [
        &["doctor", "--image", &file][..],
        &["inspect", "--core", &file],
        &["replay", &file],
    ] {
        let output = Command::new(GOSTUCK).args(arguments).output();
        let output = output.map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stderr);
        no_harm(&format!("{arguments:?}"), &said);
        assert!(
            !output.status.success() && said.contains("forged"),
            "{said}"
        );
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[0].starts_with("gostuck: "), "{said}");
        assert!(
            lines[1..].iter().all(|line| line.starts_with("  next: ")),
            "{said}"
        );
    }
    Ok(())
}

fn a_zombie_is_told_as_one() -> Result {
    let child = Command::new("true").spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    let pid = child.id().to_string();
    let said = for_some("what is said of a zombie", || {
        let output = Command::new(GOSTUCK).args(["inspect", &pid]).output();
        let said = output.map_err(|error| error.to_string())?.stderr;
        let said = String::from_utf8_lossy(&said).into_owned();
        Ok(said.contains("is a zombie").then_some(said))
    })?;
    assert!(said.contains("its parent has not waited for it"), "{said}");
    child.wait().map_err(|error| error.to_string())?;
    Ok(())
}
