//! Builds and runs Go programs with the toolchains of the cache.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use tracer_user::{ids::Pid, image::Image, process::Process, snapshot::Target};

/// How to link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    Plain,
    StrippedPie,
}

/// A toolchain of the cache; `None`, with a word on stderr, when it is not there.
pub fn toolchain(version: &str) -> Option<PathBuf> {
    let cache = std::env::var_os("HOME")
        .map(PathBuf::from)?
        .join(".cache/gostuck/go");
    let go = cache.join(version).join("go/bin/go");
    if go.exists() {
        return Some(go);
    }
    eprintln!("skipped: no Go {version} in {}", cache.display());
    None
}

/// Builds `source` (a file beside this one) into `directory`.
pub fn build(go: &Path, source: &str, link: Link, directory: &Path) -> PathBuf {
    let program = directory.join(source.trim_end_matches(".go"));
    let mut command = Command::new(go);
    command
        .args(["build", "-trimpath", "-o"])
        .arg(&program)
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .env("CGO_ENABLED", "0");
    if link == Link::StrippedPie {
        command.args(["-ldflags=-s -w", "-buildmode=pie"]);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshot")
        .join(source);
    let status = command.arg(file).status().unwrap();
    assert!(status.success(), "go build {source} failed");
    program
}

/// A running Go program, ended when dropped.
pub struct Running {
    child: Child,
    /// What it printed up to "ready".
    pub output: String,
}

impl Running {
    /// Starts `program` and waits until it prints "ready".
    pub fn start(program: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = String::new();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        while !output.ends_with("ready\n") {
            let read = reader.read_line(&mut output).unwrap();
            assert!(read > 0, "the program ended early:\n{output}");
        }
        // Keep the pipe open for as long as the program lives.
        std::thread::spawn(move || reader.read_to_end(&mut Vec::new()));
        Self { child, output }
    }

    pub fn target(&self) -> Target {
        let process = Process::open(Pid(self.child.id())).unwrap();
        let image = Image::open(&process.exe_for_us()).unwrap();
        Target::live(&process, Arc::new(image)).unwrap()
    }

    /// The value of the line "address NAME VALUE".
    pub fn address(&self, name: &str) -> u64 {
        let start = format!("address {name} 0x");
        let line = self
            .output
            .lines()
            .find_map(|line| line.strip_prefix(&start));
        u64::from_str_radix(line.unwrap(), 16).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
