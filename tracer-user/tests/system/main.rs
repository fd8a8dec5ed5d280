//! The binary as people run it: on core files, as a daemon behind TLS and under Kubernetes, in a
//! browser and in a terminal, in containers, without probes, on goroutines that run, and with no more privileges than the unit and the
//! chart grant.

mod container;
mod core_file;
mod ending;
mod explaining;
mod glances;
#[allow(
    dead_code,
    reason = "each test binary uses its own part of the shared module"
)]
#[path = "../support/go.rs"]
mod go;
mod kubernetes;
mod memory;
mod memory_cgroup;
mod page;
mod privileges;
mod recording;
mod running;
mod sampled;
mod terminal;
mod tls;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let trials = [
        core_file::trials(),
        ending::trials(),
        explaining::trials(),
        glances::trials(),
        container::trials(),
        kubernetes::trials(),
        memory::trials(),
        page::trials(),
        privileges::trials(),
        recording::trials(),
        sampled::trials(),
        terminal::trials(),
        tls::trials(),
    ];
    libtest_mimic::run(
        &Arguments::from_args(),
        trials.into_iter().flatten().collect(),
    )
    .exit();
}

/// A trial that needs root, a Go toolchain and `tools`; named as ignored where one is missing.
fn trial(
    name: &str,
    tools: &[&str],
    run: impl FnOnce() -> Result<(), String> + Send + 'static,
) -> Trial {
    let missing: Vec<&str> = tools
        .iter()
        .filter(|tool| !running::on_path(tool))
        .copied()
        .collect();
    let able =
        missing.is_empty() && nix::unistd::geteuid().is_root() && !go::installed().is_empty();
    let name = match &missing[..] {
        [] => name.to_owned(),
        missing => format!("{name} (needs {})", missing.join(", ")),
    };
    Trial::test(name, move || run().map_err(Into::into)).with_ignored_flag(!able)
}
