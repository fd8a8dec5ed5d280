//! The BPF objects that are committed, so that building gostuck takes no compiler for BPF.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use tracer_ebpf_build::{ARCHITECTURES, Committed, Toolchain};

use crate::{command::step, paths, setup};

/// What to do with the objects.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only tell whether they are what the sources build to.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    setup::run(&setup::Options {
        ebpf_only: true,
        ..setup::Options::default()
    })?;
    if options.check { check() } else { renew() }
}

/// Builds the object for each architecture.
fn build(toolchain: &Toolchain) -> Result<Vec<(&'static str, PathBuf)>> {
    let directory = paths::target().join("ebpf");
    let build = |architecture| {
        step(&format!("BPF object for {architecture}: building"));
        let object = toolchain.compile(paths::workspace(), architecture, &directory)?;
        Ok((architecture, object))
    };
    ARCHITECTURES.into_iter().map(build).collect()
}

fn renew() -> Result<()> {
    let toolchain = Toolchain::find()?;
    let committed = Committed::of(paths::workspace());
    for (architecture, object) in build(&toolchain)? {
        let destination = committed.object(architecture);
        fs::copy(&object, &destination)
            .with_context(|| format!("cannot write {}", destination.display()))?;
        step(&format!("wrote {}", destination.display()));
    }
    committed.write_record(&toolchain.versions()?)
}

/// Fails unless the committed objects were built of the sources as they are, and, where the toolchain
/// is the one that built them, building them again makes the same bytes.
pub(crate) fn check() -> Result<()> {
    let committed = Committed::of(paths::workspace());
    if let Some(misfit) = committed.misfit()? {
        bail!("the committed BPF objects are out of date: {misfit}. Run: cargo xtask ebpf");
    }
    let toolchain = Toolchain::find()?;
    let here = toolchain.versions()?;
    let recorded = committed.compiler().unwrap_or_default();
    if here != recorded {
        step(&format!(
            "BPF objects: their sources are unchanged. Not built again: that takes {recorded}; \
             here is {here}"
        ));
        return Ok(());
    }
    for (architecture, object) in build(&toolchain)? {
        ensure!(
            is_same(&object, &committed.object(architecture))?,
            "the committed BPF object for {architecture} is not what its sources build to. \
             Run: cargo xtask ebpf"
        );
    }
    step("BPF objects: the sources build to the committed ones, byte for byte");
    Ok(())
}

fn is_same(one: &Path, other: &Path) -> Result<bool> {
    Ok(fs::read(one)? == fs::read(other)?)
}
