//! Building the programs with the installed toolchains.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The folder of the programs.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../programs")
}

/// An installed Go.
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    pub(crate) version: String,
    pub(crate) minor: u32,
    pub(crate) go: PathBuf,
}

/// How a program is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    Plain,
    Stripped,
    Pie,
    NoOptimisation,
    Cgo,
    CgoStripped,
    /// For another machine: it can be read, but not run.
    Arm64,
}

impl Flavour {
    pub(crate) fn with_cgo(self) -> Self {
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

    fn machine(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            _ => "amd64",
        }
    }

    fn cgo(self) -> bool {
        matches!(self, Self::Cgo | Self::CgoStripped)
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

/// What `cargo xtask setup --all-go` installed, oldest first.
pub(crate) fn installed() -> Vec<Toolchain> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let Some(root) = cache.map(|dir| dir.join("gostuck/go")) else {
        return Vec::new();
    };
    let mut toolchains: Vec<_> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.to_owned();
            let minor = version.split('.').nth(1)?.parse().ok()?;
            let go = path.join("go/bin/go");
            go.is_file().then_some(Toolchain { version, minor, go })
        })
        .collect();
    toolchains.sort_by_key(|t| t.minor);
    toolchains
}

/// Builds one program; Go's own cache makes the second time quick.
pub(crate) fn build(
    toolchain: &Toolchain,
    name: &str,
    flavour: Flavour,
) -> Result<PathBuf, String> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("programs");
    let file =
        format!("{}-{}-{flavour}", name.replace('/', "-"), toolchain.version).replace(' ', "-");
    let program = target.join(file);
    let output = Command::new(&toolchain.go)
        .current_dir(folder())
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .env("GOCACHE", target.join("cache"))
        .env("GOARCH", flavour.machine())
        .env("CGO_ENABLED", if flavour.cgo() { "1" } else { "0" })
        .arg("build")
        .args(flavour.flags())
        .arg("-o")
        .arg(&program)
        .arg(format!("./{name}"))
        .output()
        .map_err(|error| format!("cannot run {}: {error}", toolchain.go.display()))?;
    if output.status.success() {
        Ok(program)
    } else {
        Err(format!(
            "go build {name}: {}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}
