//! The Go programs that are looked at.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use testing::{
    Result,
    go::{self, Flavour, Toolchain},
    process::{Process, quiet},
};

/// Starts `program`, which for a moment is setpriv, and does not wait for it.
pub(crate) fn start(program: &Path, arguments: &[&str]) -> Result<Process> {
    let mut command = quiet("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    Process::start(command.args(arguments).stdout(Stdio::null()))
}

/// Starts `program` and waits until it says READY.
pub(crate) fn ready(program: &Path, arguments: &[&str]) -> Result<Process> {
    Process::ready(quiet(program).args(arguments))
}

/// The program that ends, or becomes another.
pub(crate) fn fickle() -> Result<PathBuf> {
    build("robustness/fickle", Flavour::Plain)
}

/// `name` below `programs/`, by the newest Go.
pub(crate) fn build(name: &str, flavour: Flavour) -> Result<PathBuf> {
    go::program(Toolchain::newest(), name, flavour)
}
