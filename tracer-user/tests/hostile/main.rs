//! What hostile programs and clients can do to gostuck, tried on the real binary.

mod crowd;
mod descriptors;
#[allow(
    dead_code,
    reason = "each test binary uses its own part of the shared module"
)]
#[path = "../support/go.rs"]
mod go;
mod hanging;
mod images;
mod listener;
#[path = "../system/memory_cgroup.rs"]
mod memory_cgroup;
#[allow(
    dead_code,
    reason = "each test binary uses its own part of the shared module"
)]
#[path = "../system/running.rs"]
mod running;
mod tables;
mod text;

use libtest_mimic::{Arguments, Trial};

fn main() {
    let trials = [
        crowd::trials(),
        descriptors::trials(),
        hanging::trials(),
        images::trials(),
        listener::trials(),
        tables::trials(),
        text::trials(),
    ];
    let trials = trials.into_iter().flatten().collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// A trial that needs root and a Go toolchain; named as ignored where one is missing.
fn trial(name: &str, run: fn() -> Result<(), String>) -> Trial {
    let able = nix::unistd::geteuid().is_root() && !go::installed().is_empty();
    Trial::test(name, move || run().map_err(Into::into)).with_ignored_flag(!able)
}
