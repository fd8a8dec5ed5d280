//! Hints that somebody may wait for a lock, with and without the park and wake probes.

use std::time::Duration;

use libtest_mimic::Trial;
use testing::{go::NEWEST, wait::until};
use tracer_user::probes::{Event, Level, Probes};

use super::{attach, load::Load, program, small, trial, trials_of, waits_when_off};

const VERSIONS: [&str; 3] = ["1.19.8", "1.21.13", NEWEST];

pub fn trials() -> Vec<Trial> {
    let collecting = trials_of(
        &VERSIONS,
        "a garbage collection is no hint of a wait for a lock",
        a_garbage_collection_is_no_hint_of_a_wait_for_a_lock,
    );
    let unprobed = trials_of(
        &VERSIONS,
        "without park and wake probes hints wake nobody and are there to be found",
        without_park_and_wake_probes_hints_are_there_to_be_found,
    );
    let room = trial(
        "a target whose probes come and go keeps its room in the park table",
        a_target_whose_probes_come_and_go_keeps_its_room,
    );
    collecting.chain(unprobed).chain([room]).collect()
}

fn hints(probes: &mut Probes) -> usize {
    let events = probes.drain().into_iter();
    events
        .filter(|event| matches!(event, Event::LockWait { .. }))
        .count()
}

fn a_garbage_collection_is_no_hint_of_a_wait_for_a_lock(version: &'static str) {
    let (_directory, path, image) = program(version);
    let mut load = Load::start(&path);
    let mut probes = Probes::load(small()).unwrap();
    attach(&mut probes, &load, &image);
    load.tell("collect 20");
    assert_eq!(load.answer(), "collected");
    let statistics = probes.target_statistics(load.pid()).unwrap();
    assert!(
        statistics.semacquire_hits >= 20,
        "{version}: {statistics:?}"
    );
    assert_eq!(hints(&mut probes), 0, "{version}");
    load.tell("deadlock");
    let mut told = 0;
    until("the waits for the locks are hinted at", || {
        told += hints(&mut probes);
        told > 0
    });
}

fn without_park_and_wake_probes_hints_are_there_to_be_found(version: &'static str) {
    let (_directory, path, image) = program(version);
    let mut load = Load::start(&path);
    let pid = load.pid();
    let mut probes = Probes::load(small()).unwrap();
    attach(&mut probes, &load, &image);
    probes.set_level(pid, Level::Locks).unwrap();
    waits_when_off(&probes, &mut load);
    load.tell("collect 20");
    assert_eq!(load.answer(), "collected");
    assert_eq!(probes.lock_hint_ns(pid).unwrap(), 0, "{version}");
    load.tell("deadlock");
    until("the waits for the locks are found", || {
        probes.lock_hint_ns(pid).unwrap() > 0
    });
    assert_eq!(hints(&mut probes), 0, "{version}");
    assert!(probes.long_waits(Duration::ZERO).unwrap().is_empty());
}

fn a_target_whose_probes_come_and_go_keeps_its_room() {
    let (_directory, path, image) = program(NEWEST);
    let mut load = Load::start(&path);
    let pid = load.pid();
    let mut probes = Probes::load(small()).unwrap();
    attach(&mut probes, &load, &image);
    // A target may have half of the table: there is room for one crowd, not for two.
    let crowd = small().park_entries / 3;
    for _ in 0..3 {
        load.tell(&format!("crowd {crowd}"));
        assert_eq!(load.answer(), "gone");
        probes.set_level(pid, Level::Locks).unwrap();
        probes.set_level(pid, Level::All).unwrap();
    }
    let statistics = probes.target_statistics(pid).unwrap();
    assert!(
        statistics.park_hits >= 3 * u64::from(crowd),
        "{statistics:?}"
    );
    assert_eq!(statistics.untracked, 0);
}
