//! Attaching and detaching.

use std::{path::Path, time::Duration};

use libtest_mimic::Trial;
use testing::go::NEWEST;
use tracer_user::{
    ids::Pid,
    probes::{Level, Options, Probes},
};

use super::{attach, channel_waits, load::Load, program, small, trial};

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "attaching and detaching in a loop leaves a loaded target healthy",
            attaching_and_detaching_in_a_loop_leaves_a_loaded_target_healthy,
        ),
        trial(
            "slots of former targets are used again, without what they left",
            slots_of_former_targets_are_used_again,
        ),
        trial(
            "a target that ends while it is attached to harms nobody",
            a_target_that_ends_meanwhile_harms_nobody,
        ),
        trial(
            "an image that is gone is an error that names it",
            an_image_that_is_gone_is_an_error_that_names_it,
        ),
    ]
}

fn attaching_and_detaching_in_a_loop_leaves_a_loaded_target_healthy() {
    let (_directory, path, image) = program(NEWEST);
    let mut load = Load::start(&path);
    let mut probes = Probes::load(small()).unwrap();
    load.tell("pingpong 400000");
    for _ in 0..10 {
        attach(&mut probes, &load, &image);
        probes.set_level(load.pid(), Level::Locks).unwrap();
        assert!(!probes.is_probing(load.pid()));
        probes.set_level(load.pid(), Level::All).unwrap();
        assert!(probes.is_probing(load.pid()));
        probes.detach(load.pid()).unwrap();
    }
    assert!(load.answer().starts_with("done "));
    assert!(probes.long_waits(Duration::ZERO).unwrap().is_empty());
    assert!(load.pingpong(100) > 0.0);
}

fn an_image_that_is_gone_is_an_error_that_names_it() {
    let (_directory, _path, image) = program(NEWEST);
    let mut probes = Probes::load(small()).unwrap();
    let error = probes
        .attach(Pid(1), Path::new("/nowhere/at/all"), &image)
        .unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all"));
}

fn slots_of_former_targets_are_used_again() {
    let (_directory, path, image) = program(NEWEST);
    let mut loads: Vec<_> = (0..4).map(|_| Load::start(&path)).collect();
    let mut probes = Probes::load(Options {
        targets: 2,
        ..small()
    })
    .unwrap();
    for round in 0..20 {
        let load = &mut loads[round % 4];
        attach(&mut probes, load, &image);
        load.pingpong(50);
        let waits = channel_waits(&probes, load);
        assert!((95..=110).contains(&waits), "{waits} in round {round}");
        probes.detach(load.pid()).unwrap();
    }
    probes.sweep().unwrap();
    assert!(probes.long_waits(Duration::ZERO).unwrap().is_empty());
    assert_eq!(probes.attached(), 0);
}

fn a_target_that_ends_meanwhile_harms_nobody() {
    let (_directory, path, image) = program(NEWEST);
    let mut survivor = Load::start(&path);
    let mut probes = Probes::load(small()).unwrap();
    attach(&mut probes, &survivor, &image);
    for _ in 0..20 {
        let mut load = Load::start(&path);
        load.tell("load 60");
        let pid = load.pid();
        let ending = std::thread::spawn(move || drop(load));
        // It may be gone before, while or after this.
        let exe = format!("/proc/{pid}/exe");
        let attached = probes.attach(pid, Path::new(&exe), &image).is_ok();
        ending.join().unwrap();
        assert_eq!(probes.target_statistics(pid).is_ok(), attached);
        probes.detach(pid).unwrap();
    }
    survivor.pingpong(200);
    assert!(channel_waits(&probes, &survivor) > 380);
}
