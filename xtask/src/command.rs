//! Running other programs, saying so.

use std::{env, ffi::OsStr, fmt::Write as _, process::Command, time::Instant};

use anyhow::{Context as _, Result, ensure};

use crate::paths;

/// Announces a step, so that nobody takes silence for a hang.
pub(crate) fn step(text: &str) {
    eprintln!("\u{25b8} {text}");
}

fn describe(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let _ = write!(text, " {}", argument.to_string_lossy());
    }
    text
}

/// Runs `command` with its output shown, and fails when it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let text = describe(command);
    step(&text);
    let started = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("cannot start: {text}"))?;
    ensure!(status.success(), "{text}: {status}");
    eprintln!("  done in {:.0?}", started.elapsed());
    Ok(())
}

/// The standard output of `command`, or `None` when it cannot be run or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// Runs cargo in the workspace.
pub(crate) fn cargo<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(arguments: I) -> Result<()> {
    run(cargo_command().args(arguments))
}

/// The cargo that runs us, in the workspace, with the environment that a cargo has that somebody
/// types. `cargo run` tells us what package we are; where a build script asks for that (`ring`'s
/// does) it would run again, and all that depends on it be built again, each time that the one
/// cargo follows the other.
pub(crate) fn cargo_command() -> Command {
    let mut cargo = Command::new(cargo_program());
    cargo.current_dir(paths::workspace());
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name.as_ref());
        }
    }
    cargo
}

/// The cargo that runs us.
fn cargo_program() -> std::ffi::OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
