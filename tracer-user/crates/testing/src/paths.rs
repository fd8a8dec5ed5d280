//! Where things are: the workspace, what setup installs, and what tests build.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Returns the root of the checkout.
pub fn workspace() -> &'static Path {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(3).unwrap_or(crate_folder)
}

/// Returns the folder of the Go programs that tests run.
pub fn programs() -> PathBuf {
    workspace().join("programs")
}

/// Returns `${XDG_CACHE_HOME:-$HOME/.cache}/gostuck`, where setup installs tools for all checkouts of
/// a user, or `None` if neither variable is set.
pub fn cache() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let base = match set("XDG_CACHE_HOME") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(set("HOME")?).join(".cache"),
    };
    Some(base.join("gostuck"))
}

/// Returns where setup installs the `go` command of a version.
pub fn go(version: &str) -> Option<PathBuf> {
    Some(cache()?.join("go").join(version).join("go/bin/go"))
}

/// Returns the folder for what tests build, in cargo's target folder.
pub fn scratch() -> PathBuf {
    // A test is target/PROFILE/deps/NAME; it is not told where that is when it runs.
    let this = env::current_exe().ok();
    let target = this.as_deref().and_then(|this| {
        this.ancestors()
            .find(|path| path.join("CACHEDIR.TAG").is_file())
    });
    match target {
        Some(target) => target.join("tmp"),
        None => workspace().join("target/tmp"),
    }
}

/// Returns the first file called `program` on PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut files = env::split_paths(&path).map(|folder| folder.join(program));
    files.find(|file| file.is_file())
}
