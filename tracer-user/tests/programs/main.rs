//! End to end: every program of `programs/` is built with real Go toolchains, run, and looked at by
//! the real `gostuck`. What must be found stands in each program's header (see `expectation.rs`).

mod cgroup;
mod expectation;
#[path = "../support/go.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod go;
#[path = "../support/json_schema.rs"]
mod json_schema;
mod look;

use std::{num::NonZeroUsize, thread};

use libtest_mimic::{Arguments, Failed, Trial};

use expectation::{Header, Matrix};
use go::{Flavour, Toolchain};

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert_with(trials_at_a_time);
    let trials = trials().unwrap_or_else(|error| {
        eprintln!("cannot list the programs: {error}");
        std::process::exit(101);
    });
    libtest_mimic::run(&arguments, trials).exit();
}

/// A trial mostly waits for time to pass in its program.
fn trials_at_a_time() -> usize {
    2 * thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn trials() -> Result<Vec<Trial>, String> {
    let root = nix::unistd::geteuid().is_root();
    let toolchains = go::installed();
    let mut trials = Vec::new();
    for (name, header) in expectation::all()? {
        for (toolchain, flavour) in matrix(&toolchains, &header) {
            let title = format!("{name}, Go {}, {flavour}", toolchain.version);
            let (name, of_trial) = (name.clone(), header.clone());
            let trial = Trial::test(title, move || {
                let program = go::build(&toolchain, &name, flavour)?;
                look::check(&program, &of_trial).map_err(Failed::from)
            });
            // Reading another process's memory needs root or a lenient ptrace scope.
            let limitable = header.cpus.is_none() || cgroup::CpuCgroup::possible();
            trials.push(trial.with_ignored_flag(!root || !limitable));
        }
    }
    if toolchains.is_empty() {
        return Err("no Go toolchain: run `cargo xtask setup --all-go`".into());
    }
    Ok(trials)
}

/// The newest Go plain and stripped; the core programs on every version and in every flavour.
fn matrix(toolchains: &[Toolchain], header: &Header) -> Vec<(Toolchain, Flavour)> {
    let Some(newest) = toolchains.last() else {
        return Vec::new();
    };
    let mut cells = vec![
        (newest.clone(), Flavour::Plain),
        (newest.clone(), Flavour::Stripped),
    ];
    if header.matrix == Matrix::All {
        let older = toolchains.iter().rev().skip(1);
        cells.extend(
            older.flat_map(|t| [(t.clone(), Flavour::Plain), (t.clone(), Flavour::Stripped)]),
        );
        cells.extend(
            [Flavour::Pie, Flavour::NoOptimisation].map(|flavour| (newest.clone(), flavour)),
        );
    }
    if header.plain {
        cells.retain(|(_, flavour)| *flavour == Flavour::Plain);
    }
    if header.cgo {
        cells.retain(|(_, flavour)| *flavour != Flavour::Pie);
        for cell in &mut cells {
            cell.1 = cell.1.with_cgo();
        }
    }
    cells.retain(|(toolchain, _)| toolchain.minor >= header.oldest_go);
    cells
}
