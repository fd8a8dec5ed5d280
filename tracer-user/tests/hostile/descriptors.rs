//! More programs than there are file descriptors for: some are looked at by intervals, and nobody is
//! left out.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use libtest_mimic::Trial;
use testing::{
    Result,
    daemon::Daemon,
    go::{Flavour, newest},
    json,
    process::{Process, quiet},
    wait::for_some,
};

use crate::{GOSTUCK, trial};

/// Different programs.
const PROGRAMS: usize = 200;
/// Descriptors that the daemon may have.
const LIMIT: usize = 1024;
/// Links that are left once the programs have ended: four of the one that still runs, and those that
/// tell of processes.
const AFTERWARDS: usize = 8;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("two hundred programs and a thousand descriptors", many),
        trial("the soft limit of descriptors is raised", raised),
    ]
}

/// The daemon, which may have so many descriptors.
fn limited(soft: usize, hard: usize, arguments: &[&str]) -> Result<Daemon> {
    let mut command = quiet("prlimit");
    command.arg(format!("--nofile={soft}:{hard}")).arg(GOSTUCK);
    command.args(["run", "--interval", "2s", "--budget", "50%"]);
    command.args(arguments).stdout(Stdio::null());
    Daemon::start(command)
}

fn many() -> Result {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let program = newest("rest-main", Flavour::Stripped)?;
    let mut running = Vec::new();
    for number in 0..PROGRAMS {
        running.push(start(
            &program,
            &folder.path().join(format!("many-{number}")),
        )?);
    }
    let commands = ["--command", "many", "--command", "abba"];
    let daemon = limited(LIMIT, LIMIT, &commands)?;
    let watched = "gostuck_processes{state=\"watched\"}";
    for_some("all to be followed", || {
        let list = json(&daemon.get("/api/v1/processes").ok_or("no list")?)?;
        let processes = list["processes"].as_array().ok_or("no processes")?;
        let looked_at = processes
            .iter()
            .filter(|process| !process["last_look_seconds_ago"].is_null());
        let looked_at = looked_at.count();
        let watched = daemon.value(watched) >= Some(PROGRAMS as f64);
        Ok((looked_at >= PROGRAMS && watched).then_some(()))
    })?;
    let abba = folder.path().join("abba");
    fs::copy(newest("abba", Flavour::Stripped)?, &abba).map_err(|error| error.to_string())?;
    let stuck = Process::run(&abba)?;
    for_some("the deadlock of one more", || {
        let listed = daemon.process_of(stuck.pid());
        Ok(listed.filter(|process| process["findings"]["proven"] == 1))
    })?;
    for_some("those that are not probed to be counted", || {
        let unprobed = daemon.value("gostuck_processes_unprobed");
        let errors = daemon.value("gostuck_errors_total{kind=\"descriptors\"}");
        Ok((unprobed > Some(0.0) && errors > Some(0.0)).then_some(()))
    })?;
    let open = daemon
        .value("process_open_fds")
        .ok_or("no number of descriptors")?;
    if open >= LIMIT as f64 {
        return Err(format!("all descriptors are in use: {open}"));
    }
    drop(running);
    for_some("the links of those that ended to be closed", || {
        let links = links(daemon.pid())?;
        Ok((links <= AFTERWARDS).then_some(()))
    })
}

/// How many links to BPF programs a process holds.
fn links(pid: u32) -> Result<usize> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).map_err(|error| error.to_string())?;
    let names = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let is_link = |name: &PathBuf| name.to_string_lossy().contains("bpf_link");
    Ok(names.filter(is_link).count())
}

/// Starts a copy of `program` in `folder`, which is another one to the kernel.
fn start(program: &Path, folder: &Path) -> Result<Process> {
    let copy = folder.join("many");
    fs::create_dir(folder)
        .and_then(|()| fs::copy(program, &copy))
        .map_err(|error| error.to_string())?;
    Process::start(quiet(&copy).stdout(Stdio::null()))
}

fn raised() -> Result {
    let daemon = limited(256, 4096, &["--command", "nobody"])?;
    let most = daemon.value("process_max_fds");
    match most == Some(4096.0) {
        true => Ok(()),
        false => Err(format!("the limit is {most:?}")),
    }
}
