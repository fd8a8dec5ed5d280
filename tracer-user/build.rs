//! Builds `tracer-ebpf` for the BPF target and leaves the object at `$OUT_DIR/gostuck-ebpf`, where
//! `probes/object.rs` embeds it. There is no build without the object.
//!
//! Routes, first match wins:
//! 1. `GOSTUCK_EBPF_OBJECT=FILE`: an object built elsewhere (release archives, distributions).
//! 2. A nightly toolchain of rustup with `rust-src`: `core` is built from source.
//!    `GOSTUCK_EBPF_TOOLCHAIN=NAME` names another toolchain.
//! 3. A rustc whose sysroot already holds `core` for BPF (Debian's `rustc-web` with
//!    `libstd-rust-web-dev-bpf`). `GOSTUCK_EBPF_RUSTC=FILE` names one.
//!
//! bpf-linker is taken from `GOSTUCK_BPF_LINKER`, `PATH`, or
//! `${XDG_CACHE_HOME:-$HOME/.cache}/gostuck/bin`, where `cargo xtask setup` installs it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail, ensure};

const PACKAGE: &str = "tracer-ebpf";
const OBJECT: &str = "gostuck-ebpf";
const TARGET: &str = "bpfel-unknown-none";

/// What decides the outcome besides the sources.
const INPUTS: [&str; 6] = [
    "GOSTUCK_EBPF_OBJECT",
    "GOSTUCK_EBPF_TOOLCHAIN",
    "GOSTUCK_EBPF_RUSTC",
    "GOSTUCK_BPF_LINKER",
    "XDG_CACHE_HOME",
    "HOME",
];

/// How `core` for BPF comes about.
enum Route {
    /// From source, by a rustup toolchain.
    BuildStd { toolchain: String },
    /// It lies ready in this compiler's sysroot.
    Prebuilt { rustc: PathBuf },
}

fn main() -> Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("this crate has no parent directory")?;
    for input in INPUTS {
        println!("cargo::rerun-if-env-changed={input}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    for package in [PACKAGE, "tracer-common"] {
        for part in ["src", "Cargo.toml"] {
            println!(
                "cargo::rerun-if-changed={}",
                workspace.join(package).join(part).display()
            );
        }
    }

    let destination = out.join(OBJECT);
    if let Some(ready) = env::var_os("GOSTUCK_EBPF_OBJECT") {
        let ready = PathBuf::from(ready);
        println!("cargo::rerun-if-changed={}", ready.display());
        fs::copy(&ready, &destination)
            .with_context(|| format!("copying GOSTUCK_EBPF_OBJECT={}", ready.display()))?;
        return Ok(());
    }
    let linker = find_linker()?;
    println!("cargo::rerun-if-changed={}", linker.display());
    let built = build(&choose_route()?, &linker, workspace, &out)?;
    fs::copy(&built, &destination)
        .with_context(|| format!("copying {} to {}", built.display(), destination.display()))?;
    Ok(())
}

/// A compiler's sysroot, or nothing when it cannot be run. Build scripts inherit `RUSTUP_TOOLCHAIN`
/// and `RUSTC`, which would pin the answer to the toolchain of the outer build.
fn sysroot(compiler: &mut Command) -> Option<PathBuf> {
    let output = compiler
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("RUSTC")
        .args(["--print", "sysroot"])
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

fn choose_route() -> Result<Route> {
    if let Ok(toolchain) = env::var("GOSTUCK_EBPF_TOOLCHAIN") {
        return Ok(Route::BuildStd { toolchain });
    }
    if let Some(rustc) = env::var_os("GOSTUCK_EBPF_RUSTC") {
        return Ok(Route::Prebuilt {
            rustc: rustc.into(),
        });
    }
    let nightly = sysroot(Command::new("rustup").args(["run", "nightly", "rustc"]));
    if nightly.is_some_and(|root| root.join("lib/rustlib/src/rust/library/core").is_dir()) {
        return Ok(Route::BuildStd {
            toolchain: "nightly".into(),
        });
    }
    for rustc in ["/usr/bin/rustc", "rustc"] {
        let root = sysroot(&mut Command::new(rustc));
        if root.is_some_and(|root| root.join("lib/rustlib").join(TARGET).join("lib").is_dir()) {
            return Ok(Route::Prebuilt {
                rustc: rustc.into(),
            });
        }
    }
    bail!(
        "no toolchain here can build gostuck's BPF object. One of these helps:\n  \
         cargo xtask setup                                         (installs what is missing)\n  \
         rustup toolchain install nightly --component rust-src     (machines with rustup)\n  \
         apt-get install rustc-web libstd-rust-web-dev-bpf         (Debian)\n  \
         GOSTUCK_EBPF_OBJECT=FILE cargo build                      (an object built elsewhere)"
    )
}

fn find_linker() -> Result<PathBuf> {
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
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .map(|cache| cache.join("gostuck/bin"));
    env::split_paths(&env::var_os("PATH").unwrap_or_default())
        .chain(cache)
        .map(|directory| directory.join("bpf-linker"))
        .find(|candidate| candidate.is_file())
        .context(
            "bpf-linker was found neither in PATH nor in ~/.cache/gostuck/bin. One of these helps:\n  \
             cargo xtask setup                (installs what is missing)\n  \
             cargo install bpf-linker\n  \
             GOSTUCK_BPF_LINKER=FILE cargo build",
        )
}

/// Runs cargo on `tracer-ebpf` and returns the object's path.
fn build(route: &Route, linker: &Path, workspace: &Path, out: &Path) -> Result<PathBuf> {
    let mut cargo = match route {
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
    };
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").context("CARGO_CFG_TARGET_ARCH")?;
    let flags = [
        format!("--cfg=bpf_target_arch=\"{architecture}\""),
        "-Cdebuginfo=2".into(),
        "-Clink-arg=--btf".into(),
        format!("-Clinker={}", linker.display()),
    ]
    .join("\x1f");
    // cargo locks the outer target directory for as long as this script runs.
    let target_directory = out.join("ebpf");
    cargo
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CARGO_BUILD_TARGET")
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        // bpf-linker does the whole-program optimisation.
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .current_dir(workspace)
        .args(["--locked", "--release", "--bins"])
        .args(["--package", PACKAGE, "--target", TARGET])
        .arg("--target-dir")
        .arg(&target_directory);
    let output = cargo
        .output()
        .with_context(|| format!("running {cargo:?}"))?;
    ensure!(
        output.status.success(),
        "{cargo:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(target_directory.join(TARGET).join("release").join(OBJECT))
}
