//! Many at once: processes that do not answer, and programs that are probed. Neither holds up who waits
//! for the daemon.

use std::{
    ffi::OsStr,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use libtest_mimic::Trial;
use tempfile::TempDir;
use testing::{
    Result,
    daemon::Daemon,
    go::{Flavour, newest},
    process::{Process, quiet},
    wait::for_some,
};

use crate::{
    GOSTUCK,
    hanging::{daemon, ends, is_proven},
    trial,
};

/// Processes that do not answer: more than there are threads for looks of one kind.
const SILENT: usize = 12;
/// A deadlock elsewhere is found before the first of them counts as lost.
const FOUND: Duration = Duration::from_secs(5);
/// Programs that are probed, each another one to the kernel.
const PROGRAMS: usize = 60;
/// A user who is nobody else here.
const NOBODY: &str = "65534";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("many do not answer at once", silent_at_once),
        trial("the daemon ends beside many programs", ends_beside_many),
    ]
}

/// A folder that other users can read, too.
fn folder() -> Result<TempDir> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let open = fs::set_permissions(folder.path(), Permissions::from_mode(0o755));
    open.map_err(|error| error.to_string()).map(|()| folder)
}

/// A copy of `program`, which is another one to the kernel.
fn copy(program: &Path, to: PathBuf) -> Result<PathBuf> {
    let copied = fs::copy(program, &to);
    copied.map_err(|error| error.to_string()).map(|_| to)
}

/// `program` as run by a user whose processes are nobody else's.
fn of_nobody(program: &OsStr) -> Command {
    let mut command = Command::new("setpriv");
    let user = ["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
    command.args(["--pdeathsig", "KILL"]).args(user);
    command.arg(program);
    command
}

fn silent_at_once() -> Result {
    let folder = folder()?;
    let abba = copy(
        &newest("abba", Flavour::Stripped)?,
        folder.path().join("abba"),
    )?;
    let program = newest("hostile/userfault", Flavour::Plain)?;
    let daemon = daemon(&["--command", "abba"])?;
    let start = || {
        let mut command = quiet(&program);
        Process::start(command.arg("allgs").stdout(Stdio::null()))
    };
    let silent: Result<Vec<Process>> = (0..SILENT).map(|_| start()).collect();
    let _silent = silent?;
    for_some("the first of them to be listed", || {
        Ok(daemon
            .get("/api/v1/processes")
            .filter(|list| list.contains("userfault")))
    })?;
    let stuck = Process::ready(&mut of_nobody(abba.as_os_str()))?;
    let began = Instant::now();
    is_proven(&daemon, stuck.pid())?;
    let took = began.elapsed();
    assert!(took < FOUND, "{took:?}");
    assert_eq!(daemon.get("/healthz").as_deref(), Some("ok\n"));
    ends(&daemon)
}

fn ends_beside_many() -> Result {
    let folder = folder()?;
    let program = newest("rest-main", Flavour::Stripped)?;
    let start = |number| {
        let copy = copy(&program, folder.path().join(format!("many-{number}")))?;
        Process::start(quiet(&copy).stdout(Stdio::null()))
    };
    let running: Result<Vec<Process>> = (0..PROGRAMS).map(start).collect();
    let _running = running?;
    let mut command = quiet(GOSTUCK);
    command.args(["run", "--interval", "2s", "--budget", "50%"]);
    for number in 0..PROGRAMS {
        command.args(["--command", &format!("many-{number}")]);
    }
    let daemon = Daemon::start(command)?;
    for_some("all to be probed", || {
        let list = daemon.get("/api/v1/processes").unwrap_or_default();
        let probed = list.matches("\"mode\":\"events\"").count();
        Ok((probed == PROGRAMS).then_some(()))
    })?;
    ends(&daemon)
}
