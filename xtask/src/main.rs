//! `cargo xtask`: sets up, builds, tests, demonstrates and measures gostuck.

mod bench;
mod command;
mod compare;
mod demo;
mod ebpf;
mod fuzz;
mod layouts;
mod package;
mod paths;
mod setup;
mod test;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    about = "Sets up, builds, tests, demonstrates and measures gostuck"
)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Installs what is missing: Go toolchains, and what compiles the BPF programs if they were
    /// changed; mounts tracefs and bpffs.
    Setup(setup::Options),
    /// Sets up what the build needs and builds the release binary.
    Build,
    /// Builds the BPF objects that are committed, in tracer-ebpf/object.
    Ebpf(ebpf::Options),
    /// Builds the Debian package, with cargo-deb.
    Package,
    /// Shows the main job: a server with a deadlock, seen from outside.
    Demo,
    /// Runs all tests: unit, property, end to end with real eBPF on real Go programs.
    Test(test::Options),
    /// Changes what is read of others at random, for as long as you like: nothing of it may break anything.
    Fuzz(fuzz::Options),
    /// Rewrites the table of runtime struct layouts from real toolchains.
    Layouts(layouts::Options),
    /// Runs gostuck beside Go's goroutineleak profile, and writes the tables of docs/comparison.md.
    Compare(compare::Options),
    /// Measures, and writes the tables of docs/performance.md.
    Bench(bench::Options),
}

fn main() -> Result<()> {
    match Args::parse().task {
        Task::Setup(options) => setup::run(&options),
        Task::Build => {
            setup::for_building()?;
            command::cargo(["build", "--release", "--locked", "--package", "tracer-user"])
        }
        Task::Ebpf(options) => ebpf::run(&options),
        Task::Package => package::run(),
        Task::Demo => demo::run(),
        Task::Test(options) => test::run(&options),
        Task::Fuzz(options) => fuzz::run(&options),
        Task::Layouts(options) => layouts::run(&options),
        Task::Compare(options) => compare::run(&options),
        Task::Bench(options) => bench::run(&options),
    }
}
