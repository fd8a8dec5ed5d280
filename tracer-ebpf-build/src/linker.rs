//! Finding bpf-linker.

use std::{env, path::PathBuf};

use anyhow::{Context as _, Result, ensure};

/// Looks in `GOSTUCK_BPF_LINKER`, in `PATH`, and where `cargo xtask setup` installs it.
pub(crate) fn find() -> Result<PathBuf> {
    if let Some(given) = env::var_os("GOSTUCK_BPF_LINKER") {
        let given = PathBuf::from(given);
        ensure!(
            given.is_file(),
            "GOSTUCK_BPF_LINKER={} is not a file",
            given.display()
        );
        return Ok(given);
    }
    let cache = env::var_os("XDG_CACHE_HOME")
        .filter(|cache| !cache.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .map(|cache| cache.join("gostuck/bin"));
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .chain(cache)
        .map(|directory| directory.join("bpf-linker"))
        .find(|candidate| candidate.is_file())
        .context(
            "bpf-linker was found neither in PATH nor in ~/.cache/gostuck/bin. One of these helps:\n  \
             cargo xtask setup --ebpf-only    (installs what is missing)\n  \
             cargo install bpf-linker\n  \
             GOSTUCK_BPF_LINKER=FILE cargo build",
        )
}
