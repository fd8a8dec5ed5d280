//! Debian's package manager.

use std::{process::Command, sync::OnceLock};

use anyhow::{Result, bail};

use crate::{
    command::{self, is_root, step},
    paths,
};

/// Whether packages can be installed here: Debian or a child of it, and root.
pub(super) fn usable() -> bool {
    is_root() && paths::on_path("apt-get").is_some()
}

/// Installs `packages`, updating the package lists once before.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    static UPDATED: OnceLock<bool> = OnceLock::new();
    if !usable() {
        bail!("needs root to run: apt-get install {}", packages.join(" "));
    }
    let updated = *UPDATED.get_or_init(|| command::run(apt_get().args(["update", "-q"])).is_ok());
    if !updated {
        bail!("apt-get update failed: is the network up?");
    }
    command::run(
        apt_get()
            .args(["install", "-qy", "--no-install-recommends"])
            .args(packages),
    )
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Installs `package` if `program` is missing, and only says so when that fails: the tests that
/// need it name themselves as skipped.
pub(super) fn want(program: &str, package: &str) {
    if let Some(path) = paths::on_path(program) {
        step(&format!("{program}: found {}", path.display()));
    } else if let Err(error) = install(&[package]) {
        step(&format!(
            "{program}: not installed ({error:#}); tests that need it are skipped"
        ));
    }
}
