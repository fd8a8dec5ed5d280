//! What probes cost: docs/performance.md, "Probes".

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Runs the measurements that live beside the probe tests, as root.
pub(crate) fn run() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["test", "--package", "tracer-user", "--test", "probes", "--"])
        .args(["--test-threads=1", "--nocapture", "--include-ignored"])
        .args(["ping_pong_bare_and_probed", "the_cost_of_a_hit"])
        .status()
        .context("running cargo test")?;
    ensure!(status.success(), "the measurement failed: {status}");
    Ok(())
}
