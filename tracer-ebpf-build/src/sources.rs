//! What decides how the object comes out, besides the compiler.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

/// The packages of this workspace that are compiled into the object.
pub const PACKAGES: [&str; 2] = ["tracer-ebpf", "tracer-common"];
/// How it is compiled: flags and profile.
const FLAGS: &str = "tracer-ebpf-build/src/compile.rs";
/// How the names of the packages begin that generate code in it, of those that it depends on.
const DEPENDENCIES: [&str; 2] = ["aya-ebpf", "aya-log"];

/// Names and digests of all sources: files of the workspace, and packages in `Cargo.lock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources(BTreeMap<String, String>);

impl Sources {
    /// Reads those of `workspace`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn read(workspace: &Path) -> Result<Self> {
        let mut files = vec![PathBuf::from(FLAGS)];
        for package in PACKAGES {
            let package = Path::new(package);
            files.push(package.join("Cargo.toml"));
            collect(workspace, &package.join("src"), &mut files)?;
        }
        let mut sources = BTreeMap::new();
        for file in files {
            let digest = digest(&workspace.join(&file))?;
            sources.insert(file.to_string_lossy().into_owned(), digest);
        }
        let lock = read(&workspace.join("Cargo.lock"))?;
        sources.extend(dependencies(&String::from_utf8_lossy(&lock)));
        Ok(Self(sources))
    }

    /// Parses what [`Sources`]' `Display` writes; other lines are passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| {
            let (digest, name) = line.split_once("  ")?;
            Some((name.to_owned(), digest.to_owned()))
        });
        Self(lines.collect())
    }

    /// Adds one.
    pub(crate) fn insert(&mut self, name: String, digest: String) {
        self.0.insert(name, digest);
    }

    /// The first source that is not in `other` as it is here, or is there only.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<&str> {
        let differs = |(name, digest): &(&String, &String)| other.0.get(*name) != Some(*digest);
        let here = self.0.iter().find(differs);
        let there = || other.0.iter().find(|(name, _)| !self.0.contains_key(*name));
        // A name of `other` cannot be lent out of `self`, and saying which file has gone is no use.
        here.map(|(name, _)| name.as_str())
            .or_else(|| there().map(|_| "a source that is gone"))
    }
}

impl fmt::Display for Sources {
    /// As sha256sum does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, digest) in &self.0 {
            writeln!(f, "{digest}  {name}")?;
        }
        Ok(())
    }
}

/// The SHA-256 of a file.
pub(crate) fn digest(file: &Path) -> Result<String> {
    use fmt::Write as _;
    let mut text = String::new();
    for byte in Sha256::digest(read(file)?) {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Adds all files below `directory`, relative to `workspace`.
fn collect(workspace: &Path, directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let at = workspace.join(directory);
    let entries = fs::read_dir(&at).with_context(|| format!("cannot read {}", at.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = directory.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(workspace, &path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Names with versions, and checksums, of the packages that matter in the text of a `Cargo.lock`.
fn dependencies(lock: &str) -> impl Iterator<Item = (String, String)> {
    let matters = |name: &str| DEPENDENCIES.iter().any(|prefix| name.starts_with(prefix));
    lock.split("[[package]]").filter_map(move |package| {
        let value = |key: &str| {
            let mut lines = package.lines();
            lines.find_map(|line| {
                line.strip_prefix(key)?
                    .strip_prefix(" = \"")?
                    .strip_suffix('"')
            })
        };
        let name = value("name").filter(|name| matters(name))?;
        let title = format!("{name} {}", value("version")?);
        Some((title, value("checksum")?.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
[[package]]
name = "aya-ebpf"
version = "0.2.1"
source = "registry"
checksum = "c0ffee"
dependencies = [
 "aya-ebpf-bindings",
]

[[package]]
name = "clap"
version = "4.0.0"
checksum = "bead"
"#;

    #[test]
    fn only_what_generates_code_matters_of_the_lock() {
        let found: Vec<_> = dependencies(LOCK).collect();
        assert_eq!(found, [("aya-ebpf 0.2.1".to_owned(), "c0ffee".to_owned())]);
    }

    #[test]
    fn a_changed_a_new_and_a_missing_source_are_differences() {
        let text = "# Of these\n11  a.rs\n22  b.rs\n";
        let sources = Sources::parse(text);
        assert_eq!(sources.to_string(), "11  a.rs\n22  b.rs\n");
        assert_eq!(sources.difference(&Sources::parse(text)), None);
        let changed = Sources::parse("11  a.rs\n33  b.rs\n");
        assert_eq!(sources.difference(&changed), Some("b.rs"));
        let fewer = Sources::parse("22  b.rs\n");
        assert_eq!(sources.difference(&fewer), Some("a.rs"));
        assert!(fewer.difference(&sources).is_some());
    }
}
