//! The Debian package: what is in it stands in `tracer-user/Cargo.toml`.

use anyhow::Result;

use crate::{
    command::{self, step},
    setup,
};

/// Builds the package into `target/debian`, installing cargo-deb first where it is missing.
pub(crate) fn run() -> Result<()> {
    setup::for_building()?;
    let version = command::cargo_command().args(["deb", "--version"]).output();
    if version.is_ok_and(|output| output.status.success()) {
        step("cargo-deb: found");
    } else {
        step("cargo-deb: installing");
        command::cargo(["install", "--locked", "cargo-deb"])?;
    }
    command::cargo(["deb", "--locked", "--package", "tracer-user"])
}
