//! Building generated programs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use testing::{
    Result,
    go::{self, Toolchain},
};

use crate::generate::Program;

/// How programs are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flavour {
    /// Without symbols.
    pub(crate) strip: bool,
    /// Without optimisation and inlining.
    pub(crate) unoptimised: bool,
    /// With C.
    pub(crate) cgo: bool,
}

impl Flavour {
    /// Returns how the program that `seed` names is built unless something else is asked for.
    pub(crate) fn of(seed: u64) -> Self {
        // Every third seed is a deadlock: these are built in each way, too.
        match (seed / 3) % 4 {
            0 | 1 => Self::default(),
            2 => Self {
                strip: true,
                ..Self::default()
            },
            _ => Self {
                unoptimised: true,
                ..Self::default()
            },
        }
    }

    /// Returns a word for the names of folders and tables.
    pub(crate) fn name(self) -> String {
        let words = [
            (self.strip, "stripped"),
            (self.unoptimised, "unoptimised"),
            (self.cgo, "cgo"),
        ];
        let words: Vec<&str> = words.iter().filter(|w| w.0).map(|w| w.1).collect();
        match words.as_slice() {
            [] => "plain".to_owned(),
            words => words.join("-"),
        }
    }
}

/// Writes the program to `folder` and builds it there; returns the executable.
pub(crate) fn build(
    toolchain: Toolchain,
    program: &Program,
    flavour: Flavour,
    folder: &Path,
) -> Result<PathBuf> {
    let write = |name: &str, text: &str| {
        fs::write(folder.join(name), text).map_err(|error| format!("{name}: {error}"))
    };
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    write("main.go", &program.source)?;
    write(
        "go.mod",
        &format!("module soundness\n\ngo 1.{}\n", toolchain.minor),
    )?;
    let executable = folder.join("program");
    let mut go = toolchain.command(folder);
    go.env("CGO_ENABLED", if flavour.cgo { "1" } else { "0" });
    go.arg("build");
    if flavour.strip {
        go.arg("-ldflags=-s -w");
    }
    if flavour.unoptimised {
        go.arg("-gcflags=all=-N -l");
    }
    go::compile(&mut go, Path::new("."), &executable)?;
    Ok(executable)
}
