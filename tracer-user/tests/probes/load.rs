//! A Go program that parks goroutines on command.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use tracer_user::ids::Pid;

fn go(version: &str) -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    home.unwrap_or_default()
        .join(".cache/gostuck/go")
        .join(version)
        .join("go/bin/go")
}

/// Whether `cargo xtask setup --all-go` has installed this Go.
pub fn has_go(version: &str) -> bool {
    go(version).exists()
}

/// Builds `load.go`.
pub fn build(version: &str, directory: &Path) -> PathBuf {
    let program = directory.join("load");
    let status = Command::new(go(version))
        .args(["build", "-trimpath", "-ldflags=-s -w", "-o"])
        .arg(&program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probes/load.go"))
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .env("CGO_ENABLED", "0")
        .status()
        .unwrap();
    assert!(status.success());
    program
}

/// A running instance, ended when dropped.
pub struct Load {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Load {
    pub fn start(program: &Path) -> Self {
        Self::spawn(&mut Command::new(program))
    }

    /// Starts it by way of a shell that becomes it.
    pub fn start_after_shell(program: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 1; exec \"$0\""]).arg(program);
        Self::spawn(&mut shell)
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .env("GOMAXPROCS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut load = Self {
            child,
            input,
            output,
        };
        assert_eq!(load.answer(), "ready");
        load
    }

    pub fn pid(&self) -> Pid {
        Pid(self.child.id())
    }

    pub fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
    }

    pub fn answer(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Nanoseconds a round trip.
    pub fn pingpong(&mut self, rounds: u64) -> f64 {
        self.tell(&format!("pingpong {rounds}"));
        let answer = self.answer();
        let nanos: f64 = answer.trim_start_matches("done ").parse().unwrap();
        nanos / rounds as f64
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
