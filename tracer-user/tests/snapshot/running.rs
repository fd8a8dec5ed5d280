//! The programs of this folder, running.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use testing::{
    go::{self, Flavour, Toolchain},
    paths, process,
};
use tracer_user::{ids::Pid, image::Image, process::Process, snapshot::Target};

/// Builds `source`, a file beside this one.
pub fn build(version: &'static str, source: &str, flavour: Flavour) -> PathBuf {
    let folder = paths::workspace().join("tracer-user/tests/snapshot");
    let name = format!("snapshot-{}", source.trim_end_matches(".go"));
    go::built(Toolchain::of(version), &folder.join(source), &name, flavour).unwrap()
}

/// A running program, ended when dropped.
pub struct Running(process::Process);

impl Running {
    /// Starts `program` and waits until it is ready. It ends with its input.
    pub fn start(program: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped());
        Self(process::Process::ready(&mut command).unwrap())
    }

    pub fn target(&self) -> Target {
        let process = Process::open(Pid(self.0.pid())).unwrap();
        let image = Image::open(&process.exe_for_us()).unwrap();
        Target::live(&process, Arc::new(image)).unwrap()
    }

    /// What it printed until it was ready.
    pub fn output(&self) -> String {
        self.0.said().join("\n")
    }

    /// The value of the line "address NAME VALUE".
    pub fn address(&self, name: &str) -> u64 {
        let start = format!("address {name} 0x");
        let mut lines = self.0.said().iter();
        let line = lines.find_map(|line| line.strip_prefix(&start));
        u64::from_str_radix(line.unwrap(), 16).unwrap()
    }
}
