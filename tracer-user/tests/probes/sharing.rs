//! Processes that share an image.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use libtest_mimic::Trial;
use testing::{
    go::NEWEST,
    trials::{self, Need},
};
use tracer_user::{
    image::Image,
    probes::{Level, Probes},
};

use super::{
    attach, channel_waits,
    load::Load,
    program, small,
    traces::{byte, sites},
    trial, waits_when_off,
};

pub fn trials() -> Vec<Trial> {
    let overlay = fs::read_to_string("/proc/filesystems").is_ok_and(|all| all.contains("overlay"));
    let needs = [
        Need::Root,
        Need::Go(NEWEST),
        Need::Machine("overlay file systems", overlay),
    ];
    vec![
        trials::trial(
            "one file below several overlay mounts is counted once a hit",
            &needs,
            one_file_below_several_overlay_mounts_is_counted_once_a_hit,
        ),
        trial(
            "the only target of an image leaves the image's other processes alone",
            the_only_target_leaves_others_alone,
        ),
        trial(
            "who has just ended costs nobody else the probes",
            who_has_just_ended_costs_nobody_else_the_probes,
        ),
        trial(
            "one image serves many processes and one of them can be switched off",
            one_image_serves_many_processes_and_one_of_them_can_be_switched_off,
        ),
        trial(
            "of many processes of one image some keep their probes when one is switched off",
            some_of_many_keep_their_probes,
        ),
    ]
}

/// Overlay mounts of one folder, undone when dropped.
struct Overlays {
    mounts: Vec<PathBuf>,
    _directory: tempfile::TempDir,
}

impl Overlays {
    fn mount(lower: &std::path::Path, count: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut overlays = Self {
            mounts: Vec::new(),
            _directory: directory,
        };
        for number in 0..count {
            let root = overlays._directory.path().join(number.to_string());
            let [upper, work, mount] = ["upper", "work", "mount"].map(|name| root.join(name));
            for folder in [&upper, &work, &mount] {
                fs::create_dir_all(folder).unwrap();
            }
            let options = format!(
                "lowerdir={},upperdir={},workdir={}",
                lower.display(),
                upper.display(),
                work.display()
            );
            let status = Command::new("mount")
                .args(["-t", "overlay", "overlay", "-o", &options])
                .arg(&mount)
                .status()
                .unwrap();
            assert!(status.success());
            overlays.mounts.push(mount);
        }
        overlays
    }
}

impl Drop for Overlays {
    fn drop(&mut self) {
        for mount in &self.mounts {
            let _ = Command::new("umount").arg("--lazy").arg(mount).status();
        }
    }
}

fn one_file_below_several_overlay_mounts_is_counted_once_a_hit() {
    let (directory, path, _image) = program(NEWEST);
    let overlays = Overlays::mount(directory.path(), 3);
    let mut loads = Vec::new();
    let mut probes = Probes::load(small()).unwrap();
    for mount in &overlays.mounts {
        let path = mount.join(path.file_name().unwrap());
        // Two of each, as in containers that run their program more than once.
        for _ in 0..2 {
            let load = Load::start(&path);
            attach(&mut probes, &load, &Image::open(&path).unwrap().into());
            loads.push(load);
        }
    }
    for load in &mut loads {
        load.pingpong(200);
    }
    for load in &loads {
        let hits = probes.target_statistics(load.pid()).unwrap();
        assert!((390..500).contains(&hits.park_hits), "{hits:?}");
        assert!((380..=410).contains(&channel_waits(&probes, load)));
    }
    // A park that runs several programs would find that of the one before.
    let unseen = probes.statistics().unwrap().irregularities.unseen_wakes;
    assert!(unseen < 50, "{unseen}");
    // Off is off, whatever is attached for others.
    probes.set_level(loads[0].pid(), Level::Locks).unwrap();
    waits_when_off(&probes, &mut loads[0]);
    let before = probes.target_statistics(loads[0].pid()).unwrap();
    loads[0].pingpong(200);
    let after = probes.target_statistics(loads[0].pid()).unwrap();
    assert_eq!(after.park_hits, before.park_hits);
    assert_eq!(after.ready_hits, before.ready_hits);
}

fn the_only_target_leaves_others_alone() {
    const INT3: u8 = 0xcc;
    let (_directory, path, image) = program(NEWEST);
    let (target, other) = (Load::start(&path), Load::start(&path));
    let mut probes = Probes::load(small()).unwrap();
    attach(&mut probes, &target, &image);
    for site in sites(&image) {
        assert_eq!(byte(target.pid(), site), INT3);
        assert_ne!(byte(other.pid(), site), INT3);
    }
}

fn who_has_just_ended_costs_nobody_else_the_probes() {
    let (_directory, path, image) = program(NEWEST);
    let mut loads: Vec<_> = (0..3).map(|_| Load::start(&path)).collect();
    let mut probes = Probes::load(small()).unwrap();
    for load in &loads {
        attach(&mut probes, load, &image);
    }
    // Nobody has said yet that it is gone.
    drop(loads.pop());
    probes.set_level(loads[0].pid(), Level::Locks).unwrap();
    assert!(!probes.is_probing(loads[0].pid()));
    assert!(probes.is_probing(loads[1].pid()));
    loads[1].pingpong(200);
    assert!(channel_waits(&probes, &loads[1]) > 380);
    let late = Load::start(&path);
    attach(&mut probes, &late, &image);
    assert!(probes.is_probing(late.pid()));
}

fn one_image_serves_many_processes_and_one_of_them_can_be_switched_off() {
    let (_directory, path, image) = program(NEWEST);
    let mut loads: Vec<_> = (0..8).map(|_| Load::start(&path)).collect();
    let mut probes = Probes::load(small()).unwrap();
    // The last is no target, though its image is probed.
    for load in &loads[..7] {
        attach(&mut probes, load, &image);
    }
    probes.set_level(loads[0].pid(), Level::Threads).unwrap();
    let before = waits_when_off(&probes, &mut loads[0]);
    for load in &mut loads {
        load.pingpong(200);
    }
    assert_eq!(channel_waits(&probes, &loads[0]), before);
    for load in &loads[1..7] {
        assert!(channel_waits(&probes, load) > 380);
    }
    assert!(probes.target_statistics(loads[7].pid()).is_err());
}

fn some_of_many_keep_their_probes() {
    let (_directory, path, image) = program(NEWEST);
    let mut loads: Vec<_> = (0..36).map(|_| Load::start(&path)).collect();
    let mut probes = Probes::load(small()).unwrap();
    for load in &mut loads {
        attach(&mut probes, load, &image);
        load.tell("deadlock");
        load.answer();
    }
    let probed = |probes: &Probes, loads: &[Load]| {
        let probed = loads.iter().filter(|load| probes.is_probing(load.pid()));
        probed.count()
    };
    assert_eq!(probed(&probes, &loads), 36);
    probes.set_level(loads[0].pid(), Level::Locks).unwrap();
    assert!(!probes.is_probing(loads[0].pid()));
    assert_eq!(probed(&probes, &loads), 32);
    // Whoever is probed no more has nothing in the park table that would age there.
    let waits = probes.long_waits(Duration::ZERO).unwrap();
    assert!(waits.len() >= 2 * 32);
    assert!(waits.iter().all(|wait| probes.is_probing(wait.pid)));
    let which = loads.iter().position(|load| probes.is_probing(load.pid()));
    let load = &mut loads[which.unwrap()];
    load.pingpong(200);
    assert!(channel_waits(&probes, load) > 380);
    probes.set_level(loads[0].pid(), Level::All).unwrap();
    assert_eq!(probed(&probes, &loads), 36);
}
