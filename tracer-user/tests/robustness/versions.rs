//! Go versions that gostuck does not know: the nearest layout is tried and checked against the live
//! process. The versions are lies told by real binaries: their version texts are overwritten.

use std::{fs, path::PathBuf};

use tempfile::TempDir;

use crate::{
    go::{self, Flavour, Toolchain},
    gostuck::{self, Answer},
    target::Target,
};

/// A stripped program of `toolchain` that calls itself `version`, which must be as long as the
/// real one.
fn lying(toolchain: &Toolchain, version: &str) -> Result<(TempDir, PathBuf), String> {
    let honest = go::build(toolchain, "abba", Flavour::Stripped)?;
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

fn inspect_lying(toolchain: &Toolchain, version: &str) -> Result<Answer, String> {
    let (_directory, liar) = lying(toolchain, version)?;
    let target = Target::ready(&liar, &[])?;
    gostuck::inspect(target.pid())
}

fn toolchain(choose: impl Fn(&Toolchain) -> bool) -> Result<Toolchain, String> {
    let mut installed = go::installed().into_iter().rev();
    installed
        .find(choose)
        .ok_or_else(|| "no such Go is installed".into())
}

/// The newest Go under the name of its successor: everything is where it was, so all is found.
pub(crate) fn newer() -> Result<(), String> {
    let newest = toolchain(|t| t.version.len() == "1.27.3".len())?;
    let document = inspect_lying(&newest, "go1.28.0")?.document()?;
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
pub(crate) fn newer_of_another_layout() -> Result<(), String> {
    let oldest = toolchain(|t| t.version.len() == "1.19.8".len() && t.minor < 23)?;
    inspect_lying(&oldest, "go1.28.0")?.refuses("go1.28.0")
}

pub(crate) fn unsupported() -> Result<(), String> {
    let newest = toolchain(|t| t.version.len() == "1.27.3".len())?;
    for version in ["go1.18.9", "go0.0.00", "nonsense"] {
        inspect_lying(&newest, version)?.refuses("")?;
    }
    Ok(())
}
