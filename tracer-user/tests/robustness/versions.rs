//! Go versions that gostuck does not know: the nearest layout is tried and checked against the live
//! process. The versions are lies told by real binaries: their version texts are overwritten.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use testing::{
    Result,
    go::{self, Flavour, NEWEST, OLDEST, Toolchain},
};

use crate::{
    gostuck::{self, Answer},
    target::ready,
};

/// A stripped program of `toolchain` that calls itself `version`, which must be as long as the
/// real one.
fn lying(toolchain: Toolchain, version: &str) -> Result<(TempDir, PathBuf)> {
    let honest = go::program(toolchain, "abba", Flavour::Stripped)?;
    let mut bytes = fs::read(&honest).map_err(|error| error.to_string())?;
    let truth = format!("go{}", toolchain.version);
    assert_eq!(truth.len(), version.len(), "{truth} becomes {version}");
    let places: Vec<usize> = bytes
        .windows(truth.len())
        .enumerate()
        .filter(|(_, window)| *window == truth.as_bytes())
        .map(|(at, _)| at)
        .collect();
    if places.is_empty() {
        return Err(format!("{truth} does not stand in {}", honest.display()));
    }
    for at in places {
        bytes[at..at + version.len()].copy_from_slice(version.as_bytes());
    }
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let liar = gostuck::copy(&honest, directory.path(), "liar")?;
    fs::write(&liar, bytes).map_err(|error| error.to_string())?;
    Ok((directory, liar))
}

fn inspect_lying(toolchain: Toolchain, version: &str) -> Result<Answer> {
    let (_directory, liar) = lying(toolchain, version)?;
    let target = ready(&liar, &[])?;
    gostuck::inspect(target.pid())
}

/// The newest Go under the name of its successor: everything is where it was, so all is found.
pub(crate) fn newer() -> Result {
    let document = inspect_lying(Toolchain::of(NEWEST), "go1.28.0")?.document()?;
    let findings = document["findings"].to_string();
    if document["process"]["go_version"] == "go1.28.0" && findings.contains("lock-cycle") {
        Ok(())
    } else {
        Err(format!(
            "no lock cycle in what calls itself Go 1.28: {findings}"
        ))
    }
}

/// An old Go under the name of a future one: its structs are not where the newest has them.
pub(crate) fn newer_of_another_layout() -> Result {
    inspect_lying(Toolchain::of(OLDEST), "go1.28.0")?.refuses("go1.28.0")
}

pub(crate) fn unsupported() -> Result {
    for version in ["go1.18.9", "go0.0.00", "nonsense"] {
        inspect_lying(Toolchain::of(NEWEST), version)?.refuses("")?;
    }
    Ok(())
}
