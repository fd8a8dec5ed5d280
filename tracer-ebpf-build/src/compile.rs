//! Compiling `tracer-ebpf`: all that decides how the object comes out, and is neither a source nor
//! the toolchain, stands in this file, which therefore counts as a source itself.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    TARGET, strip,
    toolchain::{Route, Toolchain},
};

const PACKAGE: &str = "tracer-ebpf";
const OBJECT: &str = "gostuck-ebpf";
/// The whole profile: the workspace's own is for programs on the host.
const PROFILE: [(&str, &str); 7] = [
    ("OPT_LEVEL", "3"),
    ("CODEGEN_UNITS", "1"),
    // bpf-linker writes BTF from it.
    ("DEBUG", "2"),
    // bpf-linker does the whole-program optimisation.
    ("LTO", "off"),
    ("OVERFLOW_CHECKS", "false"),
    ("DEBUG_ASSERTIONS", "false"),
    ("STRIP", "none"),
];

impl Toolchain {
    /// Builds the object for hosts of `architecture` below `directory`, and returns its path. Where
    /// it is built leaves no trace in it: the same toolchain makes the same bytes everywhere.
    ///
    /// # Errors
    /// When cargo or the compiler fails.
    pub fn compile(
        &self,
        workspace: &Path,
        architecture: &str,
        directory: &Path,
    ) -> Result<PathBuf> {
        let directory = directory.join(architecture);
        let mut cargo = self.cargo()?;
        for (key, value) in PROFILE {
            cargo.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
        }
        cargo
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTC_WORKSPACE_WRAPPER")
            .env_remove("CARGO_BUILD_TARGET")
            .env(
                "CARGO_ENCODED_RUSTFLAGS",
                self.flags(workspace, architecture),
            )
            .current_dir(workspace)
            .args(["--locked", "--release", "--bins"])
            .args(["--package", PACKAGE, "--target", TARGET])
            .arg("--target-dir")
            // cargo locks the outer target directory for as long as a build script runs.
            .arg(&directory);
        let output = cargo
            .output()
            .with_context(|| format!("running {cargo:?}"))?;
        ensure!(
            output.status.success(),
            "{cargo:?} failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let built = directory.join(TARGET).join("release").join(OBJECT);
        let stripped = directory.join(OBJECT);
        strip::strip(&built, &stripped)?;
        Ok(stripped)
    }

    fn cargo(&self) -> Result<Command> {
        Ok(match &self.route {
            Route::BuildStd { toolchain } => {
                let mut cargo = Command::new("rustup");
                cargo.args(["run", toolchain, "cargo", "build", "-Zbuild-std=core"]);
                // Nothing on nightly; lets a stable toolchain with rust-src take this route too.
                cargo.env_remove("RUSTC").env("RUSTC_BOOTSTRAP", "1");
                cargo
            }
            Route::Prebuilt { rustc } => {
                let mut cargo = Command::new(env::var_os("CARGO").context("CARGO is not set")?);
                cargo.arg("build");
                // aya-ebpf turns on asm_experimental_arch for BPF; no other crate may use features.
                cargo.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "aya_ebpf");
                cargo
            }
        })
    }

    fn flags(&self, workspace: &Path, architecture: &str) -> OsString {
        let mut flags = vec![
            format!("--cfg=bpf_target_arch=\"{architecture}\"").into(),
            "-Clink-arg=--btf".into(),
            joined(&["-Clinker=".as_ref(), self.linker.as_os_str()]),
        ];
        let mut rename = |from: &Path, to: &str| {
            flags.push(joined(&[
                "--remap-path-prefix=".as_ref(),
                from.as_os_str(),
                "=".as_ref(),
                to.as_ref(),
            ]));
        };
        rename(workspace, "gostuck");
        for registry in registries() {
            rename(&registry, "registry");
        }
        flags.join("\x1f".as_ref())
    }
}

fn joined(parts: &[&std::ffi::OsStr]) -> OsString {
    parts.iter().copied().collect()
}

/// Where cargo unpacks packages: one folder for each registry.
fn registries() -> Vec<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let sources = home.map(|home| home.join("registry/src"));
    let entries = sources.and_then(|sources| fs::read_dir(sources).ok());
    let entries = entries.into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
