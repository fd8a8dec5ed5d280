//! Builds and runs the Go programs below `programs/` for the tests of the heap walk.

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::Arc,
};

use tracer_user::{ids::Pid, image::Image, process::Process, snapshot::Target};

/// How a program is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Plain,
    Stripped,
    Cgo,
}

/// A running program; killed when dropped.
pub(crate) struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

/// The `go` command of `version`, when it is installed.
pub(crate) fn toolchain(version: &str) -> Option<PathBuf> {
    let home = env::var_os("HOME")?;
    let go = Path::new(&home)
        .join(".cache/gostuck/go")
        .join(version)
        .join("go/bin/go");
    go.exists().then_some(go)
}

/// Builds `programs/NAME` and returns the binary.
pub(crate) fn build(go: &Path, name: &str, link: Link, into: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../programs")
        .join(name);
    let binary = into.join(name);
    let mut command = Command::new(go);
    command
        .args(["build", "-o"])
        .arg(&binary)
        .current_dir(source)
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .env("CGO_ENABLED", if link == Link::Cgo { "1" } else { "0" });
    if link == Link::Stripped {
        command.arg("-ldflags=-s -w");
    }
    let status = command.arg(".").status().unwrap();
    assert!(status.success(), "building {name} with {}", go.display());
    binary
}

impl Running {
    /// Starts `binary` and waits for the line `ready`.
    pub(crate) fn start(binary: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(binary)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut running = Self { child, output };
        running.wait_for("ready");
        running
    }

    /// Waits until the program prints `line`.
    pub(crate) fn wait_for(&mut self, line: &str) {
        let mut lines = (&mut self.output).lines().map_while(Result::ok);
        assert!(lines.any(|printed| printed == line), "never said {line}");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap();
        // SAFETY: no memory is involved; the process is our child and has not been waited for.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid(self.child.id())
    }

    /// The process as a target.
    pub(crate) fn target(&self) -> Target {
        target(self.pid())
    }
}

/// The process `pid` as a target.
pub(crate) fn target(pid: Pid) -> Target {
    let process = Process::open(pid).unwrap();
    let image = Image::open(Path::new(&format!("/proc/{pid}/exe"))).unwrap();
    Target::live(&process, Arc::new(image)).unwrap()
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
