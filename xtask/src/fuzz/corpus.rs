//! Where inputs lie: those that are kept in the repository, and those that fuzzing has found here.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::campaign;
use crate::{command, paths};

/// Most inputs kept of one target,
const MAX_KEPT: usize = 40;
/// and most bytes of one.
const MAX_KEPT_BYTES: u64 = 3 << 10;

/// The folders of one target.
pub(super) struct Corpus {
    target: String,
}

fn fuzz() -> PathBuf {
    paths::workspace().join("fuzz")
}

/// Where inputs lie that broke something.
pub(super) fn artifacts() -> PathBuf {
    fuzz().join("artifacts")
}

/// All targets: those with a folder of seeds.
pub(super) fn targets() -> Result<Vec<String>> {
    let seeds = fuzz().join("seeds");
    let failed = || format!("cannot read {}", seeds.display());
    let entries = fs::read_dir(&seeds).with_context(failed)?;
    let names: io::Result<Vec<_>> = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect();
    let mut names = names.with_context(failed)?;
    names.sort_unstable();
    Ok(names)
}

impl Corpus {
    pub(super) fn of(target: &str) -> Self {
        Self {
            target: target.to_owned(),
        }
    }

    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// Inputs found here; not kept in the repository.
    pub(super) fn grown(&self) -> PathBuf {
        fuzz().join("corpus").join(&self.target)
    }

    fn seeds(&self) -> PathBuf {
        fuzz().join("seeds").join(&self.target)
    }

    /// The folders that libFuzzer reads; it writes to the first.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let regressions = fuzz().join("regressions").join(&self.target);
        let all = [self.grown(), self.seeds(), regressions];
        all.into_iter().filter(|folder| folder.is_dir()).collect()
    }

    /// Creates what is written to.
    pub(super) fn create(&self) -> Result<()> {
        for folder in [self.grown(), artifacts()] {
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot create {}", folder.display()))?;
        }
        Ok(())
    }

    /// Puts those inputs into the folder of seeds, in place of what is there, that reach what no smaller
    /// one does.
    pub(super) fn keep(&self, program: &Path) -> Result<()> {
        let merged = fuzz()
            .join("corpus")
            .join(format!("{}.merged", self.target));
        let _ = fs::remove_dir_all(&merged);
        fs::create_dir_all(&merged)?;
        let mut merge = campaign::command(program, &self.target);
        merge.arg("-merge=1").arg(&merged).args(self.folders());
        command::run(merge.stderr(std::process::Stdio::null()))?;
        let mut inputs = Vec::new();
        for entry in fs::read_dir(&merged)? {
            let entry = entry?;
            inputs.push((entry.metadata()?.len(), entry.path()));
        }
        // libFuzzer names inputs by their digests: in that order they are a fair sample.
        inputs.retain(|(len, _)| *len <= MAX_KEPT_BYTES);
        inputs.sort_unstable_by(|a, b| a.1.cmp(&b.1));
        inputs.truncate(MAX_KEPT);
        let seeds = self.seeds();
        for seed in fs::read_dir(&seeds)? {
            fs::remove_file(seed?.path())?;
        }
        for (_, input) in &inputs {
            let name = input.file_name().context("an input has no name")?;
            fs::copy(input, seeds.join(name))?;
        }
        fs::remove_dir_all(&merged)?;
        eprintln!("{}: kept {} inputs", self.target, inputs.len());
        Ok(())
    }
}
