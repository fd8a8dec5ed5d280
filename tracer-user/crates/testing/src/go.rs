//! Go toolchains, and programs built with them.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use crate::{Result, paths};

/// Every Go version that the tests run, oldest first: one of each layout that the runtime has had.
///
/// `cargo xtask setup --all-go` installs them.
pub const VERSIONS: [&str; 8] = [
    "1.19.8", "1.21.13", "1.22.10", "1.23.9", "1.24.11", "1.25.5", "1.26.6", "1.27.3",
];
/// The oldest version that the tests run.
pub const OLDEST: &str = VERSIONS[0];
/// The version of the demo, and of what is tested on one version only.
pub const NEWEST: &str = VERSIONS[VERSIONS.len() - 1];

/// One Go version as setup installs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Toolchain {
    /// For example `1.27.3`.
    pub version: &'static str,
    /// For example 27.
    pub minor: u32,
}

impl Toolchain {
    /// Returns the toolchain of one of [`VERSIONS`], installed or not.
    pub fn of(version: &'static str) -> Self {
        let minor = version.split('.').nth(1);
        let minor = minor.and_then(|minor| minor.parse().ok());
        Self {
            version,
            minor: minor.unwrap_or_else(|| panic!("{version} is no Go version")),
        }
    }

    /// Returns the toolchain of [`NEWEST`].
    pub fn newest() -> Self {
        Self::of(NEWEST)
    }

    /// Reports whether setup has installed it.
    pub fn is_installed(self) -> bool {
        paths::go(self.version).is_some_and(|go| go.is_file())
    }

    /// Returns its `go`, as [`command`] does.
    pub fn command(self, folder: &Path) -> Command {
        command(self.version, folder)
    }

    /// Builds `source`, a folder or a file, as `program`.
    ///
    /// # Errors
    /// What the compiler says.
    pub fn build(self, source: &Path, flavour: Flavour, program: &Path) -> Result {
        let (folder, package) = match (source.is_dir(), source.parent(), source.file_name()) {
            (false, Some(folder), Some(file)) => (folder, Path::new(file)),
            _ => (source, Path::new(".")),
        };
        let mut go = self.command(folder);
        flavour.apply(&mut go);
        compile(&mut go, package, program)
    }
}

/// Returns the `go` of a version, run in `folder`, without cgo and with the one build cache that all
/// tests, benches and the demo share.
pub fn command(version: &str, folder: &Path) -> Command {
    let mut go = Command::new(paths::go(version).unwrap_or_else(|| "go".into()));
    go.current_dir(folder)
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .env("CGO_ENABLED", "0");
    if let Some(cache) = paths::cache() {
        go.env("GOCACHE", cache.join("go-build"));
    }
    go
}

/// Returns all of [`VERSIONS`], oldest first, installed or not.
pub fn toolchains() -> impl DoubleEndedIterator<Item = Toolchain> {
    VERSIONS.into_iter().map(Toolchain::of)
}

/// Returns the oldest and the newest toolchain.
pub fn ends() -> [Toolchain; 2] {
    [OLDEST, NEWEST].map(Toolchain::of)
}

/// Lets `go`, as [`Toolchain::command`] makes it and `build` with its flags, build `package` as
/// `program`. Whatever other test does the same waits.
///
/// # Errors
/// What the compiler says.
pub fn compile(go: &mut Command, package: &Path, program: &Path) -> Result {
    let lock = program.with_added_extension("lock");
    let folder = program.parent().unwrap_or(Path::new("/"));
    let locked = fs::create_dir_all(folder)
        .and_then(|()| fs::File::create(&lock))
        .and_then(|file| file.lock().map(|()| file));
    let _locked = locked.map_err(|error| format!("{}: {error}", lock.display()))?;
    let output = go.arg("-o").arg(program).arg(package).output();
    let output = output.map_err(|error| format!("cannot run {go:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{go:?}: {}: {said}", output.status))
}

/// How a program is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flavour {
    /// With symbols, as the compiler does it by itself.
    Plain,
    /// Without symbols.
    Stripped,
    /// Loaded anywhere, without symbols.
    Pie,
    /// Without optimisation and inlining.
    NoOptimisation,
    /// With C.
    Cgo,
    /// With C, without symbols.
    CgoStripped,
    /// For another machine: it can be read, but not run.
    Arm64,
}

impl Flavour {
    /// Returns the same with C.
    #[must_use]
    pub fn with_cgo(self) -> Self {
        match self {
            Self::Stripped | Self::CgoStripped => Self::CgoStripped,
            _ => Self::Cgo,
        }
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::Cgo | Self::Arm64 => &[],
            Self::Stripped | Self::CgoStripped => &["-ldflags=-s -w"],
            Self::Pie => &["-buildmode=pie", "-ldflags=-s -w"],
            Self::NoOptimisation => &["-gcflags=all=-N -l"],
        }
    }

    /// Makes `go` build in this way.
    fn apply(self, go: &mut Command) {
        let machine = match self {
            Self::Arm64 => "arm64",
            _ => "amd64",
        };
        let cgo = matches!(self, Self::Cgo | Self::CgoStripped);
        go.env("GOARCH", machine)
            .env("CGO_ENABLED", if cgo { "1" } else { "0" })
            .arg("build")
            .args(self.flags());
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Stripped => "stripped",
            Self::Pie => "pie stripped",
            Self::NoOptimisation => "-N -l",
            Self::Cgo => "cgo",
            Self::CgoStripped => "cgo stripped",
            Self::Arm64 => "arm64",
        })
    }
}

/// A program of one test run: built by whoever asks first, and then left alone, since it may run.
type Built = Arc<OnceLock<Result<PathBuf>>>;

/// Returns the program `name` below `programs/`, built.
///
/// # Errors
/// What the compiler says.
pub fn program(toolchain: Toolchain, name: &str, flavour: Flavour) -> Result<PathBuf> {
    built(toolchain, &paths::programs().join(name), name, flavour)
}

/// Returns the program `name` below `programs/`, built by the newest Go.
///
/// # Errors
/// What the compiler says.
pub fn newest(name: &str, flavour: Flavour) -> Result<PathBuf> {
    program(Toolchain::newest(), name, flavour)
}

/// Returns the program whose source is `source`, a folder or a file, built. `name` is what its file
/// is called, and part of the name of nothing else.
///
/// # Errors
/// What the compiler says.
pub fn built(toolchain: Toolchain, source: &Path, name: &str, flavour: Flavour) -> Result<PathBuf> {
    static BUILT: Mutex<BTreeMap<PathBuf, Built>> = Mutex::new(BTreeMap::new());
    let file = format!("{name}-{}-{flavour}", toolchain.version).replace(['/', ' '], "-");
    let path = paths::scratch().join("programs").join(file);
    let built = {
        let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(built.entry(path.clone()).or_default())
    };
    let build = || {
        toolchain.build(source, flavour, &path)?;
        Ok(path)
    };
    built.get_or_init(build).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_in_order_and_all_different() {
        let minors: Vec<u32> = toolchains().map(|toolchain| toolchain.minor).collect();
        assert!(minors.is_sorted_by(|earlier, later| earlier < later));
        assert_eq!([OLDEST, NEWEST], ends().map(|toolchain| toolchain.version));
    }
}
