//! Finding what can compile for BPF.
//!
//! Routes, first match wins:
//! 1. A nightly toolchain of rustup with `rust-src`: `core` is built from source.
//!    `GOSTUCK_EBPF_TOOLCHAIN=NAME` names another toolchain.
//! 2. A rustc whose sysroot already holds `core` for BPF (Debian's `rustc-web` with
//!    `libstd-rust-web-dev-bpf`). `GOSTUCK_EBPF_RUSTC=FILE` names one.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{TARGET, linker};

/// The variables of the environment that decide which toolchain is found.
pub const INPUTS: [&str; 5] = [
    "GOSTUCK_EBPF_TOOLCHAIN",
    "GOSTUCK_EBPF_RUSTC",
    "GOSTUCK_BPF_LINKER",
    "XDG_CACHE_HOME",
    "HOME",
];

/// How `core` for BPF comes about.
#[derive(Debug)]
pub(crate) enum Route {
    /// From source, by a rustup toolchain.
    BuildStd { toolchain: String },
    /// It lies ready in this compiler's sysroot.
    Prebuilt { rustc: PathBuf },
}

/// A compiler and a linker for BPF.
#[derive(Debug)]
pub struct Toolchain {
    pub(crate) route: Route,
    pub(crate) linker: PathBuf,
}

impl Toolchain {
    /// Finds one.
    ///
    /// # Errors
    /// When there is none; the text says how to come by one.
    pub fn find() -> Result<Self> {
        Ok(Self {
            route: choose()?,
            linker: linker::find()?,
        })
    }

    /// Where its linker is.
    #[must_use]
    pub fn linker(&self) -> &Path {
        &self.linker
    }

    /// The versions of compiler, LLVM and linker, in one line.
    ///
    /// # Errors
    /// When one of them cannot be run.
    pub fn versions(&self) -> Result<String> {
        let rustc = output(self.rustc().arg("-vV")).context("the compiler does not run")?;
        let mut lines = rustc.lines();
        let release = lines.next().unwrap_or_default().to_owned();
        let llvm = lines.find_map(|line| line.strip_prefix("LLVM version: "));
        let linker = output(Command::new(&self.linker).arg("--version"));
        let linker = linker.context("bpf-linker does not run")?;
        Ok(format!("{release}, LLVM {}, {linker}", llvm.unwrap_or("?")))
    }

    fn rustc(&self) -> Command {
        let mut command = match &self.route {
            Route::BuildStd { toolchain } => nightly(toolchain),
            Route::Prebuilt { rustc } => Command::new(rustc),
        };
        neutral(&mut command);
        command
    }
}

fn nightly(toolchain: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", toolchain, "rustc"]);
    command
}

/// Build scripts inherit `RUSTUP_TOOLCHAIN` and `RUSTC`, which would pin the answer to the toolchain
/// of the outer build.
fn neutral(command: &mut Command) -> &mut Command {
    command.env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTC")
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// A compiler's sysroot, or nothing when it cannot be run.
fn sysroot(mut compiler: Command) -> Option<PathBuf> {
    output(neutral(&mut compiler).args(["--print", "sysroot"])).map(PathBuf::from)
}

fn choose() -> Result<Route> {
    if let Ok(toolchain) = env::var("GOSTUCK_EBPF_TOOLCHAIN") {
        return Ok(Route::BuildStd { toolchain });
    }
    if let Some(rustc) = env::var_os("GOSTUCK_EBPF_RUSTC") {
        let rustc = rustc.into();
        return Ok(Route::Prebuilt { rustc });
    }
    let source = "lib/rustlib/src/rust/library/core/Cargo.toml";
    if sysroot(nightly("nightly")).is_some_and(|root| root.join(source).is_file()) {
        let toolchain = "nightly".into();
        return Ok(Route::BuildStd { toolchain });
    }
    for rustc in ["/usr/bin/rustc", "rustc"] {
        let libraries = Path::new("lib/rustlib").join(TARGET).join("lib");
        if sysroot(Command::new(rustc)).is_some_and(|root| root.join(libraries).is_dir()) {
            let rustc = rustc.into();
            return Ok(Route::Prebuilt { rustc });
        }
    }
    bail!(
        "no toolchain here can build gostuck's BPF object. One of these helps:\n  \
         cargo xtask setup --ebpf-only                             (installs what is missing)\n  \
         rustup toolchain install nightly --component rust-src     (machines with rustup)\n  \
         apt-get install rustc-web libstd-rust-web-dev-bpf         (Debian)\n  \
         GOSTUCK_EBPF_OBJECT=FILE cargo build                      (an object built elsewhere)"
    )
}
