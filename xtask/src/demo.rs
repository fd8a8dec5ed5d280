//! The main job, shown: a Go server in which two goroutines have just locked each other out.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use testing::go::{self, NEWEST};

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
    setup::for_building()?;
    step("building gostuck, and beside it the server; from nothing this takes some minutes");
    let (gostuck, program) = thread::scope(|scope| {
        // The compiler of gostuck leaves one of two CPUs idle for much of its time.
        let program = scope.spawn(build_server);
        let gostuck = build_gostuck()?;
        let program = program.join();
        let program = program.map_err(|_| anyhow!("building the server panicked"))?;
        Ok::<_, anyhow::Error>((gostuck, program?))
    })?;
    setup::mount_all();
    let server = start(&program)?;
    let pid = server.0.id().to_string();
    eprintln!();
    if is_root() {
        command::run(Command::new(&gostuck).args(["watch", &pid, "--for", "10s"]))?;
        eprintln!();
    } else {
        step("not root: no probes; looking once by reading the server's memory");
    }
    // What it prints is what the demo is for: nothing comes after it.
    step(&format!("gostuck inspect {pid}"));
    let status = Command::new(&gostuck).args(["inspect", &pid]).status();
    let status = status.with_context(|| format!("cannot start {}", gostuck.display()))?;
    ensure!(status.success(), "gostuck inspect: {status}");
    Ok(())
}

/// Builds what `cargo build` builds, so that neither makes the other start anew.
fn build_gostuck() -> Result<PathBuf> {
    command::cargo(["build", "--locked", "--package", "tracer-user"])?;
    Ok(paths::target().join("debug/gostuck"))
}

fn build_server() -> Result<PathBuf> {
    setup::go_toolchain(NEWEST)?;
    let program = paths::target().join("programs/demo-server");
    let mut go = go::command(NEWEST, &testing::paths::programs());
    go.args(["build", "-ldflags=-s -w", "-o"])
        .arg(&program)
        .arg("./demo-server");
    command::run(&mut go)?;
    Ok(program)
}

/// Starts the server, and returns when its deadlock is there.
fn start(program: &Path) -> Result<Server> {
    step("starting the server (stripped; no pprof, no rebuild, no import)");
    let mut child = Command::new(program)
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
    Ok(server)
}
