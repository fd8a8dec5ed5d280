//! Files that are in memory only, by a path that opens them.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::AsRawFd as _,
    path::PathBuf,
};

use nix::sys::memfd::{MFdFlags, memfd_create};

/// A file in memory.
#[derive(Debug)]
pub(crate) struct Temporary(File);

impl Temporary {
    /// One with these bytes.
    ///
    /// # Errors
    /// When the kernel has no memory for it.
    pub(crate) fn new(parts: &[&[u8]]) -> io::Result<Self> {
        let mut file = File::from(memfd_create(c"input", MFdFlags::MFD_CLOEXEC)?);
        for part in parts {
            file.write_all(part)?;
        }
        Ok(Self(file))
    }

    /// The path that opens it.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.0.as_raw_fd()))
    }
}
