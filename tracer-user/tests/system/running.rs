//! Processes that end with their test, and questions to the daemon.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::go::{self, Flavour};

/// How long anything is waited for.
const PATIENCE: Duration = Duration::from_secs(90);

/// The binary under test.
pub(crate) const GOSTUCK: &str = env!("CARGO_BIN_EXE_gostuck");

/// A process that ends with its test, also when that is killed.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self, String> {
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let started = command.spawn();
        started
            .map(Self)
            .map_err(|error| format!("cannot start {command:?}: {error}"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Starts a Go program of `programs/` and waits until it says that it is as far as it gets.
    pub(crate) fn ready(program: &Path) -> Result<Self, String> {
        let mut command = dying_with_us(program.as_os_str());
        Self::ready_by(&mut command)
    }

    /// As [`Running::ready`], started by `command`.
    pub(crate) fn ready_by(command: &mut Command) -> Result<Self, String> {
        Self::ready_at(command).map(|(running, _)| running)
    }

    /// Likewise, with the address that it says it is at.
    pub(crate) fn ready_at(command: &mut Command) -> Result<(Self, String), String> {
        let mut running = Self::spawn(command.stdout(Stdio::piped()))?;
        let output = running.0.stdout.take().ok_or("no output")?;
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        read.map_err(|error| error.to_string())?;
        match line.strip_prefix("READY") {
            Some(address) => Ok((running, address.trim().to_owned())),
            None => Err(format!("{command:?} said {line:?}")),
        }
    }
}

/// A command that does not outlive its test.
pub(crate) fn dying_with_us(program: &OsStr) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// A program of `programs/`, built with the newest Go; once, since others may be running it.
pub(crate) fn built(name: &str, flavour: Flavour) -> Result<PathBuf, String> {
    static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let key = format!("{name}, {flavour}");
    if let Some(path) = built.get(&key) {
        return Ok(path.clone());
    }
    let newest = go::installed().pop().ok_or("no Go toolchain")?;
    let path = go::build(&newest, name, flavour)?;
    built.insert(key, path.clone());
    Ok(path)
}

pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A port that nobody listens on now.
pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    Ok(address.port())
}

/// Runs a command to its end.
pub(crate) fn output<A: AsRef<OsStr>>(
    program: &str,
    arguments: &[A],
) -> Result<std::process::Output, String> {
    let output = Command::new(program).args(arguments).output();
    output.map_err(|error| format!("cannot run {program}: {error}"))
}

/// What a command prints when it succeeds.
pub(crate) fn stdout<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Result<String, String> {
    let output = output(program, arguments)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let text = String::from_utf8_lossy(&output.stderr);
        Err(format!("{program}: {}: {text}", output.status))
    }
}

pub(crate) fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("{error} in {text}"))
}

/// Asks again and again until there is an answer.
pub(crate) fn wait_for<T>(
    what: &str,
    mut look: impl FnMut() -> Result<Option<T>, String>,
) -> Result<T, String> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(found) = look()? {
            return Ok(found);
        }
        thread::sleep(Duration::from_millis(200));
    }
    Err(format!("waited in vain for {what}"))
}

/// The body that answers a request for `path` at `address`.
pub(crate) fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    let (head, body) = response.split_once("\r\n\r\n")?;
    head.contains(" 200 ").then(|| body.to_owned())
}

/// The daemon, listening on a port of its own.
pub(crate) struct Daemon {
    pub(crate) port: u16,
    running: Running,
}

impl Daemon {
    /// Starts it with further arguments and variables.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Self, String> {
        let mut command = dying_with_us(OsStr::new(GOSTUCK));
        command
            .args(["run", "--interval", "1s", "--budget", "50%"])
            .args(arguments)
            .envs(variables.iter().copied())
            .stdout(Stdio::null());
        Self::start_by(command)
    }

    /// Starts it by `command`, to which the address is added.
    pub(crate) fn start_by(mut command: Command) -> Result<Self, String> {
        let port = free_port()?;
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        let mut running = Running::spawn(&mut command)?;
        wait_for("the daemon", || {
            if let Ok(Some(status)) = running.0.try_wait() {
                return Err(format!("the daemon ended: {status}"));
            }
            Ok(TcpStream::connect(("127.0.0.1", port)).ok())
        })?;
        Ok(Self { port, running })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// The body that answers a request for `path`.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        get(&format!("127.0.0.1:{}", self.port), path)
    }

    /// What the list says of the process `pid`, once it is there.
    pub(crate) fn listed(&self, pid: u32) -> Result<Value, String> {
        wait_for(&format!("process {pid} in the list, looked at"), || {
            let list = self.get("/api/v1/processes");
            let list = list.map(|text| json(&text)).transpose()?;
            Ok(list.and_then(|list| {
                let mut processes = list["processes"].as_array()?.iter();
                let looked_at = |process: &&Value| {
                    process["pid"] == pid && !process["last_look_seconds_ago"].is_null()
                };
                processes.find(looked_at).cloned()
            }))
        })
    }
}
