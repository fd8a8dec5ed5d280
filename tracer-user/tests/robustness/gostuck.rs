//! Running the real binary.

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use testing::Result;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_gostuck");

/// What a command came to.
pub(crate) struct Answer {
    /// The exit status; -1 for a signal.
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) error: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            error: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Answer {
    /// It did its work, and printed a document.
    pub(crate) fn document(&self) -> Result<Value> {
        if self.status != 0 {
            return Err(format!("status {}: {}", self.status, self.error));
        }
        serde_json::from_str(&self.out).map_err(|error| format!("no document: {error}"))
    }

    /// It failed with one clear line and a next step, and the line says `what`.
    pub(crate) fn refuses(&self, what: &str) -> Result {
        let lines: Vec<&str> = self.error.lines().collect();
        let clear = match lines[..] {
            [line] => line.starts_with("gostuck: "),
            [line, next] => line.starts_with("gostuck: ") && next.starts_with("  next: "),
            _ => false,
        };
        if self.status == 1 && clear && self.error.contains(what) && self.out.is_empty() {
            return Ok(());
        }
        Err(format!(
            "no clear refusal that says `{what}`: status {}, {:?}, {:?}",
            self.status, self.error, self.out
        ))
    }

    /// It did its work or refused clearly.
    pub(crate) fn copes(&self) -> Result {
        self.document().map(|_| ()).or_else(|_| self.refuses(""))
    }
}

/// Runs `gostuck` with `arguments`.
pub(crate) fn run(arguments: &[&str]) -> Result<Answer> {
    run_as(Command::new(BINARY), arguments)
}

/// One look at process `pid`.
pub(crate) fn inspect(pid: u32) -> Result<Answer> {
    run(&["inspect", &pid.to_string(), "--format", "json"])
}

/// The same by `command`, which ends in the binary.
pub(crate) fn run_as(mut command: Command, arguments: &[&str]) -> Result<Answer> {
    let output = command.args(arguments).output();
    output.map(Answer::from).map_err(|error| error.to_string())
}

/// A copy of `file` that everybody may run.
pub(crate) fn copy(file: &Path, directory: &Path, name: &str) -> Result<std::path::PathBuf> {
    let to = directory.join(name);
    std::fs::copy(file, &to).map_err(|error| format!("{}: {error}", to.display()))?;
    Ok(to)
}
