//! Probes on real Go programs. Needs root; says so and passes without.

#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

mod load;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use load::Load;
use tracer_user::{
    image::{Image, WaitReason},
    probes::{AttachMethod, Event, Options, Probes},
};

const NEWEST: &str = "1.27.3";

fn is_root() -> bool {
    if nix::unistd::geteuid().is_root() {
        return true;
    }
    eprintln!("skipped: probes need root");
    false
}

/// A built program, its image, and its folder.
fn program(version: &str) -> Option<(tempfile::TempDir, PathBuf, Arc<Image>)> {
    if !is_root() {
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = load::build(version, directory.path())?;
    let image = Arc::new(Image::open(&path).unwrap());
    Some((directory, path, image))
}

fn attach(probes: &mut Probes, load: &Load, image: &Arc<Image>) {
    let exe = PathBuf::from(format!("/proc/{}/exe", load.pid()));
    probes.attach(load.pid(), &exe, image).unwrap();
}

fn small() -> Options {
    Options {
        targets: 64,
        park_entries: 1 << 12,
        ..Options::default()
    }
}

/// Waits of the channels of a ping-pong.
fn channel_waits(probes: &Probes, load: &Load) -> u64 {
    let histograms = probes.histograms(load.pid()).unwrap();
    histograms
        .iter()
        .filter(|h| h.reason.starts_with("chan"))
        .map(|h| h.count())
        .sum()
}

fn pingpong_is_counted(version: &str, method: AttachMethod) {
    const ROUNDS: u64 = 2000;
    let Some((_directory, path, image)) = program(version) else {
        return;
    };
    let mut load = Load::start(&path);
    let mut probes = Probes::load(Options {
        method: Some(method),
        send_parks: true,
        send_wakes_from: Duration::ZERO,
        ..small()
    })
    .unwrap();
    attach(&mut probes, &load, &image);
    load.pingpong(ROUNDS);
    let statistics = probes.target_statistics(load.pid()).unwrap();
    let events = probes.drain();
    let parked = events.iter().filter(|e| matches!(e, Event::Parked { .. }));
    let woken = events.iter().filter(|e| matches!(e, Event::Woken { .. }));
    let (parked, woken) = (parked.count() as u64, woken.count() as u64);
    assert_eq!(statistics.lost, 0);
    assert_eq!(statistics.failed_reads, 0);
    // Two parks a round; preemption between a send and a receive may join or add a few.
    let waits = channel_waits(&probes, &load);
    assert!(
        waits.abs_diff(2 * ROUNDS) < ROUNDS / 50,
        "{version} {waits}"
    );
    assert!(
        parked.abs_diff(waits) <= 4,
        "{parked} parked, {waits} waits"
    );
    assert!(
        woken >= waits && woken <= parked,
        "{woken} woken, {waits} waits"
    );
    let known = events.iter().all(|event| match event {
        Event::Parked { goid, reason, .. } => goid.is_some() && *reason != WaitReason::Unknown,
        _ => true,
    });
    assert!(known);
}

#[test]
fn every_park_is_counted_by_multi_links() {
    for version in ["1.19.8", "1.21.13", "1.26.6", NEWEST] {
        pingpong_is_counted(version, AttachMethod::Multi);
    }
}

#[test]
fn every_park_is_counted_by_perf_events() {
    pingpong_is_counted(NEWEST, AttachMethod::Perf);
    pingpong_is_counted("1.19.8", AttachMethod::Perf);
}

#[test]
fn short_waits_send_nothing_and_a_deadlock_stands_in_the_park_table() {
    let Some((_directory, path, image)) = program(NEWEST) else {
        return;
    };
    let mut load = Load::start(&path);
    let mut probes = Probes::load(Options {
        send_wakes_from: Duration::from_secs(3600),
        processes: false,
        ..small()
    })
    .unwrap();
    attach(&mut probes, &load, &image);
    load.pingpong(1000);
    let wait_events = probes
        .drain()
        .into_iter()
        .filter(|event| matches!(event, Event::Parked { .. } | Event::Woken { .. }));
    assert_eq!(wait_events.count(), 0);
    load.tell("deadlock");
    let answer = load.answer();
    let locks: Vec<u64> = answer
        .split_whitespace()
        .filter_map(|word| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok())
        .collect();
    assert_eq!(locks.len(), 2, "{answer}");
    let stuck = loop {
        let waits = probes.long_waits(Duration::ZERO).unwrap();
        let stuck: Vec<_> = waits
            .into_iter()
            .filter(|wait| wait.reason == WaitReason::MutexLock)
            .collect();
        if stuck.len() == 2 {
            break stuck;
        }
    };
    // The semaphore is the second word of the mutex (`internal/sync/mutex.go`).
    let mut objects: Vec<_> = stuck.iter().map(|wait| wait.object.0 - 4).collect();
    objects.sort_unstable();
    let mut locks = locks;
    locks.sort_unstable();
    assert_eq!(objects, locks);
}

#[test]
fn a_tiny_ring_loses_records_and_counts_them() {
    let Some((_directory, path, image)) = program(NEWEST) else {
        return;
    };
    let mut load = Load::start(&path);
    let mut probes = Probes::load(Options {
        ring_bytes: 4096,
        send_parks: true,
        send_wakes_from: Duration::ZERO,
        processes: false,
        ..small()
    })
    .unwrap();
    attach(&mut probes, &load, &image);
    load.pingpong(1000);
    let lost = probes.target_statistics(load.pid()).unwrap().lost;
    let all = probes.statistics().unwrap();
    assert!(lost > 3000, "{lost}");
    assert_eq!(all.lost(), lost);
    // What is lost for the reader is measured nevertheless.
    assert!(channel_waits(&probes, &load) > 1900);
    assert!(!probes.drain().is_empty());
}

#[test]
fn attaching_and_detaching_in_a_loop_leaves_a_loaded_target_healthy() {
    let Some((_directory, path, image)) = program(NEWEST) else {
        return;
    };
    let mut load = Load::start(&path);
    let mut probes = Probes::load(small()).unwrap();
    load.tell("pingpong 400000");
    for _ in 0..10 {
        attach(&mut probes, &load, &image);
        probes.set_probing(load.pid(), false).unwrap();
        assert!(!probes.is_probing(load.pid()));
        probes.set_probing(load.pid(), true).unwrap();
        assert!(probes.is_probing(load.pid()));
        probes.detach(load.pid()).unwrap();
    }
    assert!(load.answer().starts_with("done "));
    assert!(probes.long_waits(Duration::ZERO).unwrap().is_empty());
    assert!(load.pingpong(100) > 0.0);
}

#[test]
fn one_image_serves_many_processes_and_one_of_them_can_be_switched_off() {
    let Some((_directory, path, image)) = program(NEWEST) else {
        return;
    };
    let mut loads: Vec<_> = (0..8).map(|_| Load::start(&path)).collect();
    let mut probes = Probes::load(small()).unwrap();
    // The last is no target, though its image is probed.
    for load in &loads[..7] {
        attach(&mut probes, load, &image);
    }
    probes.set_probing(loads[0].pid(), false).unwrap();
    for load in &mut loads {
        load.pingpong(200);
    }
    assert_eq!(channel_waits(&probes, &loads[0]), 0);
    for load in &loads[1..7] {
        assert!(channel_waits(&probes, load) > 380);
    }
    assert!(probes.target_statistics(loads[7].pid()).is_err());
}

#[test]
fn the_cost_of_a_hit_is_measured() {
    if !is_root() {
        return;
    }
    for method in [AttachMethod::Multi, AttachMethod::Perf] {
        let mut probes = Probes::load(Options {
            method: Some(method),
            ..small()
        })
        .unwrap();
        let cost = probes.calibrate().unwrap().per_hit();
        eprintln!("{method:?}: a hit costs {cost:?}");
        assert!(
            cost > Duration::from_nanos(50) && cost < Duration::from_millis(1),
            "{cost:?}"
        );
    }
}

/// Not an assertion but a figure: `cargo test --test probes -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn ping_pong_bare_and_probed() {
    let Some((_directory, path, image)) = program(NEWEST) else {
        return;
    };
    let mut load = Load::start(&path);
    let mut probes = Probes::load(small()).unwrap();
    let mut figures = [Vec::new(), Vec::new()];
    for _ in 0..7 {
        figures[0].push(load.pingpong(50_000));
        attach(&mut probes, &load, &image);
        figures[1].push(load.pingpong(50_000));
        probes.detach(load.pid()).unwrap();
    }
    for (name, figure) in ["bare", "probed"].iter().zip(&mut figures) {
        figure.sort_by(f64::total_cmp);
        eprintln!(
            "{name}: median {:.0} ns, least {:.0} ns",
            figure[3], figure[0]
        );
    }
}

/// Paths are checked before anything is attached.
#[test]
fn an_image_that_is_gone_is_an_error_that_names_it() {
    let Some((_directory, _path, image)) = program(NEWEST) else {
        return;
    };
    let mut probes = Probes::load(small()).unwrap();
    let error = probes
        .attach(
            tracer_user::ids::Pid(1),
            Path::new("/nowhere/at/all"),
            &image,
        )
        .unwrap_err();
    assert!(error.to_string().contains("/nowhere/at/all"));
}
