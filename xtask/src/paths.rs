//! Where things are: the workspace, and what setup installs beside it.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result};
pub(crate) use testing::paths::{on_path, workspace};

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => workspace().join(dir),
        None => workspace().join("target"),
    }
}

/// Where tools are installed, for all checkouts of a user.
pub(crate) fn cache() -> Result<PathBuf> {
    testing::paths::cache().context("neither XDG_CACHE_HOME nor HOME is set")
}

/// The Go command of an installed toolchain.
pub(crate) fn go(version: &str) -> Result<PathBuf> {
    testing::paths::go(version).context("neither XDG_CACHE_HOME nor HOME is set")
}
