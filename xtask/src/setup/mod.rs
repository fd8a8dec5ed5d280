//! Installs what is missing, and nothing else. Each step says what it found or does.

mod apt;
mod ebpf;
mod go;
mod helm;
mod mounts;
mod pypi;

use anyhow::Result;
use clap::Args;
use testing::go::{NEWEST, VERSIONS};

pub(crate) use go::toolchain as go_toolchain;
pub(crate) use helm::program as helm_program;
pub(crate) use mounts::mount_all;

/// What to set up.
#[derive(Debug, Default, Args)]
pub(crate) struct Options {
    /// Only what building the BPF object needs, whether or not the committed one is up to date.
    #[arg(long)]
    pub(crate) ebpf_only: bool,
    /// Every Go toolchain that the tests use, not just the newest.
    #[arg(long)]
    pub(crate) all_go: bool,
    /// Programs that only tests use: Prometheus, Alertmanager, gdb's gcore, strip, curl, tmux,
    /// Chromium, podman with runc, Helm.
    #[arg(long)]
    pub(crate) test_tools: bool,
}

/// Installs what building gostuck needs: nothing, as long as the committed BPF object is used.
pub(crate) fn for_building() -> Result<()> {
    if ebpf::is_needed()? {
        ebpf::install()?;
    }
    Ok(())
}

/// Installs what building the fuzzer needs: a C++ compiler, for libFuzzer.
pub(crate) fn for_fuzzing() -> Result<()> {
    apt::want("c++", "g++");
    for_building()
}

/// Installs whatever `options` ask for and is not there.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.ebpf_only {
        return ebpf::install();
    }
    for_building()?;
    mount_all();
    let versions = if options.all_go {
        &VERSIONS[..]
    } else {
        &[NEWEST]
    };
    for version in versions {
        go::toolchain(version)?;
    }
    if options.test_tools {
        for (program, package) in [
            ("prometheus", "prometheus"),
            ("prometheus-alertmanager", "prometheus-alertmanager"),
            ("gcore", "gdb"),
            ("strip", "binutils"),
            ("curl", "curl"),
            ("tmux", "tmux"),
            ("chromium", "chromium"),
            ("podman", "podman"),
            ("runc", "runc"),
        ] {
            apt::want(program, package);
        }
        helm::want();
    }
    Ok(())
}
