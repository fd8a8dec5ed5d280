//! A `gostuck run`, asked over HTTP.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tracer_user::ids::Pid;

use super::traces::until;

/// The daemon, ended when dropped.
pub struct Daemon {
    child: Child,
    port: u16,
    log: PathBuf,
    _directory: tempfile::TempDir,
}

impl Daemon {
    /// Starts one that follows programs called `load`.
    pub fn start(options: &[&str]) -> Self {
        Self::following("load", options)
    }

    /// Starts one that follows programs called `command`.
    pub fn following(command: &str, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        // Free now, and hardly taken by anybody before the daemon binds it.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let child = Command::new(env!("CARGO_BIN_EXE_gostuck"))
            .args(["-v", "run", "--command", command, "--listen"])
            .arg(format!("127.0.0.1:{port}"))
            .args(options)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let daemon = Self {
            child,
            port,
            log,
            _directory: directory,
        };
        until("the daemon answers", || daemon.get("/healthz").is_some());
        daemon
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .ok()?;
        let port = self.port;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        head.contains(" 200 ").then(|| body.to_owned())
    }

    /// The processes that it follows.
    pub fn processes(&self) -> Vec<Value> {
        let list = self.get("/api/v1/processes").unwrap_or_default();
        let list = serde_json::from_str::<Value>(&list).unwrap_or_default();
        list["processes"].as_array().cloned().unwrap_or_default()
    }

    pub fn process(&self, pid: Pid) -> Option<Value> {
        let mut all = self.processes().into_iter();
        all.find(|process| process["pid"] == pid.0)
    }

    /// How it follows `pid`.
    pub fn mode(&self, pid: Pid) -> Option<String> {
        self.process(pid)?["mode"].as_str().map(str::to_owned)
    }

    /// What `gostuck ps` tells of `pid` in its table, asking this daemon.
    pub fn row_of_ps(&self, pid: Pid) -> Option<String> {
        let output = Command::new(env!("CARGO_BIN_EXE_gostuck"))
            .args(["ps", "--daemon", &format!("127.0.0.1:{}", self.port)])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("not known"), "{said}");
        let table = String::from_utf8(output.stdout).unwrap();
        let mut lines = table.lines().map(str::trim_start);
        let row = lines.find(|line| line.starts_with(&format!("{pid} ")));
        row.map(str::to_owned)
    }

    /// The value of the metric whose name and labels start and end so.
    pub fn metric(&self, start: &str, end: &str) -> Option<f64> {
        let metrics = self.get("/metrics")?;
        let mut lines = metrics.lines().filter_map(|line| line.rsplit_once(' '));
        let found = lines.find(|(name, _)| name.starts_with(start) && name.ends_with(end));
        found?.1.parse().ok()
    }

    /// Its open files and its memory in KiB.
    pub fn holds(&self) -> (usize, u64) {
        let pid = self.child.id();
        let files = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let resident = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        (files, resident.unwrap().parse().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
