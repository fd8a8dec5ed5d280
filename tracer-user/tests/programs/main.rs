//! End to end: every program of `programs/` is built with real Go toolchains, run, and looked at by
//! the real `gostuck`. What must be found stands in each program's header (see `expectation.rs`).

mod expectation;
mod look;

use std::{num::NonZeroUsize, thread};

use libtest_mimic::{Arguments, Trial};
use testing::{
    Result,
    cgroup::CpuCgroup,
    go::{self, Flavour, NEWEST, OLDEST, Toolchain},
    trials::{Need, trial},
};

use expectation::{Header, Matrix};

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

fn trials() -> Result<Vec<Trial>> {
    let mut trials = Vec::new();
    for (name, header) in expectation::all()? {
        for (toolchain, flavour) in matrix(&header) {
            let title = format!("{name}, Go {}, {flavour}", toolchain.version);
            let mut needs = vec![Need::Root, Need::Go(toolchain.version)];
            if header.cpus.is_some() {
                let possible = CpuCgroup::possible();
                needs.push(Need::Machine("a cgroup with a CPU limit", possible));
            }
            let (name, header) = (name.clone(), header.clone());
            trials.push(trial(&title, &needs, move || {
                let program = go::program(toolchain, &name, flavour)?;
                look::check(&program, &header)
            }));
        }
    }
    Ok(trials)
}

/// The newest Go plain and stripped; the core programs on every version and in every flavour. What
/// symbols change differs by how the debug information is written, which the oldest and the newest
/// version stand for: `tests/image.rs` holds what is read with and without them against each other on
/// all of them.
fn matrix(header: &Header) -> Vec<(Toolchain, Flavour)> {
    let newest = Toolchain::newest();
    let mut cells = vec![(newest, Flavour::Plain), (newest, Flavour::Stripped)];
    if header.matrix == Matrix::All {
        let older = go::toolchains().rev().filter(|of| of.version != NEWEST);
        cells.extend(older.map(|toolchain| (toolchain, Flavour::Stripped)));
        cells.push((Toolchain::of(OLDEST), Flavour::Plain));
        cells.extend([Flavour::Pie, Flavour::NoOptimisation].map(|flavour| (newest, flavour)));
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
