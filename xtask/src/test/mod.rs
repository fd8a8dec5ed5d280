//! All tests, with one summary.

mod chart;
mod disk;
mod silent;
mod skips;
mod tally;
mod times;

use std::{env, fs, os::unix::process::CommandExt as _, process::Command, thread, time::Instant};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use tracer_ebpf_build::FROM_SOURCE;

use crate::{
    command::{self, step},
    ebpf, fuzz, paths, setup,
};
use tally::Tally;
use times::Times;

/// What to test.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only the tests whose names contain this.
    filter: Option<String>,
    /// Also what a release must pass: formatting, clippy, the committed web bundle and BPF objects,
    /// the Helm chart, a minute of fuzzing of each target. Builds the BPF programs from source.
    #[arg(long)]
    ci: bool,
}

/// Sets up, runs everything, and fails if anything did.
pub(crate) fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    disk::warn_when_short();
    if options.ci && env::var_os(FROM_SOURCE[0]).is_none() {
        return again_from_source();
    }
    let mut tally = Tally::default();
    let test = [
        "test",
        "--locked",
        "--workspace",
        "--exclude",
        "tracer-ebpf",
    ];
    set_up_beside(|| {
        if options.ci {
            tally.check("formatting", command::cargo(["fmt", "--all", "--check"]));
            lints(&mut tally);
        }
        // Apart from the run, so that only tests are timed: a build says nothing for minutes.
        tally.check(
            "building the tests",
            command::cargo(test.iter().chain(&["--no-run"])),
        );
    })?;
    if options.ci {
        tally.check("committed BPF objects", ebpf::check());
        web(&mut tally);
        chart::check(&mut tally);
    }
    let mut cargo = command::cargo_command();
    let times = Times::of(&mut cargo);
    cargo.args(test).arg("--no-fail-fast");
    if let Some(filter) = &options.filter {
        cargo.args(["--", filter]);
    }
    tally.cargo_test(&mut cargo)?;
    rules(&mut tally);
    if options.ci {
        tally.check("fuzzing, a minute of each target", fuzz::run_in_ci());
    }
    if options.ci {
        tally.fail_skips_of_what_is_here();
    }
    times.print();
    tally.print(started.elapsed());
    if tally.failed() > 0 {
        bail!("tests failed");
    }
    Ok(())
}

/// Installs what the tests need, which mostly waits for downloads, while `work` goes on, which needs
/// no more than what building does.
fn set_up_beside(work: impl FnOnce()) -> Result<()> {
    setup::for_building()?;
    thread::scope(|scope| {
        let setting_up = scope.spawn(|| {
            setup::run(&setup::Options {
                all_go: true,
                test_tools: true,
                ..setup::Options::default()
            })
        });
        work();
        let done = setting_up.join();
        done.map_err(|_| anyhow!("setting up panicked"))?
    })
}

/// Clippy on everything, and on what is left without the features.
fn lints(tally: &mut Tally) {
    let all = ["--workspace", "--exclude", "tracer-ebpf", "--all-targets"];
    let bare = ["--package", "tracer-user", "--no-default-features"];
    for (name, what) in [("clippy", &all[..]), ("clippy, no features", &bare[..])] {
        let arguments = ["clippy", "--locked"].iter().chain(what);
        let result = command::cargo(arguments.chain(&["--", "-D", "warnings"]));
        tally.check(name, result);
    }
}

/// Runs us once more, so that every build below is with a BPF object of its own: whether the sources
/// still build is for CI to say. The committed object gets tests, too.
fn again_from_source() -> Result<()> {
    let error = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(FROM_SOURCE[0], "1")
        .exec();
    Err(error.into())
}

/// The alert rules' own unit tests.
fn rules(tally: &mut Tally) {
    let rules = paths::workspace().join("deploy/prometheus");
    if paths::on_path("promtool").is_none() {
        tally.skip("alert rules: promtool is not installed");
        return;
    }
    for arguments in [
        ["check", "rules", "gostuck.rules.yml"],
        ["test", "rules", "gostuck.rules.test.yml"],
    ] {
        let result = command::run(Command::new("promtool").current_dir(&rules).args(arguments));
        tally.check(
            &format!("promtool {} {}", arguments[0], arguments[1]),
            result,
        );
    }
}

/// The page's unit tests, and whether the committed bundle is what its sources build to.
fn web(tally: &mut Tally) {
    let web = paths::workspace().join("tracer-user/web");
    if paths::on_path("npm").is_none() {
        tally.skip("web page: npm is not installed");
        return;
    }
    let npm =
        |arguments: &[&str]| command::run(Command::new("npm").current_dir(&web).args(arguments));
    let read = || {
        ["app.js", "app.css", "index.html"].map(|name| fs::read(web.join("dist").join(name)).ok())
    };
    let committed = read();
    tally.check("web page: install", npm(&["ci", "--silent"]));
    tally.check("web page: types", npm(&["run", "--silent", "check"]));
    tally.check("web page: unit tests", npm(&["test", "--silent"]));
    tally.check("web page: build", npm(&["run", "--silent", "build"]));
    let same = if committed == read() {
        Ok(())
    } else {
        Err(anyhow::anyhow!(
            "dist/ is not what the sources build to: commit the new bundle"
        ))
    };
    step("web page: comparing the bundle");
    tally.check("web page: committed bundle", same);
}
