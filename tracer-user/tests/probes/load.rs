//! A Go program that parks goroutines on command.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use testing::process::Process;
use tracer_user::ids::Pid;

/// A running instance, ended when dropped.
pub struct Load(Process);

impl Load {
    pub fn start(program: &Path) -> Self {
        Self::ready(&mut Command::new(program))
    }

    /// Starts it by way of a shell that becomes it.
    pub fn start_after_shell(program: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 1; exec \"$0\""]).arg(program);
        Self::ready(&mut shell)
    }

    fn ready(command: &mut Command) -> Self {
        let command = command.env("GOMAXPROCS", "1").stdin(Stdio::piped());
        Self(Process::ready(command).unwrap())
    }

    pub fn pid(&self) -> Pid {
        Pid(self.0.pid())
    }

    pub fn tell(&mut self, command: &str) {
        self.0.tell(command).unwrap();
    }

    pub fn answer(&mut self) -> String {
        self.0.next_line().unwrap()
    }

    /// Nanoseconds a round trip.
    pub fn pingpong(&mut self, rounds: u64) -> f64 {
        self.tell(&format!("pingpong {rounds}"));
        let answer = self.answer();
        let nanos: f64 = answer.trim_start_matches("done ").parse().unwrap();
        nanos / rounds as f64
    }
}
