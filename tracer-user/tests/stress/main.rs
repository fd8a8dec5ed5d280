//! Looks again and again at healthy programs that do nasty things with locks, while they run: none of
//! their goroutines may ever be proven stuck. A verdict comes out of two looks at a moving target,
//! so each pair of looks is another chance to be wrong.
//!
//! Each installed Go gets `GOSTUCK_STRESS_SECONDS` (by default 10) shared by all programs. Needs Go
//! toolchains and root.

use std::{
    env,
    path::Path,
    time::{Duration, Instant},
};

use libtest_mimic::Arguments;
use testing::{
    Result,
    go::{self, Flavour, Toolchain},
    process::Process,
    trials::{Need, trial},
};
use tracer_user::{
    finding::{Options, Verdict},
    ids::Pid,
    inspect::{History, Inspector},
};

/// The programs, below `programs/`.
const PROGRAMS: [(&str, Flavour); 6] = [
    ("healthy/locks", Flavour::Plain),
    ("healthy/patterns", Flavour::Stripped),
    ("healthy/services", Flavour::Plain),
    ("healthy/native", Flavour::Cgo),
    ("healthy/locks", Flavour::NoOptimisation),
    ("healthy-locks", Flavour::Stripped),
];
/// How long one Go version is tried by default.
const SECONDS: u64 = 10;

fn main() {
    let trials = go::toolchains().map(|toolchain| {
        let version = toolchain.version;
        trial(
            &format!("Go {version}"),
            &[Need::Root, Need::Go(version)],
            move || stress(toolchain),
        )
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn stress(toolchain: Toolchain) -> Result {
    let asked = env::var("GOSTUCK_STRESS_SECONDS").ok();
    let seconds = asked.and_then(|n| n.parse().ok()).unwrap_or(SECONDS);
    let each = Duration::from_secs(seconds) / u32::try_from(PROGRAMS.len()).unwrap_or(1);
    let mut total = Tally::default();
    for (name, flavour) in PROGRAMS {
        let program = go::program(toolchain, name, flavour)?;
        let looks = watch(&program, each).map_err(|why| format!("{name}, {flavour}: {why}"))?;
        if looks.made == 0 {
            return Err(format!("{name}, {flavour}: no look succeeded"));
        }
        total.made += looks.made;
        total.suspicious += looks.suspicious;
    }
    println!(
        "Go {}: {} looks, {} of which suspected something, none proved anything",
        toolchain.version, total.made, total.suspicious
    );
    Ok(())
}

#[derive(Default)]
struct Tally {
    made: u64,
    /// Looks with a suspicion that only a further look could clear.
    suspicious: u64,
}

/// Looks at `program` for `time`, in turn through one looker and at a process that it has seen
/// before.
fn watch(program: &Path, time: Duration) -> Result<Tally> {
    let target = Process::run(program)?;
    let pid = Pid(target.pid());
    let looker = Inspector::new(Options::default());
    let mut past = History::default();
    let mut tally = Tally::default();
    let begun = Instant::now();
    while begun.elapsed() < time {
        let look = match tally.made % 2 {
            0 => looker.look(pid),
            _ => looker.reinspect(pid, &mut past),
        };
        let diagnosis = look.map_err(|error| error.to_string())?.diagnosis;
        let proven: Vec<_> = diagnosis
            .findings
            .iter()
            .filter(|finding| finding.verdict == Verdict::Proven)
            .collect();
        if !proven.is_empty() {
            return Err(format!("after {} looks: {proven:#?}", tally.made));
        }
        tally.made += 1;
        tally.suspicious += u64::from(!diagnosis.findings.is_empty());
    }
    Ok(tally)
}
