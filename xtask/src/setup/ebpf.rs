//! What compiles the BPF programs: a compiler with `core` for the BPF target, and bpf-linker.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use tracer_ebpf_build::{Committed, FROM_SOURCE, GIVEN};

use super::apt;
use crate::{
    command::{self, step},
    paths,
};

/// The bpf-linker that the project is tested with.
const LINKER_VERSION: &str = "0.13.0";
/// Debian's rustc that comes with a BPF `core`.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CORE: &str = "/usr/lib/rustlib/bpfel-unknown-none";

fn sysroot(command: &mut Command) -> Option<PathBuf> {
    let command = command
        .env_remove("RUSTUP_TOOLCHAIN")
        .args(["--print", "sysroot"]);
    command::output(command).map(PathBuf::from)
}

fn nightly_has_source() -> bool {
    sysroot(Command::new("rustup").args(["run", "nightly", "rustc"])).is_some_and(|root| {
        root.join("lib/rustlib/src/rust/library/core/Cargo.toml")
            .exists()
    })
}

/// Whether the build script of `tracer-user` is going to compile the BPF programs.
pub(super) fn is_needed() -> Result<bool> {
    if std::env::var_os(GIVEN).is_some() {
        step(&format!("BPF object: {GIVEN} names one"));
        return Ok(false);
    }
    if let Some(name) = FROM_SOURCE
        .iter()
        .find(|name| std::env::var_os(name).is_some())
    {
        step(&format!("BPF object: to be built, because of {name}"));
        return Ok(true);
    }
    let misfit = Committed::of(paths::workspace()).misfit()?;
    match &misfit {
        None => step("BPF object: the committed one is up to date"),
        Some(misfit) => step(&format!("BPF object: to be built, because {misfit}")),
    }
    Ok(misfit.is_some())
}

/// Installs what is missing for compiling them.
pub(super) fn install() -> Result<()> {
    toolchain()?;
    linker()
}

/// Makes sure that some compiler can build for BPF.
fn toolchain() -> Result<()> {
    if nightly_has_source() {
        step("eBPF toolchain: rustup's nightly with rust-src");
        return Ok(());
    }
    if Path::new(DEBIAN_CORE).is_dir() {
        step("eBPF toolchain: Debian's rustc-web with its BPF core");
        return Ok(());
    }
    if apt::usable() {
        step("eBPF toolchain: installing Debian's rustc-web and its BPF core (about 180 MB)");
        match apt::install(&["rustc-web", "libstd-rust-web-dev-bpf"]) {
            Ok(()) => return Ok(()),
            Err(error) => step(&format!("Debian's packages: {error:#}; trying rustup")),
        }
    }
    if paths::on_path("rustup").is_some() {
        step("eBPF toolchain: installing rustup's nightly with rust-src");
        let mut rustup = Command::new("rustup");
        rustup.args([
            "toolchain",
            "install",
            "nightly",
            "--profile",
            "minimal",
            "--component",
            "rust-src",
        ]);
        if command::run(&mut rustup).is_ok() && nightly_has_source() {
            return Ok(());
        }
    }
    bail!(
        "no compiler for BPF, and none could be installed. Either\n  \
         rustup toolchain install nightly --component rust-src\n  \
         apt-get install rustc-web libstd-rust-web-dev-bpf   (Debian, as root)\n  \
         or set GOSTUCK_EBPF_OBJECT to an object built elsewhere"
    )
}

/// Makes sure that there is a bpf-linker.
fn linker() -> Result<()> {
    let installed = paths::cache()?.join("bin/bpf-linker");
    if let Some(found) =
        paths::on_path("bpf-linker").or_else(|| installed.is_file().then(|| installed.clone()))
    {
        step(&format!("bpf-linker: found {}", found.display()));
        return Ok(());
    }
    step(&format!(
        "bpf-linker: building {LINKER_VERSION} (one or two minutes)"
    ));
    let mut cargo = command::cargo_command();
    cargo
        .args([
            "install",
            "bpf-linker",
            "--version",
            LINKER_VERSION,
            "--locked",
            "--root",
        ])
        .arg(paths::cache()?);
    if !nightly_has_source() {
        // It reads the compiler's bitcode: its LLVM must be at least as new as the compiler's.
        let llvm =
            llvm_of(DEBIAN_RUSTC).context("cannot tell the LLVM version of Debian's rustc")?;
        let prefix = PathBuf::from(format!("/usr/lib/llvm-{llvm}"));
        if !prefix.join("include/llvm-c").is_dir() {
            apt::install(&[&format!("llvm-{llvm}-dev")])?;
        }
        cargo.env("LLVM_PREFIX", prefix).args([
            "--no-default-features",
            "--features",
            &format!("llvm-{llvm}"),
        ]);
    }
    command::run(&mut cargo)
}

fn llvm_of(rustc: &str) -> Option<u32> {
    let version = command::output(
        Command::new(rustc)
            .env_remove("RUSTUP_TOOLCHAIN")
            .arg("-vV"),
    )?;
    let line = version
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    line.split('.').next()?.parse().ok()
}
