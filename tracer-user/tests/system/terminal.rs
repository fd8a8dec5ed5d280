//! `gostuck top` in a terminal of 80 columns and 24 lines.

use std::process::Command;

use libtest_mimic::Trial;
use testing::{
    Result,
    go::{Flavour, newest},
    process::Process,
    wait::for_some,
};

use crate::{GOSTUCK, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "top: keys lead from the list to findings, goroutines, threads and out",
        &["tmux"],
        keys_lead_through_the_views,
    )]
}

/// A tmux server of its own; ends with the test.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn start(command: &str) -> Result<Self> {
        let socket = format!("gostuck-test-{}", std::process::id());
        let terminal = Self { socket };
        terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "24",
            command,
        ])?;
        Ok(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new("tmux")
            .args(["-L", &self.socket])
            .args(arguments)
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    fn press(&self, key: &str) -> Result {
        self.tmux(&["send-keys", key]).map(drop)
    }

    /// The screen once it shows `text`; it never shows more than 80 columns.
    fn shows(&self, text: &str) -> Result<String> {
        let mut last = String::new();
        let seen = for_some(text, || {
            last = self.tmux(&["capture-pane", "-p"])?;
            Ok(last.contains(text).then(|| last.clone()))
        });
        seen.map_err(|error| format!("{error}; the screen:\n{last}"))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]);
    }
}

fn keys_lead_through_the_views() -> Result {
    let program = newest("abba", Flavour::Stripped)?;
    let target = Process::run(&program)?;
    let name = program
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or("a name")?;
    let command = format!("{GOSTUCK} top --interval 1s --budget 50% --command '{name}'");
    let terminal = Terminal::start(&command)?;
    let list = terminal.shows("1 deadlocked")?;
    for column in [
        "PID",
        "COMMAND",
        "PROVEN",
        "SUSPECT",
        "GOROUTINES",
        "THREADS",
    ] {
        assert!(list.contains(column), "{column} is cut off:\n{list}");
    }
    assert!(list.contains(&target.pid().to_string()), "{list}");
    terminal.press("Enter")?;
    let findings = terminal.shows("lock cycle")?;
    assert!(findings.contains("main.lockBoth"), "{findings}");
    terminal.press("Tab")?;
    terminal.shows("main.main")?;
    terminal.press("Tab")?;
    terminal.shows("GOMAXPROCS")?;
    terminal.press("Escape")?;
    terminal.shows("1 deadlocked")?;
    terminal.press("q")?;
    for_some("the end of top", || {
        Ok(terminal.tmux(&["has-session"]).is_err().then_some(()))
    })
}
