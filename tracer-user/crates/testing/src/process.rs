//! Processes that end with their test, also when that is killed.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        prctl,
        signal::{Signal, kill},
    },
    unistd::Pid,
};

use crate::{Result, wait};

/// A running process, ended when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    /// What it prints, if its output is read.
    lines: Option<Receiver<String>>,
    /// What it printed before it was ready.
    said: Vec<String>,
    address: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a command without standard input and errors.
pub fn quiet(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started.
pub fn output<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Result<Output> {
    let output = Command::new(program).args(arguments).output();
    output.map_err(|error| format!("cannot run {program}: {error}"))
}

/// Returns what a command prints.
///
/// # Errors
/// When it does not succeed.
pub fn stdout<A: AsRef<OsStr>>(program: &str, arguments: &[A]) -> Result<String> {
    let output = output(program, arguments)?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let text = String::from_utf8_lossy(&output.stderr);
        Err(format!("{program}: {}: {text}", output.status))
    }
}

impl Process {
    /// Starts `command`. The process is killed with the thread that started it, so that an aborted
    /// test run leaves nothing behind; unless it becomes another user, by which it gets rid of that.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        // SAFETY: between fork and exec only prctl is called, which is async-signal-safe.
        unsafe {
            command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?));
        }
        let child = command.spawn();
        let mut child = child.map_err(|error| format!("cannot start {command:?}: {error}"))?;
        let input = child.stdin.take();
        Ok(Self {
            child,
            input,
            lines: None,
            said: Vec::new(),
            address: String::new(),
        })
    }

    /// Starts `command` and reads the lines that it prints.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_read(command: &mut Command) -> Result<Self> {
        let mut process = Self::start(command.stdout(Stdio::piped()))?;
        let output = process.child.stdout.take().ok_or("no output")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            // Reads on when nobody wants to know: a full pipe would block the process.
            for line in BufReader::new(output)
                .lines()
                .map_while(std::io::Result::ok)
            {
                let _ = sender.send(line);
            }
        });
        process.lines = Some(lines);
        Ok(process)
    }

    /// Starts `command` and waits until it prints a line `ready`, or one that begins with
    /// `READY`.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not say so in time.
    pub fn ready(command: &mut Command) -> Result<Self> {
        let mut process = Self::start_read(command)?;
        let ready = |line: &str| match line {
            "ready" => Some(String::new()),
            _ => line
                .strip_prefix("READY")
                .map(|rest| rest.trim().to_owned()),
        };
        loop {
            let line = process.next_line().map_err(|error| {
                format!(
                    "{command:?} was not ready: {error}; it said {:?}",
                    process.said
                )
            })?;
            if let Some(address) = ready(&line) {
                process.address = address;
                return Ok(process);
            }
            process.said.push(line);
        }
    }

    /// Starts `program` quietly and without arguments, and waits until it is ready.
    ///
    /// # Errors
    /// As [`Process::ready`].
    pub fn run(program: &Path) -> Result<Self> {
        Self::ready(&mut quiet(program))
    }

    /// Returns the next line that it prints, if it does so in time.
    ///
    /// # Errors
    /// When it does not, or ends.
    pub fn next_line(&mut self) -> Result<String> {
        let lines = self.lines.as_ref().ok_or("its output is not read")?;
        let line = lines.recv_timeout(wait::PATIENCE);
        line.map_err(|error| error.to_string())
    }

    /// Returns all lines that it prints from now on until it closes its output.
    ///
    /// # Errors
    /// When it says nothing for a long time and does not close it.
    pub fn rest(&mut self) -> Result<Vec<String>> {
        let lines = self.lines.as_ref().ok_or("its output is not read")?;
        let mut rest = Vec::new();
        loop {
            match lines.recv_timeout(wait::PATIENCE) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => return Ok(rest),
                Err(error) => return Err(format!("{error} after {rest:?}")),
            }
        }
    }

    /// Returns the lines that it printed before it was ready.
    pub fn said(&self) -> &[String] {
        &self.said
    }

    /// Returns what follows READY on its line.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input, which must be piped.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn tell(&mut self, line: &str) -> Result {
        let input = self.input.as_mut().ok_or("it has no input")?;
        writeln!(input, "{line}").map_err(|error| error.to_string())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is no more.
    pub fn signal(&self, signal: Signal) -> Result {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).map_err(|error| error.to_string())
    }

    /// Kills it and waits for its end.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill().map_err(|error| error.to_string())?;
        self.wait()
    }

    /// Closes its standard input.
    pub fn close(&mut self) {
        self.input = None;
    }

    /// Closes its standard input and waits for its end.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.close();
        self.child.wait().map_err(|error| error.to_string())
    }

    /// Returns how it ended, if it did.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().map_err(|error| error.to_string())
    }

    /// Returns how long it takes from now on to end, and how it does.
    ///
    /// # Errors
    /// When it does not within `limit`.
    pub fn ends_within(&mut self, limit: Duration) -> Result<(Duration, ExitStatus)> {
        let began = Instant::now();
        while began.elapsed() < limit {
            if let Some(status) = self.ended()? {
                return Ok((began.elapsed(), status));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Err(format!("it did not end within {limit:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = quiet("sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn what_is_said_before_it_is_ready_is_kept() {
        let process = Process::ready(&mut shell("echo one; echo READY at two; echo; sleep 1003"));
        let process = process.expect("ready");
        assert_eq!(process.said(), ["one"]);
        assert_eq!(process.address(), "at two");
    }

    #[test]
    fn one_that_is_never_ready_is_an_error() {
        let error = Process::ready(&mut shell("echo one")).expect_err("it ended");
        assert!(error.contains("one"), "{error}");
    }

    #[test]
    fn it_is_killed_with_the_thread_that_started_it() {
        let started = thread::spawn(|| Process::start(&mut shell("exec sleep 1004")));
        let mut process = started.join().expect("no panic").expect("started");
        let (_, status) = process.ends_within(wait::PATIENCE).expect("it ends");
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(Signal::SIGKILL as i32));
    }
}
