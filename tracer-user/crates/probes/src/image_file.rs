//! The file of an image, held open: what is probed is what was looked at, whatever the process that
//! led to it executes meanwhile.

use std::{
    fs::File,
    os::{fd::AsRawFd as _, unix::fs::FileExt as _, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use super::error::ProbeError;
use image::{Image, ProbeSite};
use resources::descriptors::Permit;

/// Identity of a file, as `stat` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileKey {
    device: u64,
    inode: u64,
}

impl FileKey {
    /// Whether both may be the same file to the kernel. Each overlay mount has a device number of its
    /// own, while uprobes go on the file below, whose inode number all of them tell
    /// (Documentation/filesystems/overlayfs.rst, "Inode properties").
    pub fn may_be(self, other: Self) -> bool {
        self.inode == other.inode
    }
}

/// What `fstatfs(2)` says of a file system that a program serves (`FUSE_SUPER_MAGIC`,
/// `include/uapi/linux/magic.h`).
const FUSE: i64 = 0x6573_5546;

/// The file that probes are placed on.
#[derive(Debug)]
pub struct ImageFile {
    file: File,
    key: FileKey,
    name: PathBuf,
    _permit: Permit,
}

impl ImageFile {
    /// Opens the file at `path`, such as `/proc/PID/exe`, of which `image` was read, and checks that the
    /// instructions where probes go are still there. On a file system that a program serves it waits for
    /// that program, as long as that likes.
    ///
    /// # Errors
    /// [`ProbeError::Image`] when it cannot be opened, [`ProbeError::Changed`] when it is not that
    /// image's, [`ProbeError::Served`] when a program serves its file system: whoever places a probe
    /// there, or takes it off, may wait for that program, and everybody else for him.
    pub fn of_image(path: &Path, image: &Image) -> Result<Self, ProbeError> {
        let file = Self::open(path)?;
        file.verify(image.probe_sites().all())?;
        Ok(file)
    }

    fn open(path: &Path) -> Result<Self, ProbeError> {
        let failed = |source| ProbeError::of_file(path, None, source);
        let permit = ProbeError::permit(1)?;
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let system = nix::sys::statfs::fstatfs(&file).map_err(|errno| failed(errno.into()))?;
        if system.filesystem_type().0 == FUSE {
            return Err(ProbeError::Served(path.to_owned()));
        }
        Ok(Self {
            key: FileKey {
                device: metadata.dev(),
                inode: metadata.ino(),
            },
            file,
            name: path.to_owned(),
            _permit: permit,
        })
    }

    /// The path that it was opened by.
    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    pub(super) const fn key(&self) -> FileKey {
        self.key
    }

    /// A path of ours that leads to this very file.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.file.as_raw_fd()).into()
    }

    /// Checks that the instructions at `sites` are those that were found in the image: a breakpoint in
    /// the midst of another would be the end of its process.
    fn verify(&self, sites: impl IntoIterator<Item = ProbeSite>) -> Result<(), ProbeError> {
        for site in sites {
            let mut there = site.bytes;
            let read = self.file.read_exact_at(&mut there, site.offset.0);
            if read.is_err() || there != site.bytes {
                return Err(ProbeError::Changed(self.name.clone()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use ids::FileOffset;
    use image::SiteKind;

    #[test]
    fn another_instruction_than_was_found_is_refused() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[0; 16]).unwrap();
        file.write_all(&[0x55, 1, 2, 3]).unwrap();
        let opened = ImageFile::open(file.path()).unwrap();
        let site = |offset, bytes| ProbeSite {
            offset: FileOffset(offset),
            kind: SiteKind::Push,
            bytes,
        };
        assert!(opened.verify([site(16, [0x55, 1, 2, 3])]).is_ok());
        for wrong in [site(16, [0x55, 1, 2, 4]), site(18, [2, 3, 0, 0])] {
            let error = opened.verify([wrong]).unwrap_err();
            assert!(matches!(error, ProbeError::Changed(_)), "{error}");
        }
    }

    #[test]
    fn the_open_file_stays_when_its_name_leads_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        std::fs::write(&path, "old").unwrap();
        let opened = ImageFile::open(&path).unwrap();
        std::fs::rename(&path, directory.path().join("gone")).unwrap();
        std::fs::write(&path, "new").unwrap();
        assert_eq!(std::fs::read(opened.path()).unwrap(), b"old");
        assert_ne!(ImageFile::open(&path).unwrap().key(), opened.key());
    }
}
