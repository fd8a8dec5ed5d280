//! Beside the runtime's own goroutineleak profile (Go 1.27), goroutine by goroutine, in one process
//! at one moment.

use std::{collections::BTreeSet, fs, path::Path};

use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use testing::go::{self, Flavour, Toolchain};
use tracer_user::{
    finding::Options,
    ids::{Goid, Pid},
    inspect::{Inspection, Inspector},
};

use crate::{functions, target::run, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial(
        "whatever the runtime finds leaked we prove",
        whatever_the_runtime_finds_leaked_we_prove,
    )]
}

/// The goroutines that the profile in `path`, written in its most verbose form, calls leaked.
fn profiled(path: &Path) -> BTreeSet<Goid> {
    fs::read_to_string(path)
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("goroutine ") && line.contains("(leaked)"))
        .map(|line| Goid(line.split(' ').nth(1).unwrap().parse().unwrap()))
        .collect()
}

fn told(look: &Inspection, goroutines: &[&Goid]) -> String {
    let snapshot = &look.diagnosis.snapshot;
    let lines: Vec<String> = goroutines
        .iter()
        .filter_map(|goid| snapshot.goroutines.iter().find(|g| g.goid == **goid))
        .map(|g| {
            let functions = functions(&look.image, g);
            format!(
                "{} {:?} {:?} {functions:?}",
                g.goid, g.wait_reason, g.waits_on
            )
        })
        .collect();
    lines.join("\n")
}

/// What we find, and what the runtime finds just after.
fn both(program: &str) -> (Inspection, BTreeSet<Goid>, BTreeSet<Goid>) {
    let binary = go::program(Toolchain::newest(), program, Flavour::Plain).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("profile");
    let mut running = run(&binary, &["-profile", file.to_str().unwrap()]);
    let pid = Pid(running.pid());
    let look = Inspector::new(Options::default()).look(pid).unwrap();
    assert!(
        look.diagnosis.reach_walked,
        "{:?}",
        look.diagnosis.incomplete
    );
    let dead = &look.diagnosis.verdicts.dead;
    let ours = dead.iter().map(|(goid, _)| *goid).collect();
    running.signal(Signal::SIGUSR1).unwrap();
    while running.next_line().unwrap() != "profiled" {}
    let theirs = profiled(&file);
    (look, ours, theirs)
}

/// A word that the runtime left behind may keep one goroutine or another out of a proof, in one
/// process and not in the next: what is asked of several counts.
fn whatever_the_runtime_finds_leaked_we_prove() {
    const PROCESSES: u32 = 4;
    for process in 1..=PROCESSES {
        let (look, ours, theirs) = both("leak-kernels");
        let missed: Vec<&Goid> = theirs.difference(&ours).collect();
        let more: Vec<&Goid> = ours.difference(&theirs).collect();
        println!(
            "ours {}, the runtime's {}, only ours:\n{}\nmissed:\n{}",
            ours.len(),
            theirs.len(),
            told(&look, &more),
            told(&look, &missed)
        );
        assert!(theirs.len() >= 100, "{} profiled", theirs.len());
        if missed.is_empty() {
            return;
        }
        assert!(missed.len() <= 3, "one word holds no more than one leak");
        assert!(process < PROCESSES, "missed in {PROCESSES} processes");
    }
}
