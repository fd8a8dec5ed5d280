//! The heap walk on real Go programs: everything leaked is found, nothing healthy is.

#![allow(
    clippy::unwrap_used,
    reason = "a failed step of a test is a failed test"
)]

mod held;
mod recall;
mod target;

use std::{
    collections::BTreeSet,
    env,
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Trial};
use rustc_hash::FxHashMap;
use testing::{
    go::{self, Flavour, NEWEST, OLDEST, Toolchain, VERSIONS},
    trials::{self, Need},
};
use tracer_user::{
    finding::{self, Evidence},
    graph::GoroutineNode,
    ids::Goid,
    image::Image,
    process::Process,
    reach::{Certainty, Options, Proof, Prover, freeze::look_held},
    snapshot::{Goroutine, Snapshot, Target, take},
};

use target::{run, target_of};

fn main() {
    if held::hold_if_asked() {
        return;
    }
    let mut trials = Vec::new();
    for version in VERSIONS {
        for (name, flavour) in [
            ("every leak and nothing else is dead", Flavour::Plain),
            ("the same in stripped images", Flavour::Stripped),
        ] {
            let check = move || check_leaks_of(version, flavour);
            trials.push(trial_of(version, name, check));
        }
    }
    trials.extend(stress_trials());
    trials.push(trial(
        "a group of leaks is weighed",
        a_group_of_leaks_is_weighed,
    ));
    trials.extend(recall::trials());
    trials.extend(held::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// A test that needs root and the newest Go.
fn trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    trials::trial(name, &[Need::Root, Need::Go(NEWEST)], test)
}

/// A test of one Go version, which needs root, too.
fn trial_of(version: &'static str, name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    let title = format!("{name}, Go {version}");
    trials::trial(&title, &[Need::Root, Need::Go(version)], test)
}

fn stress_trials() -> Vec<Trial> {
    const HARD: &str = "nothing healthy is dead however hard it works";
    const HELD: &str = "nothing healthy is dead while held still";
    let plain = VERSIONS.map(|version| (HARD, version, Flavour::Plain, &["-load"][..], false));
    let others = [
        (HARD, NEWEST, Flavour::Cgo, &["-load"][..], false),
        (HARD, NEWEST, Flavour::Cgo, &[], false),
        (HELD, NEWEST, Flavour::Cgo, &["-load"], true),
        (HELD, OLDEST, Flavour::Plain, &["-load"], true),
    ];
    let all = plain.into_iter().chain(others);
    let trials = all.map(|(name, version, flavour, arguments, held)| {
        let title = [&[name], arguments].concat().join(" ");
        let title = format!("{title}, {flavour}");
        trial_of(version, &title, move || {
            stress(version, flavour, arguments, held)
        })
    });
    trials.collect()
}

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

fn check_leaks_of(version: &'static str, flavour: Flavour) {
    let binary = go::program(Toolchain::of(version), "leaks", flavour).unwrap();
    let context = format!("{version} {flavour}");
    let mut told = Vec::new();
    for _ in 0..PROCESSES {
        let running = run(&binary, &[]);
        let target = target_of(&running);
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

fn a_group_of_leaks_is_weighed() {
    let binary = go::program(Toolchain::newest(), "leaks", Flavour::Plain).unwrap();
    let running = run(&binary, &[]);
    let target = target_of(&running);
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
fn stress(version: &'static str, flavour: Flavour, arguments: &[&str], held: bool) {
    let binary = go::program(Toolchain::of(version), "reach-healthy", flavour);
    let running = run(&binary.unwrap(), arguments);
    let target = target_of(&running);
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
                "{version} {flavour} look {looks}: goroutine {} {:?} {:?} {:?} {:?}",
                goroutine.goid,
                goroutine.wait_reason,
                functions(&target.image, goroutine),
                proof.certainty,
                proof.statistics,
            );
        }
    }
    println!("{version} {flavour}: {looks} looks, {proofs} came to an end");
    assert!(proofs > 0, "no look of {looks} came to an end");
}
