//! The heap walk on real Go programs: everything leaked is found, nothing healthy is.

#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

mod go_program;
mod held;
mod recall;

use std::{
    collections::BTreeSet,
    env,
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use go_program::{Link, Running, build, toolchain};
use rustc_hash::FxHashMap;
use tracer_user::{
    finding::{self, Evidence},
    graph::GoroutineNode,
    ids::Goid,
    image::Image,
    process::Process,
    reach::{Certainty, Options, Proof, Prover, freeze::look_held},
    snapshot::{Goroutine, Snapshot, Target, take},
};

const VERSIONS: [&str; 8] = [
    "1.19.8", "1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.6", "1.27.3",
];

/// For how long a process is held still at most.
const HOLD: Duration = Duration::from_secs(5);

/// The graph of `snapshot` in which nobody is known to hold a lock: only what cannot be reached
/// can be dead.
fn nodes(target: &Target, snapshot: &Snapshot) -> Vec<GoroutineNode> {
    let evidence = Evidence {
        process: Process::open(target.pid).unwrap().key,
        cpu_limit: None,
        snapshot: Arc::new(snapshot.clone()),
        holders: FxHashMap::default(),
        pending: FxHashMap::default(),
        main_rests: false,
        one_moment: false,
        watched: None,
    };
    finding::diagnose(
        evidence,
        None,
        None,
        &*target.image,
        &finding::Options::default(),
    )
    .nodes
}

fn look(target: &Target, options: Options) -> (Arc<Snapshot>, Proof) {
    let snapshot = Arc::new(take(target).unwrap());
    let nodes = nodes(target, &snapshot);
    let mut prover = Prover::new(target, Arc::clone(&snapshot), options);
    let proof = prover.prove(&nodes).unwrap();
    (snapshot, proof)
}

/// As [`look`], at a copy of one moment.
fn look_at_copy(target: &Target, limit: Duration) -> (Arc<Snapshot>, Proof) {
    let looked = look_held(
        target,
        limit,
        || Ok::<(), Box<dyn Error>>(()),
        |target| {
            let snapshot = Arc::new(take(target)?);
            let nodes = nodes(target, &snapshot);
            let mut prover = Prover::new(target, Arc::clone(&snapshot), Options::default());
            Ok((snapshot, prover.prove(&nodes)?))
        },
    );
    looked.unwrap().0
}

/// As [`look`], in the way of a whole look: a glance, and only then a second snapshot.
fn look_twice(target: &Target, options: Options) -> (Arc<Snapshot>, Proof) {
    let first = Arc::new(take(target).unwrap());
    let mut prover = Prover::new(target, Arc::clone(&first), options);
    prover.glance(&nodes(target, &first)).unwrap();
    let second = Arc::new(take(target).unwrap());
    prover.go_on_with(Arc::clone(&second));
    let proof = prover.prove(&nodes(target, &second)).unwrap();
    (second, proof)
}

/// The names of the functions on a goroutine's stack, and of the one that created it.
fn functions(image: &Image, goroutine: &Goroutine) -> Vec<String> {
    let stack = goroutine.stack.frames.iter().map(|frame| frame.pc);
    stack
        .chain(goroutine.created_at)
        .flat_map(|pc| image.symbolize(pc, true))
        .map(|frame| frame.function.to_string())
        .collect()
}

fn is_leak(image: &Image, goroutine: &Goroutine) -> bool {
    let functions = functions(image, goroutine);
    functions.iter().any(|name| name.starts_with("main.leak"))
}

fn dead(proof: &Proof) -> BTreeSet<Goid> {
    proof.verdicts.dead.iter().map(|(goid, _)| *goid).collect()
}

/// No goroutine but those of `leak…` functions is dead. Of these, `Err` tells when more than
/// `missed` functions were not found.
///
/// A few may be missed: a word that happens to look like a pointer, or one that a system stack or
/// register has kept, holds the object it points to, for the walk as for the collector, and with it
/// every goroutine that waits there. Each `leak…` function leaks through one object.
fn check_leaks(
    target: &Target,
    snapshot: &Snapshot,
    proof: &Proof,
    context: &str,
    missed: usize,
) -> Result<(), String> {
    let dead = dead(proof);
    assert!(
        proof.certainty.is_proof(),
        "{context}: {:?}",
        proof.certainty
    );
    let mut leaks = 0;
    let (mut wrong, mut misses, mut missed_functions) = (Vec::new(), 0, BTreeSet::new());
    for goroutine in &snapshot.goroutines {
        let leak = is_leak(&target.image, goroutine);
        leaks += usize::from(leak);
        if leak && !dead.contains(&goroutine.goid) {
            misses += 1;
            let functions = functions(&target.image, goroutine);
            missed_functions.extend(
                functions
                    .into_iter()
                    .rfind(|name| name.starts_with("main.leak")),
            );
        }
        if dead.contains(&goroutine.goid) != leak {
            wrong.push(format!(
                "goroutine {} {:?} {:?}",
                goroutine.goid,
                goroutine.wait_reason,
                functions(&target.image, goroutine)
            ));
        }
    }
    let told = format!(
        "{context}: {:?} {:?}\n{}",
        proof.certainty,
        proof.statistics,
        wrong.join("\n")
    );
    assert!(misses == wrong.len(), "{told}");
    assert!(leaks >= 39, "{context}: {leaks} leaks");
    if missed_functions.len() <= missed {
        Ok(())
    } else {
        Err(told)
    }
}

/// How many processes are started until one shows enough: where stale words lie differs from
/// process to process.
const PROCESSES: usize = 4;

fn check_version(version: &str, link: Link) {
    let Some(go) = toolchain(version) else { return };
    let directory = tempfile::tempdir().unwrap();
    let binary = build(&go, "leaks", link, directory.path());
    let context = format!("{version} {link:?}");
    let mut told = Vec::new();
    for _ in 0..PROCESSES {
        let running = Running::start(&binary, &[]);
        let target = running.target();
        let (snapshot, proof) = look(&target, Options::default());
        let live = check_leaks(&target, &snapshot, &proof, &context, 1);
        let (snapshot, proof) = look_twice(&target, Options::default());
        let twice = check_leaks(&target, &snapshot, &proof, &context, 1);
        let (snapshot, proof) = look_at_copy(&target, HOLD);
        assert_eq!(proof.certainty, Certainty::Exact);
        let still = format!("{context} frozen");
        let held = check_leaks(&target, &snapshot, &proof, &still, 3);
        match live.and(twice).and(held) {
            Ok(()) => return,
            Err(why) => told.push(why),
        }
    }
    panic!("{}", told.join("\n"));
}

#[test]
fn every_leak_and_nothing_else_is_dead() {
    for version in VERSIONS {
        check_version(version, Link::Plain);
    }
}

#[test]
fn the_same_in_stripped_images() {
    for version in VERSIONS {
        check_version(version, Link::Stripped);
    }
}

#[test]
fn a_group_of_leaks_is_weighed() {
    let Some(go) = toolchain("1.27.3") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(&build(&go, "leaks", Link::Plain, directory.path()), &[]);
    let target = running.target();
    let snapshot = Arc::new(take(&target).unwrap());
    let nodes = nodes(&target, &snapshot);
    let mut prover = Prover::new(&target, Arc::clone(&snapshot), Options::default());
    prover.prove(&nodes).unwrap();
    let holders: Vec<Goid> = snapshot
        .goroutines
        .iter()
        .filter(|g| {
            functions(&target.image, g)
                .iter()
                .any(|f| f.contains("leakBuffered"))
        })
        .map(|g| g.goid)
        .collect();
    let retained = prover.retained(&holders).unwrap();
    // It holds 1 MiB in hand and 64 KiB in the channel.
    let expected = (1 << 20) + (1 << 16);
    assert!(
        (expected..expected + (1 << 16)).contains(&retained.heap_bytes),
        "{retained:?}"
    );
    assert_eq!(prover.retained(&holders).unwrap().heap_bytes, 0);
}

/// Looks in a loop for `GOSTUCK_STRESS_SECONDS` (3) at a program that does everything at once.
fn stress(version: &str, link: Link, arguments: &[&str], held: bool) {
    let Some(go) = toolchain(version) else { return };
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(
        &build(&go, "reach-healthy", link, directory.path()),
        arguments,
    );
    let target = running.target();
    let seconds = env::var("GOSTUCK_STRESS_SECONDS").map_or(3, |s| s.parse().unwrap());
    let until = Instant::now() + Duration::from_secs(seconds);
    let (mut looks, mut proofs) = (0, 0);
    while Instant::now() < until {
        let (snapshot, proof) = match looks % 2 {
            _ if held => look_at_copy(&target, HOLD),
            1 => look_twice(&target, Options::default()),
            _ => look(&target, Options::default()),
        };
        let dead = dead(&proof);
        looks += 1;
        proofs += usize::from(proof.certainty.is_proof());
        for goroutine in &snapshot.goroutines {
            assert!(
                !dead.contains(&goroutine.goid),
                "{version} {link:?} look {looks}: goroutine {} {:?} {:?} {:?} {:?}",
                goroutine.goid,
                goroutine.wait_reason,
                functions(&target.image, goroutine),
                proof.certainty,
                proof.statistics,
            );
        }
    }
    println!("{version} {link:?}: {looks} looks, {proofs} came to an end");
    assert!(proofs > 0, "no look of {looks} came to an end");
}

#[test]
fn nothing_healthy_is_dead_however_hard_it_works() {
    for version in VERSIONS {
        stress(version, Link::Plain, &["-load"], false);
    }
    stress("1.27.3", Link::Cgo, &["-load"], false);
    stress("1.27.3", Link::Cgo, &[], false);
}

#[test]
fn nothing_healthy_is_dead_while_held_still() {
    stress("1.27.3", Link::Cgo, &["-load"], true);
    stress("1.19.8", Link::Plain, &["-load"], true);
}
