//! The daemon under test, asked over HTTP.

use std::{
    collections::BTreeSet,
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Result, http, process::Process, wait};

/// A `gostuck run` on a port of its own, ended when dropped.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    port: u16,
    log: PathBuf,
    _folder: TempDir,
}

/// Returns a port that nobody listens on, and that no other test of this process was given.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = listener.map_err(|error| error.to_string())?.port();
        if given.insert(port) {
            return Ok(port);
        }
    }
}

impl Daemon {
    /// Starts `gostuck run` with short intervals, a budget that no test exceeds, and `arguments`.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub fn run(gostuck: &str, arguments: &[&str]) -> Result<Self> {
        let mut command = Command::new(gostuck);
        command.args(["run", "--interval", "1s", "--budget", "50%"]);
        command.args(arguments);
        Self::start(command)
    }

    /// Starts the daemon by `command`, to which the address to listen on is added, and waits until it
    /// listens. Its standard error is the log.
    ///
    /// # Errors
    /// When it does not listen in time.
    pub fn start(mut command: Command) -> Result<Self> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let log = folder.path().join("log");
        let errors = fs::File::create(&log).map_err(|error| error.to_string())?;
        let port = free_port()?;
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Process::start(command.stderr(errors))?;
        let listens = wait::for_some("the daemon", || match process.ended()? {
            Some(status) => Err(format!("the daemon ended: {status}")),
            None => Ok(TcpStream::connect(("127.0.0.1", port)).ok()),
        });
        if let Err(error) = listens {
            let log = fs::read_to_string(&log).unwrap_or_default();
            return Err(format!("{error}\n{log}"));
        }
        Ok(Self {
            process,
            port,
            log,
            _folder: folder,
        })
    }

    /// Returns its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Returns its process, to end it.
    pub fn process_mut(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Returns the port on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address at which it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns what it has logged so far; nothing, if that is no text.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Returns the body of its answer to a request for `path`, if that is no error.
    pub fn get(&self, path: &str) -> Option<String> {
        http::get(&self.address(), path)
    }

    /// Returns what its list says of each process that it follows.
    pub fn processes(&self) -> Vec<Value> {
        let list = self.get("/api/v1/processes").unwrap_or_default();
        let list: Value = serde_json::from_str(&list).unwrap_or_default();
        list["processes"].as_array().cloned().unwrap_or_default()
    }

    /// Returns what its list says of the process `pid`, if it is there.
    pub fn process_of(&self, pid: u32) -> Option<Value> {
        let mut all = self.processes().into_iter();
        all.find(|process| process["pid"] == pid)
    }

    /// Returns how it follows the process `pid`.
    pub fn mode(&self, pid: u32) -> Option<String> {
        let mode = self.process_of(pid)?["mode"].clone();
        mode.as_str().map(str::to_owned)
    }

    /// Returns what its list says of the process `pid`, once it has been inspected.
    ///
    /// # Errors
    /// When it has not in time.
    pub fn listed(&self, pid: u32) -> Result<Value> {
        let inspected = |process: &Value| !process["last_look_seconds_ago"].is_null();
        self.lists(pid, "its inspection", inspected)
    }

    /// Waits until its list says of the process `pid` what `holds`, and returns that.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn lists(&self, pid: u32, what: &str, holds: impl Fn(&Value) -> bool) -> Result<Value> {
        let listed = wait::for_some(&format!("process {pid}: {what}"), || {
            Ok(self.process_of(pid).filter(&holds))
        });
        listed.map_err(|error| format!("{error}; it says {:?}", self.process_of(pid)))
    }

    /// Returns the value of the metric of this name, with labels if it has any.
    pub fn value(&self, name: &str) -> Option<f64> {
        let metrics = self.get("/metrics")?;
        let mut lines = metrics.lines().filter_map(|line| line.rsplit_once(' '));
        lines.find(|(this, _)| *this == name)?.1.parse().ok()
    }

    /// Returns the value of the metric whose name and labels start and end so.
    pub fn metric(&self, start: &str, end: &str) -> Option<f64> {
        let metrics = self.get("/metrics")?;
        let mut lines = metrics.lines().filter_map(|line| line.rsplit_once(' '));
        let found = lines.find(|(name, _)| name.starts_with(start) && name.ends_with(end));
        found?.1.parse().ok()
    }
}
