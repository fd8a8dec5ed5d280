//! The Debian package: what is in it stands in `tracer-user/Cargo.toml`.

use std::process::Command;

use anyhow::Result;

use crate::{
    command::{self, step},
    setup,
};

/// Builds the package into `target/debian`, installing cargo-deb first where it is missing.
pub(crate) fn run() -> Result<()> {
    setup::run(&setup::Options {
        ebpf_only: true,
        ..setup::Options::default()
    })?;
    let version = Command::new(command::cargo_program())
        .args(["deb", "--version"])
        .output();
    if version.is_ok_and(|output| output.status.success()) {
        step("cargo-deb: found");
    } else {
        step("cargo-deb: installing");
        command::cargo(["install", "--locked", "cargo-deb"])?;
    }
    command::cargo(["deb", "--locked", "--package", "tracer-user"])
}
