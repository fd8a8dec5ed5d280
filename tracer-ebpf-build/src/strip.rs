//! Taking the debug information out of an object. bpf-linker needs it to write BTF, which is all
//! that the loader reads; it is nine tenths of the object.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

/// Strips `object` into `stripped`.
pub(crate) fn strip(object: &Path, stripped: &Path) -> Result<()> {
    let mut objcopy = Command::new(objcopy().context(
        "no objcopy that knows BPF: neither rust-objcopy beside rustc nor llvm-objcopy in PATH",
    )?);
    objcopy.arg("--strip-debug").args([object, stripped]);
    let output = objcopy
        .output()
        .with_context(|| format!("running {objcopy:?}"))?;
    ensure!(
        output.status.success(),
        "{objcopy:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// LLVM's objcopy: the one that comes with the pinned compiler, or one in `PATH`.
fn objcopy() -> Option<PathBuf> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let target = Command::new(rustc)
        .args(["--print", "target-libdir"])
        .output()
        .ok()?;
    let libraries = PathBuf::from(String::from_utf8_lossy(&target.stdout).trim());
    let own = libraries.parent().map(|home| home.join("bin/rust-objcopy"));
    let path = env::var_os("PATH").unwrap_or_default();
    let others = env::split_paths(&path).map(|directory| directory.join("llvm-objcopy"));
    own.into_iter().chain(others).find(|file| file.is_file())
}
