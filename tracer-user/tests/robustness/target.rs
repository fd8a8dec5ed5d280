//! The Go programs that are looked at.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::go::{self, Flavour};

/// How long a program may take to get ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running program, ended when dropped.
pub(crate) struct Target(pub(crate) Child);

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Target {
    /// Starts `program`; it dies with the thread that started it.
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> Result<Self, String> {
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        child
            .map(Self)
            .map_err(|error| format!("cannot start {}: {error}", program.display()))
    }

    /// The same, and waits until it says READY.
    pub(crate) fn ready(program: &Path, arguments: &[&str]) -> Result<Self, String> {
        let mut target = Self::start(program, arguments)?;
        let output = target.0.stdout.take().ok_or("no output")?;
        let (ready, waiting) = mpsc::channel();
        thread::spawn(move || {
            // Reads on after READY: nobody likes a broken pipe.
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

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }
}

/// The program that ends, or becomes another.
pub(crate) fn fickle() -> Result<PathBuf, String> {
    build("robustness/fickle", Flavour::Plain)
}

/// `name` below `programs/`, by the newest Go.
pub(crate) fn build(name: &str, flavour: Flavour) -> Result<PathBuf, String> {
    let toolchains = go::installed();
    let newest = toolchains.last().ok_or("no Go toolchain")?;
    go::build(newest, name, flavour)
}
