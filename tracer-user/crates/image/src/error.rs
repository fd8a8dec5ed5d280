//! Why an executable could not be used.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::file::Refusal;
use resources::descriptors;

/// What was wrong with an image, and where.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file could not be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Not a 64-bit little-endian ELF file of a known machine, or a broken one.
    #[error("{}: not an executable that can be read: {reason}", path.display())]
    Elf {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
    /// Neither Go build information nor a Go version in a program with Go's tables.
    #[error("{}: not a Go program (it has no Go build information)", path.display())]
    NotGo {
        /// The file.
        path: PathBuf,
    },
    /// A Go version whose runtime this program does not know.
    #[error("{}: built by {version}, which is not supported (Go 1.19 and later are)", path.display())]
    UnsupportedVersion {
        /// The file.
        path: PathBuf,
        /// As the build information spells it.
        version: String,
    },
    /// A table of the Go linker is missing or inconsistent.
    #[error("{}: {table}: {reason}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Which table, for example `pclntab`.
        table: &'static str,
        /// What was wrong, and where.
        reason: String,
    },
    /// All images together keep as much as they may.
    #[error("{}: {reason}", path.display())]
    NoMemory {
        /// The file.
        path: PathBuf,
        /// What takes it.
        reason: String,
    },
    /// Reading it was cut short.
    #[error("{}: reading it was cut short", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
    },
}

impl ImageError {
    /// That something of the file at `path` was not read.
    pub(super) fn of(path: &Path, refusal: Refusal) -> Self {
        let path = path.to_owned();
        match refusal {
            Refusal::Unfit(reason) => Self::Elf { path, reason },
            Refusal::Failed(source) => {
                descriptors::is_shortage(&source);
                Self::Io { path, source }
            }
            refusal @ Refusal::NoMemory => Self::NoMemory {
                path,
                reason: refusal.to_string(),
            },
            Refusal::Cut => Self::Cut { path },
        }
    }

    /// Likewise of one of the Go linker's tables.
    pub(super) fn in_table(path: &Path, table: &'static str, refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unfit(reason) => Self::Table {
                path: path.to_owned(),
                table,
                reason,
            },
            other => Self::of(path, other),
        }
    }

    /// Whether we had no file descriptor left to open it.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        matches!(self, Self::Io { source, .. } if descriptors::means_shortage(source))
    }

    /// Whether the file itself is not to blame: another time it may be read.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Io { .. } | Self::NoMemory { .. } | Self::Cut { .. }
        )
    }
}
