//! Leaves the BPF object at `$OUT_DIR/gostuck-ebpf`, where `probes/object.rs` embeds it. There is no
//! build without the object.
//!
//! First match wins:
//! 1. `GOSTUCK_EBPF_OBJECT=FILE`: an object built elsewhere.
//! 2. `GOSTUCK_EBPF_FROM_SOURCE=1`, or a variable that names a toolchain: built here.
//! 3. The committed object, if the sources are those that it was built of.
//! 4. Built here.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use tracer_ebpf_build::{Committed, FROM_SOURCE, GIVEN, INPUTS, PACKAGES, Toolchain};

fn main() -> Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(3)
        .context("this crate is not in its workspace")?;
    depends_on_file(Path::new("build.rs"));
    for variable in FROM_SOURCE.iter().chain(&[GIVEN]) {
        depends_on_variable(variable);
    }
    let object = object(workspace, &out)?;
    let destination = out.join("gostuck-ebpf");
    fs::copy(&object, &destination)
        .with_context(|| format!("copying {} to {}", object.display(), destination.display()))?;
    Ok(())
}

/// Where the object is that is to be embedded.
fn object(workspace: &Path, out: &Path) -> Result<PathBuf> {
    if let Some(given) = env::var_os(GIVEN) {
        let given = PathBuf::from(given);
        depends_on_file(&given);
        return Ok(given);
    }
    for package in PACKAGES {
        for part in ["src", "Cargo.toml"] {
            depends_on_file(&workspace.join(package).join(part));
        }
    }
    let committed = Committed::of(workspace);
    depends_on_file(&committed.record());
    depends_on_file(&workspace.join("Cargo.lock"));
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").context("CARGO_CFG_TARGET_ARCH")?;
    if !FROM_SOURCE.iter().any(|name| env::var_os(name).is_some()) {
        let Some(misfit) = committed.misfit()? else {
            let object = committed.object(&architecture);
            depends_on_file(&object);
            return Ok(object);
        };
        println!(
            "cargo::warning=the committed BPF object is out of date: {misfit}. Building it; \
             `cargo xtask ebpf` renews it"
        );
    }
    for variable in INPUTS {
        depends_on_variable(variable);
    }
    let toolchain = Toolchain::find()?;
    depends_on_file(toolchain.linker());
    toolchain.compile(workspace, &architecture, &out.join("ebpf"))
}

fn depends_on_file(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}

fn depends_on_variable(name: &str) {
    println!("cargo::rerun-if-env-changed={name}");
}
