//! The binary as people run it: on core files, as a daemon behind TLS and under Kubernetes, in a
//! browser and in a terminal, in containers, without probes, on goroutines that run, and with no more privileges than the unit and the
//! chart grant.

mod container;
mod core_file;
mod ending;
mod explaining;
mod glances;
mod kubernetes;
mod memory;
mod page;
mod privileges;
mod recording;
mod sampled;
mod terminal;
mod tls;

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

/// A trial that needs root, the newest Go and `programs`.
fn trial(
    name: &str,
    programs: &[&'static str],
    run: impl FnOnce() -> Result + Send + 'static,
) -> Trial {
    let mut needs = vec![Need::Root, Need::Go(NEWEST)];
    needs.extend(programs.iter().map(|program| Need::Program(program)));
    trials::trial(name, &needs, run)
}
