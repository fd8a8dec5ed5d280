//! The objects in `tracer-ebpf/object/`, and the file that says what they were built of.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{
    ARCHITECTURES,
    sources::{Sources, digest},
};

const DIRECTORY: &str = "tracer-ebpf/object";
const RECORD: &str = "built-from.txt";
const COMPILER: &str = "# With ";

/// The committed objects of a workspace.
#[derive(Debug)]
pub struct Committed<'a> {
    workspace: &'a Path,
}

impl<'a> Committed<'a> {
    /// Those of `workspace`.
    #[must_use]
    pub const fn of(workspace: &'a Path) -> Self {
        Self { workspace }
    }

    /// Where the object for hosts of `architecture` is.
    #[must_use]
    pub fn object(&self, architecture: &str) -> PathBuf {
        self.workspace.join(self.name(architecture))
    }

    /// The file that says what they were built of.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.workspace.join(DIRECTORY).join(RECORD)
    }

    /// Why the objects are not what the sources would build to, if so.
    ///
    /// # Errors
    /// When a source cannot be read.
    pub fn misfit(&self) -> Result<Option<String>> {
        let Ok(record) = fs::read_to_string(self.record()) else {
            return Ok(Some(format!("there is no {DIRECTORY}/{RECORD}")));
        };
        let Ok(now) = self.now() else {
            return Ok(Some(format!("an object is missing in {DIRECTORY}")));
        };
        let then = Sources::parse(&record);
        let difference = now.difference(&then);
        Ok(difference.map(|name| format!("{name} is not what it was built with")))
    }

    /// The compiler and linker that the objects were built by.
    #[must_use]
    pub fn compiler(&self) -> Option<String> {
        let record = fs::read_to_string(self.record()).ok()?;
        let mut lines = record.lines();
        lines.find_map(|line| Some(line.strip_prefix(COMPILER)?.to_owned()))
    }

    /// Says what the objects, which are in place, were built of: what is there now, by `compiler`.
    ///
    /// # Errors
    /// When a source cannot be read, or the file not be written.
    pub fn write_record(&self, compiler: &str) -> Result<()> {
        let text = format!(
            "# The BPF objects and what they were built of: `cargo xtask ebpf` writes this.\n\
             {COMPILER}{compiler}\n{}",
            self.now()?
        );
        let record = self.record();
        fs::write(&record, text).with_context(|| format!("cannot write {}", record.display()))
    }

    fn name(&self, architecture: &str) -> String {
        format!("{DIRECTORY}/gostuck-ebpf.{architecture}.o")
    }

    /// The digests of the sources and of the objects as they are.
    fn now(&self) -> Result<Sources> {
        let mut sources = Sources::read(self.workspace)?;
        for architecture in ARCHITECTURES {
            let digest = digest(&self.object(architecture))?;
            sources.insert(self.name(architecture), digest);
        }
        Ok(sources)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    #[test]
    fn what_is_committed_is_up_to_date() {
        let misfit = Committed::of(workspace()).misfit().unwrap();
        assert_eq!(misfit, None, "run: cargo xtask ebpf");
    }

    #[test]
    fn the_machine_that_built_it_leaves_no_trace() {
        for architecture in ARCHITECTURES {
            let object = fs::read(Committed::of(workspace()).object(architecture)).unwrap();
            let text = String::from_utf8_lossy(&object);
            assert!(text.contains("registry/aya-ebpf"), "no BTF");
            for trace in ["/.cargo/", "/root/", "/home/", "index.crates.io"] {
                assert!(!text.contains(trace), "{trace} in {architecture}");
            }
        }
    }
}
