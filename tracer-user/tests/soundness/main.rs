//! Looks at random programs whose truth is known while they run, and compares every look with it:
//! whatever is proven must be dead, every holder named for certain must hold the lock, and of what is
//! dead the share that is proven is counted.
//!
//! An ordinary run tries a few fixed seeds on the oldest and the newest Go. `cargo xtask bench
//! soundness` goes on for as long as one likes: it runs this with the word `campaign` and options.
//! Needs Go toolchains and root.

mod build;
mod campaign;
mod compare;
mod generate;
mod shadow;
mod tally;
mod watch;

use std::{process::ExitCode, time::Duration};

use clap::Parser as _;
use libtest_mimic::Arguments;
use testing::{
    Result,
    go::{NEWEST, Toolchain},
    paths,
    trials::{Need, trial},
};

use build::Flavour;
use campaign::Campaign;
use tally::Tally;
use watch::Job;

/// The seeds of an ordinary run, on each of its versions: healthy ones of which something wrong was
/// said once, and deadlocks (multiples of three).
const SEEDS: [u64; 12] = [6, 9, 35, 48, 54, 60, 401, 409, 418, 440, 446, 454];
/// Time for each of them.
const EACH: Duration = Duration::from_secs(3);
/// The oldest version for which nothing wrong may be said.
const OLDEST: &str = "1.21.13";

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
    let versions = [OLDEST, NEWEST];
    let trials = versions.map(|version| {
        let name = format!("Go {version}");
        trial(&name, &[Need::Root, Need::Go(version)], || {
            fixed(Toolchain::of(version))
        })
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// Tries the fixed seeds on one version.
fn fixed(toolchain: Toolchain) -> Result {
    let mut all = Tally::default();
    let folder = format!("soundness/fixed-{}", toolchain.version);
    for seed in SEEDS {
        let job = Job {
            seed,
            toolchain,
            flavour: Flavour::of(seed),
            looks: u64::MAX,
            time: EACH,
            failures: campaign::failures(),
        };
        all.add(&watch::watch(&job, &paths::scratch().join(&folder))?);
    }
    println!("{}\n{}", tally::HEAD, all.row(toolchain.version));
    if all.false_proofs + all.wrong_holders > 0 {
        return Err(all.kept.join("\n"));
    }
    Ok(())
}
