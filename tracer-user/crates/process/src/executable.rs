//! The file a process executes, and how to know it again.

use std::{os::unix::fs::MetadataExt as _, path::PathBuf};

use super::ProcessError;
use ids::Pid;

/// A file as it was when looked at: what may be cached about it is true as long as this is equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileIdentity {
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change of inode or contents, nanoseconds after the epoch; inodes are
    /// reused, and never with the same time.
    pub changed_ns: i128,
}

impl FileIdentity {
    /// Of no file.
    pub(super) const UNKNOWN: Self = Self {
        device: 0,
        inode: 0,
        size: 0,
        changed_ns: 0,
    };

    /// The file that has this metadata.
    pub fn of(file: &std::fs::Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            changed_ns: i128::from(file.ctime()) * 1_000_000_000 + i128::from(file.ctime_nsec()),
        }
    }
    /// Whether both are the same file, whatever was done to its name or permissions since.
    #[must_use]
    pub const fn same_inode(&self, other: &Self) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

/// The file a process executes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executable {
    /// Its path in the process's own mount namespace.
    pub path: PathBuf,
    /// Whether that path no longer leads to it.
    pub deleted: bool,
    /// Which file it is.
    pub file: FileIdentity,
}

/// What `handle` executes.
pub(super) fn executable(
    handle: &procfs::process::Process,
    pid: Pid,
) -> Result<Executable, ProcessError> {
    let link = handle
        .exe()
        .map_err(|e| ProcessError::from_proc(e, pid, "exe"))?;
    let metadata = handle
        .open_relative("exe")
        .map_err(|e| ProcessError::from_proc(e, pid, "exe"))?
        .metadata()
        .map_err(|e| ProcessError::from_io(&e, pid, "exe"))?;
    // The kernel marks an unlinked file so (d_path, fs/d_path.c); a living file may have such a
    // name too, which its link count tells.
    let text = link.to_string_lossy();
    let (path, deleted) = match text.strip_suffix(" (deleted)") {
        Some(path) if metadata.nlink() == 0 => (PathBuf::from(path), true),
        _ => (link.clone(), false),
    };
    Ok(Executable {
        path,
        deleted,
        file: FileIdentity::of(&metadata),
    })
}
