//! Ending a test program that hangs, so that the run ends with its name instead of never.

use std::fs;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// Aborts the children of process `parent`; cargo runs one test program at a time. What they were,
/// in words.
pub(super) fn end_children(parent: u32) -> String {
    let mut names = Vec::new();
    for child in children(parent) {
        names.push(command_line(child));
        // It may have ended by itself meanwhile.
        let _ = kill(Pid::from_raw(child), Signal::SIGABRT);
    }
    if names.is_empty() {
        return "nothing that runs".to_owned();
    }
    names.join(", ")
}

fn children(parent: u32) -> Vec<i32> {
    let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let list = list.unwrap_or_default();
    let pids = list.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.collect()
}

fn command_line(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments = line
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty());
    let arguments: Vec<_> = arguments.map(String::from_utf8_lossy).collect();
    arguments.join(" ")
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt as _, process::Command};

    use super::*;

    #[test]
    fn the_children_end_and_are_named() {
        // A shell of its own, because other tests have children of this process.
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 1001 & wait $!; exit $?"])
            .spawn()
            .unwrap();
        // Between fork and exec the child still is a shell.
        let sleeps = |child: &i32| command_line(*child) == "sleep 1001";
        while !children(shell.id()).iter().any(sleeps) {}
        assert_eq!(end_children(shell.id()), "sleep 1001");
        let aborted = 128 + Signal::SIGABRT as i32;
        let status = shell.wait().unwrap();
        assert_eq!((status.code(), status.signal()), (Some(aborted), None));
    }

    #[test]
    fn who_has_no_children_is_left_alone() {
        let mut sleep = Command::new("sleep").arg("1002").spawn().unwrap();
        assert_eq!(end_children(sleep.id()), "nothing that runs");
        sleep.kill().unwrap();
        sleep.wait().unwrap();
    }
}
