//! Every input that is kept, again: nothing of it may panic, or take more memory or time than it may.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use gostuck_fuzz::{TARGETS, Target};

/// No input may take longer, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(kind)
}

fn kept(target: &Target) -> Vec<PathBuf> {
    let folders = ["seeds", "regressions"].map(|kind| folder(kind).join(target.name));
    let entries = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn replay(name: &str) {
    let target = gostuck_fuzz::target(name).unwrap();
    target.prepare();
    let made = target.seeds().into_iter().enumerate();
    let made = made.map(|(number, input)| (format!("made-{number}"), input));
    let kept = kept(target).into_iter();
    let kept = kept.map(|path| (path.display().to_string(), fs::read(&path).unwrap()));
    for (name, input) in made.chain(kept) {
        // Where it ends the program, this says by what.
        println!("{name}");
        let started = Instant::now();
        target.run(&input);
        let took = started.elapsed();
        assert!(took < PATIENCE, "{name} took {took:?}");
    }
}

#[test]
fn memory() {
    replay("memory");
}

#[test]
fn image() {
    replay("image");
}

#[test]
fn core() {
    replay("core");
}

#[test]
fn recording() {
    replay("recording");
}

#[test]
fn http() {
    replay("http");
}

#[test]
fn text() {
    replay("text");
}

/// The fuzzer takes the folders of seeds for the list of targets.
#[test]
fn each_target_has_seeds() {
    let folders = fs::read_dir(folder("seeds")).unwrap();
    let folders: BTreeSet<_> = folders
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let targets = TARGETS.iter().map(|target| target.name.to_owned());
    assert_eq!(folders, targets.collect());
}
