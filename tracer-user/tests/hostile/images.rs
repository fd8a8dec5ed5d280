//! Executables whose headers claim what is not there: refused with the reason, at no cost in memory.

use std::{
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use libtest_mimic::Trial;
use tempfile::TempDir;
use wait4::Wait4 as _;

use crate::{
    go::{self, Flavour},
    running::{Daemon, GOSTUCK, Running, built, dying_with_us, output, wait_for},
    trial,
};

/// More than a look at any of these files takes: an eighth of what the unit allows the daemon.
const MEMORY: u64 = 100_000_000;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("doctor refuses executables that claim too much", doctor),
        trial(
            "the daemon works beside executables that claim too much",
            daemon,
        ),
    ]
}

/// A script of `programs/hostile/images`, with what it changes and what is said of the result.
struct Kind {
    script: &'static str,
    of: Option<Flavour>,
    /// `None` where the rest of the file is good enough.
    refused: Option<&'static str>,
}

const KINDS: [Kind; 6] = [
    Kind {
        script: "section_table",
        of: None,
        refused: Some("its section table claims 691 MB"),
    },
    Kind {
        script: "symbol_table",
        of: Some(Flavour::Plain),
        refused: Some("its symbol table claims 3 GB"),
    },
    Kind {
        script: "relocations",
        of: Some(Flavour::Pie),
        refused: Some("its table of relocations claims 3 GB"),
    },
    Kind {
        script: "compressed",
        of: Some(Flavour::Plain),
        refused: None,
    },
    Kind {
        script: "long",
        of: Some(Flavour::Plain),
        refused: Some("the file is 1073 GB long"),
    },
    Kind {
        script: "pclntabs",
        of: None,
        refused: Some("no table found that a runtime.moduledata points to"),
    },
];

/// The files, which all can be run.
struct Files {
    folder: TempDir,
}

impl Files {
    fn made() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let files = Self { folder };
        for kind in &KINDS {
            files.make(kind)?;
        }
        Ok(files)
    }

    fn path(&self, kind: &Kind) -> PathBuf {
        self.folder.path().join(format!("claims-{}", kind.script))
    }

    fn make(&self, kind: &Kind) -> Result<(), String> {
        let script = format!("hostile/images/{}.py", kind.script);
        let mut arguments = vec!["-B".into(), go::folder().join(script), self.path(kind)];
        if let Some(flavour) = kind.of {
            arguments.push(built("abba", flavour)?);
        }
        let made = output("python3", &arguments)?;
        match made.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&made.stderr).into_owned()),
        }
    }
}

fn doctor() -> Result<(), String> {
    let files = Files::made()?;
    let wrong: Vec<String> = KINDS
        .iter()
        .filter_map(|kind| is_refused(kind, &files.path(kind)).err())
        .collect();
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("\n")),
    }
}

fn is_refused(kind: &Kind, file: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut child = Command::new(GOSTUCK)
        .args(["doctor", "--image"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut said = String::new();
    if let Some(mut errors) = child.stderr.take() {
        errors.read_to_string(&mut said).map_err(failed)?;
    }
    let end = child.wait4().map_err(failed)?;
    let as_told = match kind.refused {
        Some(reason) => end.status.code() == Some(1) && said.contains(reason),
        None => end.status.success() && said.is_empty(),
    };
    if as_told && end.rusage.maxrss < MEMORY {
        return Ok(());
    }
    let (script, memory) = (kind.script, end.rusage.maxrss / 1_000_000);
    Err(format!("{script}: {}, {memory} MB: {said}", end.status))
}

/// All of them run, and a deadlock elsewhere is found nevertheless.
fn daemon() -> Result<(), String> {
    let files = Files::made()?;
    let log = files.folder.path().join("log");
    let mut running = Vec::new();
    for kind in &KINDS {
        let mut command = dying_with_us(files.path(kind).as_os_str());
        let process = Running::spawn(command.stdout(Stdio::null()))?;
        running.push((kind, process));
    }
    let mut command = dying_with_us(GOSTUCK.as_ref());
    command.args(["run", "--interval", "1s", "--budget", "50%"]);
    let commands = ["abba".to_owned()].into_iter();
    let commands = commands.chain(KINDS.map(|kind| format!("claims-{}", kind.script)));
    for name in commands {
        command.args(["--command", &name]);
    }
    let daemon = Daemon::logging(command, &log)?;
    let abba = files.folder.path().join("abba");
    fs::copy(built("abba", Flavour::Stripped)?, &abba).map_err(|error| error.to_string())?;
    let stuck = Running::ready(&abba)?;
    wait_for("the deadlock elsewhere", || {
        let listed = daemon.in_list(stuck.pid())?;
        Ok(listed.filter(|process| process["findings"]["proven"] == 1))
    })?;
    for (kind, process) in &running {
        let Some(reason) = kind.refused else { continue };
        let pid = format!("pid={}", process.pid());
        wait_for(&format!("{} to be named", kind.script), || {
            let log = fs::read_to_string(&log).unwrap_or_default();
            let mut lines = log.lines();
            Ok(lines
                .find(|line| line.contains(&pid) && line.contains(reason))
                .map(drop))
        })?;
    }
    let peak = peak(daemon.pid())?;
    match peak < MEMORY {
        true => Ok(()),
        false => Err(format!("the daemon took {} MB", peak / 1_000_000)),
    }
}

/// The most memory that a process has had, in bytes.
fn peak(pid: u32) -> Result<u64, String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let kilobytes: Option<u64> = peak.and_then(|peak| peak.parse().ok());
    kilobytes
        .map(|kb| kb * 1024)
        .ok_or_else(|| "the daemon has ended".to_owned())
}

impl Daemon {
    /// Starts it by `command`, with its log in the file `log`.
    fn logging(command: Command, log: &Path) -> Result<Self, String> {
        File::create(log).map_err(|error| error.to_string())?;
        let mut shell = dying_with_us("sh".as_ref());
        shell.args(["-c", "log=$1; shift; exec \"$@\" 2>\"$log\"", "sh"]);
        shell
            .arg(log)
            .arg(command.get_program())
            .args(command.get_args());
        shell.stdout(Stdio::null());
        Self::start_by(shell)
    }

    /// What the list says of the process `pid`, if it is in it.
    pub(crate) fn in_list(&self, pid: u32) -> Result<Option<serde_json::Value>, String> {
        let list = self.get("/api/v1/processes");
        let list = list.map(|text| crate::running::json(&text)).transpose()?;
        Ok(list.and_then(|list| {
            let mut processes = list["processes"].as_array()?.iter();
            processes.find(|process| process["pid"] == pid).cloned()
        }))
    }
}
