//! The main job, shown: a Go server in which two goroutines have just locked each other out.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, Result};

use crate::{
    command::{self, is_root, step},
    paths, setup,
};

/// Ends the server however the demo ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn run() -> Result<()> {
    setup::run(&setup::Options::default())?;
    command::cargo(["build", "--locked", "--package", "tracer-user"])?;
    let root = paths::workspace();
    let gostuck = root.join("target/debug/gostuck");
    let program = root.join("target/programs/demo-server");
    command::run(
        Command::new(paths::go(setup::DEFAULT_GO)?)
            .current_dir(root.join("programs"))
            .env("GOTOOLCHAIN", "local")
            .env("CGO_ENABLED", "0")
            .args(["build", "-ldflags=-s -w", "-o"])
            .arg(&program)
            .arg("./demo-server"),
    )?;
    step("starting the server (stripped; no pprof, no rebuild, no import)");
    let mut child = Command::new(&program)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the server")?;
    let output = child.stdout.take().context("the server has no output")?;
    let server = Server(child);
    for line in BufReader::new(output).lines() {
        let line = line?;
        eprintln!("  server: {line}");
        if line.starts_with("READY") {
            break;
        }
    }
    let pid = server.0.id().to_string();
    eprintln!();
    if is_root() {
        command::run(Command::new(&gostuck).args(["watch", &pid, "--for", "5s"]))?;
        eprintln!();
    } else {
        step("not root: no probes; looking once by reading the server's memory");
    }
    command::run(Command::new(&gostuck).args(["inspect", &pid]))
}
