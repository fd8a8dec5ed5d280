//! Looks at random programs whose truth is known while they run, and compares every look with it:
//! whatever is proven must be dead, every holder named for certain must hold the lock, and of what is
//! dead the share that is proven is counted.
//!
//! An ordinary run tries a few fixed seeds on the oldest and the newest Go. `cargo xtask bench
//! soundness` goes on for as long as one likes: it runs this with the word `campaign` and options.
//! Needs Go toolchains and root.

#[path = "../support/go.rs"]
#[allow(dead_code, reason = "shared with tests that need more of it")]
mod go;

mod build;
mod campaign;
mod compare;
mod generate;
mod shadow;
mod tally;
mod watch;

use std::{path::Path, process::ExitCode, time::Duration};

use clap::Parser as _;
use libtest_mimic::{Arguments, Failed, Trial};

use build::Flavour;
use campaign::Campaign;
use go::Toolchain;
use tally::Tally;
use watch::Job;

/// The seeds of an ordinary run, on each of its versions: healthy ones of which something wrong was
/// said once, and deadlocks (multiples of three).
const SEEDS: [u64; 12] = [6, 9, 35, 48, 54, 60, 401, 409, 418, 440, 446, 454];
/// Time for each of them.
const EACH: Duration = Duration::from_secs(3);
/// The oldest version for which nothing wrong may be said.
const OLDEST: u32 = 21;

fn main() -> ExitCode {
    let mut arguments = std::env::args();
    if arguments.nth(1).as_deref() == Some("campaign") {
        let campaign = Campaign::parse_from(std::env::args().skip(1));
        return match campaign.run() {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(why) => {
                eprintln!("{why}");
                ExitCode::FAILURE
            }
        };
    }
    let arguments = Arguments::from_args();
    let root = nix::unistd::geteuid().is_root();
    let mut toolchains = go::installed();
    toolchains.retain(|toolchain| toolchain.minor >= OLDEST);
    if toolchains.is_empty() {
        eprintln!("no Go toolchain: run `cargo xtask setup --all-go`");
        return ExitCode::from(101);
    }
    if toolchains.len() > 2 {
        toolchains.drain(1..toolchains.len() - 1);
    }
    let trials = toolchains.into_iter().map(|toolchain| {
        Trial::test(format!("Go {}", toolchain.version), move || {
            fixed(&toolchain).map_err(Failed::from)
        })
        // Reading another process's memory needs root or a lenient ptrace scope.
        .with_ignored_flag(!root)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// Tries the fixed seeds on one version.
fn fixed(toolchain: &Toolchain) -> Result<(), String> {
    let mut all = Tally::default();
    let folder = format!("soundness/fixed-{}", toolchain.version);
    for seed in SEEDS {
        let job = Job {
            seed,
            toolchain: toolchain.clone(),
            flavour: Flavour::of(seed),
            looks: u64::MAX,
            time: EACH,
            failures: campaign::failures(),
        };
        all.add(&watch::watch(
            &job,
            &Path::new(env!("CARGO_TARGET_TMPDIR")).join(&folder),
        )?);
    }
    println!("{}\n{}", tally::HEAD, all.row(&toolchain.version));
    if all.false_proofs + all.wrong_holders > 0 {
        return Err(all.kept.join("\n"));
    }
    Ok(())
}
