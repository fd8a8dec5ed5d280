//! `tracer-user/crates/image/layouts/layouts.json`, generated from the debug information of real toolchains.

use anyhow::Result;
use clap::Args;
use testing::go;

use crate::{command, paths, setup};

/// Which versions to read.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Go versions, for example 1.25.3; all that the tests use unless given. Rows of other versions
    /// stay.
    versions: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let known = go::VERSIONS.into_iter().map(str::to_owned);
    let versions = if options.versions.is_empty() {
        known.collect()
    } else {
        options.versions.clone()
    };
    let root = paths::workspace();
    let mut binaries = Vec::new();
    for version in &versions {
        setup::go_toolchain(version)?;
        let binary = root.join("target/layouts").join(version);
        let mut go = go::command(version, &root.join("programs"));
        command::run(go.args(["build", "-o"]).arg(&binary).arg("./abba"))?;
        binaries.push(binary);
    }
    let mut cargo = command::cargo_command();
    cargo.current_dir(root).args([
        "run",
        "--quiet",
        "--package",
        "tracer-user",
        "--example",
        "layouts",
        "--",
    ]);
    command::run(
        cargo
            .arg(root.join("tracer-user/crates/image/layouts/layouts.json"))
            .args(binaries),
    )
}
