//! All tests, with one summary.

mod chart;
mod disk;
mod silent;
mod tally;

use std::{fs, process::Command, time::Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    command::{self, step},
    fuzz, paths, setup,
};
use tally::Tally;

/// What to test.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only the tests whose names contain this.
    filter: Option<String>,
    /// Also what a release must pass: formatting, clippy, the committed web bundle, the Helm chart,
    /// a minute of fuzzing of each target.
    #[arg(long)]
    ci: bool,
}

/// Sets up, runs everything, and fails if anything did.
pub(crate) fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    disk::warn_when_short();
    setup::run(&setup::Options {
        all_go: true,
        test_tools: true,
        ..setup::Options::default()
    })?;
    let mut tally = Tally::default();
    if options.ci {
        tally.check("formatting", command::cargo(["fmt", "--all", "--check"]));
        let clippy = [
            "clippy",
            "--locked",
            "--workspace",
            "--exclude",
            "tracer-ebpf",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        tally.check("clippy", command::cargo(clippy));
        web(&mut tally);
        chart::check(&mut tally);
    }
    let test = [
        "test",
        "--locked",
        "--workspace",
        "--exclude",
        "tracer-ebpf",
    ];
    // Apart from the run, so that only tests are timed: a build says nothing for minutes.
    tally.check(
        "building the tests",
        command::cargo(test.iter().chain(&["--no-run"])),
    );
    let mut cargo = Command::new(command::cargo_program());
    cargo
        .current_dir(paths::workspace())
        .args(test)
        .arg("--no-fail-fast");
    if let Some(filter) = &options.filter {
        cargo.args(["--", filter]);
    }
    tally.cargo_test(&mut cargo)?;
    rules(&mut tally);
    if options.ci {
        tally.check("fuzzing, a minute of each target", fuzz::run_in_ci());
    }
    tally.print(started.elapsed());
    if tally.failed() > 0 {
        bail!("tests failed");
    }
    Ok(())
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
