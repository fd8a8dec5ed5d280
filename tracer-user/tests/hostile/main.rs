//! What hostile programs and clients can do to gostuck, tried on the real binary.

mod crowd;
mod descriptors;
mod hanging;
mod images;
mod listener;
mod tables;
mod text;

use libtest_mimic::{Arguments, Trial};
use testing::{
    Result,
    go::NEWEST,
    trials::{self, Need},
};

/// The binary under test.
const GOSTUCK: &str = env!("CARGO_BIN_EXE_gostuck");

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

/// A trial that needs root and a Go toolchain.
fn trial(name: &str, run: fn() -> Result) -> Trial {
    trials::trial(name, &[Need::Root, Need::Go(NEWEST)], run)
}
