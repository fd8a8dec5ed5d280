//! Random programs whose truth is known, looked at for as long as one likes: docs/verdicts.md.

use anyhow::Result;
use clap::Args;

use crate::command;

/// What to try, for how long.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// With the release build of gostuck, which looks faster and takes minutes to build
    #[arg(long)]
    release: bool,
    /// --looks N, --seeds A..B, --for 10m, --go 1.21,1.27, --strip, --opt -N-l, --cgo, --each N,
    /// --each-for 25s, --jobs N, --failures DIR; see `-- --help`
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "OPTIONS"
    )]
    options: Vec<String>,
}

/// Runs the test `soundness` as a campaign; it fails when anything was wrong.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut cargo = command::cargo_command();
    cargo.args(["test", "--locked", "--package", "tracer-user"]);
    if options.release {
        cargo.arg("--release");
    }
    cargo
        .args(["--test", "soundness", "--", "campaign"])
        .args(&options.options);
    command::run(&mut cargo)
}
