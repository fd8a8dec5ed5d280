//! What probes count and tell.

use std::time::Duration;

use libtest_mimic::Trial;
use testing::{
    go::NEWEST,
    trials::{self, Need},
    wait::until,
};
use tracer_user::{
    ids::Goid,
    image::{SiteKind, WaitReason},
    probes::{AttachMethod, Event, Options, Probes},
};

use super::{attach, channel_waits, load::Load, program, small, tiny_ring, trial, trials_of};

pub fn trials() -> Vec<Trial> {
    let by_version = [
        trials_of(
            &["1.19.8", "1.21.13", "1.26.6", NEWEST],
            "every park is counted by multi links",
            every_park_is_counted_by_multi_links,
        ),
        trials_of(
            &["1.19.8", NEWEST],
            "every park is counted by perf events",
            every_park_is_counted_by_perf_events,
        ),
        trials_of(
            &["1.19.8", "1.21.13", NEWEST],
            "a call whose stack grows first is counted once",
            a_call_whose_stack_grows_first_is_counted_once,
        ),
    ];
    let mut all: Vec<Trial> = by_version.into_iter().flatten().collect();
    all.extend([
        trial(
            "short waits send nothing and a deadlock stands in the park table",
            short_waits_send_nothing_and_a_deadlock_stands_in_the_park_table,
        ),
        trial(
            "a tiny ring loses records and counts them",
            a_tiny_ring_loses_records_and_counts_them,
        ),
        trials::trial(
            "the cost of a hit is measured",
            &[Need::Root],
            the_cost_of_a_hit_is_measured,
        ),
    ]);
    all
}

fn pingpong_is_counted(version: &'static str, method: AttachMethod) {
    const ROUNDS: u64 = 2000;
    let (_directory, path, image) = program(version);
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
    let irregularities = probes.statistics().unwrap().irregularities;
    assert_eq!(irregularities.failed_reads, 0);
    assert_eq!(irregularities.unmeasured_waits, 0);
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

fn every_park_is_counted_by_multi_links(version: &'static str) {
    pingpong_is_counted(version, AttachMethod::Multi);
}

fn every_park_is_counted_by_perf_events(version: &'static str) {
    pingpong_is_counted(version, AttachMethod::Perf);
}

/// A stack check that fails makes the stack grow, and `gopark` starts again. `ready` runs on a thread's
/// own stack, which never grows; each wake is counted once nevertheless.
fn a_call_whose_stack_grows_first_is_counted_once(version: &'static str) {
    // Stacks of 2, 4 and 8 KiB are filled on the way.
    const GOROUTINES: u64 = 200;
    let (_directory, path, image) = program(version);
    let mut load = Load::start(&path);
    let mut probes = Probes::load(Options {
        send_parks: true,
        send_wakes_from: Duration::ZERO,
        ..small()
    })
    .unwrap();
    attach(&mut probes, &load, &image);
    load.tell(&format!("depths {GOROUTINES}"));
    assert_eq!(load.answer(), "gone");
    let statistics = probes.target_statistics(load.pid()).unwrap();
    assert_eq!(statistics.lost, 0);
    assert_eq!(channel_waits(&probes, &load), GOROUTINES, "{version}");
    let events = probes.drain();
    let parked = goids(&events, |event| match event {
        Event::Parked { goid, reason, .. } if *reason == WaitReason::ChanReceive => *goid,
        _ => None,
    });
    let woken = goids(&events, |event| match event {
        Event::Woken { goid, reason, .. } if *reason == WaitReason::ChanReceive => *goid,
        _ => None,
    });
    let left = goids(&events, |event| match event {
        Event::Parked { goid, reason, .. } if *reason == WaitReason::ChanReceiveNil => *goid,
        _ => None,
    });
    assert_eq!(parked.len() as u64, GOROUTINES, "{version}");
    assert_eq!(parked, woken, "{version}");
    assert_eq!(left.len() as u64, GOROUTINES, "{version}");
    // Where the probe lies on the check itself, it is hit once more by each that failed; else only
    // by a few other parks.
    let more = statistics.park_hits - 2 * GOROUTINES;
    let at_jump = image.probe_sites().park.unwrap().kind == SiteKind::Jump;
    assert_eq!(more > 5, at_jump, "{version}: {more} more hits");
}

/// The goroutines that `of` finds in `events`, in order, and again for each event.
fn goids(events: &[Event], of: impl Fn(&Event) -> Option<Goid>) -> Vec<Goid> {
    let mut goids: Vec<Goid> = events.iter().filter_map(of).collect();
    goids.sort_unstable();
    goids
}

fn short_waits_send_nothing_and_a_deadlock_stands_in_the_park_table() {
    let (_directory, path, image) = program(NEWEST);
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
    let mut stuck = Vec::new();
    until("both wait", || {
        stuck = probes.long_waits(Duration::ZERO).unwrap();
        stuck.retain(|wait| wait.reason == WaitReason::MutexLock);
        stuck.len() == 2
    });
    // The semaphore is the second word of the mutex (`internal/sync/mutex.go`).
    let mut objects: Vec<_> = stuck.iter().map(|wait| wait.object.0 - 4).collect();
    objects.sort_unstable();
    let mut locks = locks;
    locks.sort_unstable();
    assert_eq!(objects, locks);
}

fn a_tiny_ring_loses_records_and_counts_them() {
    let (_directory, path, image) = program(NEWEST);
    let mut load = Load::start(&path);
    let mut probes = Probes::load(tiny_ring()).unwrap();
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

fn the_cost_of_a_hit_is_measured() {
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
