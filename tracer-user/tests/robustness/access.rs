//! Processes that may not be read, or are none of ours.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use testing::{
    Result,
    process::{Process, quiet},
};

use crate::{
    gostuck::{self, BINARY, copy},
    target::{fickle, ready},
};

pub(crate) fn denied() -> Result {
    let target = ready(&fickle()?, &["crowd", "10"])?;
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(directory.path(), everybody).map_err(|error| error.to_string())?;
    let binary = copy(Path::new(BINARY), directory.path(), "gostuck")?;
    let pid = target.pid().to_string();
    for command in ["inspect", "watch"] {
        let mut nobody = Command::new("setpriv");
        nobody
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&binary);
        gostuck::run_as(nobody, &[command, &pid])?.refuses("ermission denied")?;
    }
    Ok(())
}

pub(crate) fn no_such_process() -> Result {
    // Beyond the largest pid there can be.
    for command in ["inspect", "watch"] {
        gostuck::run(&[command, "4194305"])?.refuses("no process 4194305")?;
    }
    Ok(())
}

pub(crate) fn not_go() -> Result {
    let mut sleep = quiet("sleep");
    let sleep = Process::start(sleep.arg("60").stdout(Stdio::null()))?;
    let pid = sleep.pid().to_string();
    for command in ["inspect", "watch"] {
        gostuck::run(&[command, &pid])?.refuses("not a Go program")?;
    }
    Ok(())
}
