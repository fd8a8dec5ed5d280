//! Executables whose headers claim what is not there: refused with the reason, at no cost in memory.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use libtest_mimic::Trial;
use tempfile::TempDir;
use testing::{
    Result,
    daemon::Daemon,
    go::{Flavour, newest},
    paths,
    process::{Process, output, quiet},
    wait::for_some,
};
use wait4::Wait4 as _;

use crate::{GOSTUCK, trial};

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
    fn made() -> Result<Self> {
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

    fn make(&self, kind: &Kind) -> Result {
        let script = format!("hostile/images/{}.py", kind.script);
        let mut arguments = vec!["-B".into(), paths::programs().join(script), self.path(kind)];
        if let Some(flavour) = kind.of {
            arguments.push(newest("abba", flavour)?);
        }
        let made = output("python3", &arguments)?;
        match made.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&made.stderr).into_owned()),
        }
    }
}

fn doctor() -> Result {
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

fn is_refused(kind: &Kind, file: &Path) -> Result {
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
fn daemon() -> Result {
    let files = Files::made()?;
    let mut running = Vec::new();
    for kind in &KINDS {
        let mut command = quiet(files.path(kind));
        let process = Process::start(command.stdout(Stdio::null()))?;
        running.push((kind, process));
    }
    let mut command = quiet(GOSTUCK);
    command.args(["run", "--interval", "1s", "--budget", "50%"]);
    let commands = ["abba".to_owned()].into_iter();
    let commands = commands.chain(KINDS.map(|kind| format!("claims-{}", kind.script)));
    for name in commands {
        command.args(["--command", &name]);
    }
    let daemon = Daemon::start(command)?;
    let abba = files.folder.path().join("abba");
    fs::copy(newest("abba", Flavour::Stripped)?, &abba).map_err(|error| error.to_string())?;
    let stuck = Process::run(&abba)?;
    for_some("the deadlock elsewhere", || {
        let listed = daemon.process_of(stuck.pid());
        Ok(listed.filter(|process| process["findings"]["proven"] == 1))
    })?;
    for (kind, process) in &running {
        let Some(reason) = kind.refused else { continue };
        let pid = format!("pid={}", process.pid());
        for_some(&format!("{} to be named", kind.script), || {
            let log = daemon.log();
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
fn peak(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let kilobytes: Option<u64> = peak.and_then(|peak| peak.parse().ok());
    kilobytes
        .map(|kb| kb * 1024)
        .ok_or_else(|| "the daemon has ended".to_owned())
}
