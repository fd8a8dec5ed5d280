//! Go programs to measure on.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

use testing::go::{self, NEWEST};

use crate::{command, paths};

/// Builds `programs/NAME`, stripped and without cgo, by the newest Go.
pub(crate) fn build(name: &str) -> Result<PathBuf> {
    build_with(name, "-ldflags=-s -w")
}

/// Likewise with symbols, for tracers that find functions by them.
pub(crate) fn build_with_symbols(name: &str) -> Result<PathBuf> {
    build_with(name, "-ldflags=-w")
}

fn build_with(name: &str, flags: &str) -> Result<PathBuf> {
    let root = paths::workspace();
    let program = root.join("target/programs").join(name.replace('/', "-"));
    command::run(
        go::command(NEWEST, &root.join("programs"))
            .args(["build", flags, "-o"])
            .arg(&program)
            .arg(format!("./{name}")),
    )?;
    Ok(program)
}

/// A running program, ended when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    /// What follows READY in its first line.
    pub(crate) address: String,
}

impl Running {
    /// Starts `command` and waits for its line `READY ADDRESS`.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
        let output = child.stdout.take().context("the program has no output")?;
        let mut running = Self {
            child,
            address: String::new(),
        };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let ready = line.trim().strip_prefix("READY").map(str::trim);
        ready
            .with_context(|| format!("the program said {line:?} instead of READY"))?
            .clone_into(&mut running.address);
        Ok(running)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
