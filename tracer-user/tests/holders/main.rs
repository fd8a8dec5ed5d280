//! Who holds which lock, against programs that say so themselves: every shape of code in
//! `programs/holders/shapes` (on all versions and flavours if `GOSTUCK_HOLDERS_ALL` is set), and
//! random programs. Needs Go toolchains and the right to read another process's memory.

mod compare;
mod generate;
mod servers;

use std::{env, fs};

use libtest_mimic::{Arguments, Trial};
use testing::{
    go::{self, Flavour, Toolchain, VERSIONS},
    paths,
    trials::{self, Need},
};

use compare::Score;

/// Shapes of which the past cannot tell which lock was taken: by an index that was computed in ways
/// that are not followed, and by recursion.
const WITHOUT_PAST: [&str; 4] = ["chosen", "deep", "indexed", "mapped"];

/// Random programs tried by an ordinary test run; `GOSTUCK_HOLDERS_PROGRAMS` asks for more.
const PROGRAMS: u64 = 1;

fn main() {
    let mut trials = shapes();
    for toolchain in go::ends() {
        trials.push(trial_of(
            toolchain,
            "those that stand alike keep their own locks",
            move || those_that_stand_alike_keep_their_own_locks(toolchain),
        ));
        trials.push(trial_of(
            toolchain,
            "one handler stands for many",
            move || servers::check(toolchain),
        ));
    }
    trials.push(random_programs());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// A test of one Go version, which needs root, too.
fn trial_of(toolchain: Toolchain, name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    let version = toolchain.version;
    let title = format!("{name}, Go {version}");
    trials::trial(&title, &[Need::Root, Need::Go(version)], test)
}

/// The oldest and the newest version: the others are tried on request.
fn shapes() -> Vec<Trial> {
    let all = env::var_os("GOSTUCK_HOLDERS_ALL").is_some();
    let (toolchains, flavours) = if all {
        let flavours = [Flavour::Plain, Flavour::Pie, Flavour::NoOptimisation];
        (go::toolchains().collect(), flavours.to_vec())
    } else {
        (go::ends().to_vec(), vec![Flavour::Plain, Flavour::Pie])
    };
    let cells = toolchains.iter().flat_map(|toolchain| {
        let flavours = flavours.iter();
        flavours.map(|flavour| (*toolchain, *flavour))
    });
    let trials = cells.map(|(toolchain, flavour)| {
        let name = format!("every shape is found, {flavour}");
        trial_of(toolchain, &name, move || {
            every_shape_is_found(toolchain, flavour)
        })
    });
    trials.collect()
}

fn every_shape_is_found(toolchain: Toolchain, flavour: Flavour) {
    let program = go::program(toolchain, "holders/shapes", flavour).expect("the shapes");
    let score = compare::score(&program);
    assert!(score.wrong.is_empty(), "{:#?}", score.wrong);
    assert!(score.missed.is_empty(), "{:#?}", score.missed);
    assert_eq!(score.with_others, 0);
    assert!(score.right > 150, "only {} facts", score.right);
}

/// Goroutines with the same frames whose locks differ. What serves for several of them is also
/// compared with what each comes to by itself (`compare::same_one_by_one`).
fn those_that_stand_alike_keep_their_own_locks(toolchain: Toolchain) {
    let program = go::program(toolchain, "holders/alike", Flavour::Plain);
    let score = compare::score(&program.expect("those alike"));
    assert!(score.wrong.is_empty(), "{:#?}", score.wrong);
    let mut missed = score.missed.clone();
    missed.retain(|shape, _| !WITHOUT_PAST.contains(&shape.as_str()));
    assert!(missed.is_empty(), "{missed:#?}");
    assert!(score.right > 250, "only {} facts", score.right);
}

fn random_programs() -> Trial {
    let asked = env::var("GOSTUCK_HOLDERS_PROGRAMS").ok();
    let programs = asked.and_then(|n| n.parse().ok()).unwrap_or(PROGRAMS);
    let mut needs = vec![Need::Root];
    needs.extend((1..=programs).map(|seed| Need::Go(version_for(seed))));
    trials::trial(
        "random programs never get a wrong holder",
        &needs,
        move || random_programs_never_get_a_wrong_holder(programs),
    )
}

/// The version by which a random program is built.
fn version_for(seed: u64) -> &'static str {
    let index = (seed * 5) % VERSIONS.len() as u64;
    VERSIONS[index as usize]
}

fn random_programs_never_get_a_wrong_holder(programs: u64) {
    let (mut right, mut with_others, mut missed) = (0, 0, 0);
    for seed in 1..=programs {
        let version = version_for(seed);
        let score = run(seed, Toolchain::of(version));
        assert!(score.wrong.is_empty(), "seed {seed}: {:#?}", score.wrong);
        let misses: usize = score.missed.values().map(Vec::len).sum();
        println!(
            "seed {seed}, Go {version}: {} exact, {} with others, {misses} missed",
            score.right, score.with_others
        );
        right += score.right;
        with_others += score.with_others;
        missed += misses;
    }
    println!("{right} holders exact, {with_others} with others, {missed} left open, none wrong");
    // Two thirds of the locks are taken by `occupy`, by TryLock in a loop: no past tells that.
    assert!(
        8 * right > missed && right > 3 * with_others,
        "{right} exact, {with_others} with others, {missed} missed"
    );
}

fn run(seed: u64, toolchain: Toolchain) -> Score {
    let folder = paths::scratch().join(format!("holders/random-{seed}"));
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("go.mod"), "module random\n\ngo 1.19\n").expect("go.mod");
    fs::write(folder.join("main.go"), generate::program(seed)).expect("main.go");
    let program = folder.with_extension(toolchain.version);
    let built = toolchain.build(&folder, Flavour::Plain, &program);
    built.expect("a random program");
    compare::score(&program)
}
