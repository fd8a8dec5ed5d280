//! Why an executable could not be used.

use std::{io, path::PathBuf};

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
}
