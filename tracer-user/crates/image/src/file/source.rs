//! The file itself: held open, or opened for each read where descriptors are scarce.

use std::{
    fs::{File, Metadata},
    io,
    os::{
        fd::AsRawFd as _,
        unix::fs::{FileExt as _, MetadataExt as _},
    },
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use super::{bounds::MAX_FILE, bounds::Size, refusal::Refusal};
use resources::descriptors::{Permit, Use};

/// A run of bytes of the file that hold data; what lies between such runs was never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Where it begins in the file.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}

/// By what a file is known again when it is opened once more. Removing its name changes none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    len: u64,
    written_ns: i128,
}

impl Identity {
    fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            len: file.len(),
            written_ns: i128::from(file.mtime()) * 1_000_000_000 + i128::from(file.mtime_nsec()),
        }
    }
}

/// An executable file.
#[derive(Debug)]
pub struct Source {
    file: Option<File>,
    /// Leave to hold it open, once it was asked for.
    permit: Option<Permit>,
    identity: Identity,
    /// Where it is found again.
    path: RwLock<PathBuf>,
}

impl Source {
    /// Takes `file`, which was opened at `path`; nothing is read yet.
    pub fn new(file: File, path: &Path) -> Result<Self, Refusal> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Refusal::unfit("not a regular file"));
        }
        Ok(Self {
            identity: Identity::of(&metadata),
            file: Some(file),
            permit: None,
            path: RwLock::new(path.to_owned()),
        })
    }

    /// Checks that the file may be an executable by its length.
    pub fn check_len(&self) -> Result<(), Refusal> {
        if self.len() <= MAX_FILE {
            return Ok(());
        }
        let (len, most) = (Size(self.len()), Size(MAX_FILE));
        Err(Refusal::unfit(format!(
            "the file is {len} long, and executables of up to {most} are read"
        )))
    }

    /// The file's length in bytes when it was opened.
    pub const fn len(&self) -> u64 {
        self.identity.len
    }

    /// Closes the file unless there is leave to hold it open. It is opened again for each read then.
    pub fn release(&mut self) {
        self.permit = Permit::take(Use::Images, 1);
        if self.permit.is_none() {
            self.file = None;
        }
    }

    /// Where the file is found from now on: another process runs it, too.
    pub fn found_at(&self, path: &Path) {
        if self.file.is_none() {
            let mut known = self.path.write().unwrap_or_else(PoisonError::into_inner);
            path.clone_into(&mut known);
        }
    }

    /// Fills `bytes` with what lies at `offset`.
    pub fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|file| file.read_exact_at(bytes, offset))
    }

    /// The first run of data in `start..end`; `None` when all that is a hole.
    pub fn data(&self, start: u64, end: u64) -> io::Result<Option<Run>> {
        self.with(|file| {
            let Some(data) = seek(file, start, libc::SEEK_DATA)?.filter(|data| *data < end) else {
                return Ok(None);
            };
            let hole = seek(file, data, libc::SEEK_HOLE)?.unwrap_or(end);
            Ok(Some(Run {
                start: data,
                end: hole.min(end),
            }))
        })
    }

    fn with<T>(&self, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        if let Some(file) = &self.file {
            return work(file);
        }
        let path = self.path.read().unwrap_or_else(PoisonError::into_inner);
        let file = File::open(&*path)?;
        drop(path);
        if Identity::of(&file.metadata()?) != self.identity {
            return Err(io::ErrorKind::NotFound.into());
        }
        work(&file)
    }
}

/// Where, from `from` on, there is what is looked for; `None` when there is none. File systems that
/// know of no holes call all of a file data.
fn seek(file: &File, from: u64, what: libc::c_int) -> io::Result<Option<u64>> {
    let Ok(offset) = libc::off_t::try_from(from) else {
        return Ok(None);
    };
    // SAFETY: takes numbers and touches no memory of ours; the position that it moves is used by
    // nobody.
    let found = unsafe { libc::lseek(file.as_raw_fd(), offset, what) };
    match u64::try_from(found) {
        Ok(found) => Ok(Some(found)),
        Err(_) => match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
            // The file system cannot tell: it is all data.
            error if error.raw_os_error() == Some(libc::EINVAL) => {
                Ok((what == libc::SEEK_DATA).then_some(from))
            }
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    fn sparse() -> (tempfile::NamedTempFile, Source) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4 << 20).unwrap();
        file.as_file().write_all_at(&[1; 8192], 1 << 20).unwrap();
        let source = Source::new(file.reopen().unwrap(), file.path()).unwrap();
        (file, source)
    }

    #[test]
    fn what_was_never_written_is_no_data() {
        let (_file, source) = sparse();
        let run = source.data(0, 4 << 20).unwrap().unwrap();
        assert_eq!(run.start, 1 << 20);
        assert!(run.end >= (1 << 20) + 8192 && run.end < 2 << 20);
        assert_eq!(source.data(2 << 20, 4 << 20).unwrap(), None);
        assert_eq!(source.data(0, 4096).unwrap(), None);
    }

    #[test]
    fn a_closed_file_is_opened_again_and_another_at_its_place_is_not_read() {
        let (file, mut source) = sparse();
        source.file = None;
        let mut byte = [0];
        source.read_exact_at(&mut byte, 1 << 20).unwrap();
        assert_eq!(byte, [1]);
        let other = vec![2; 4 << 20];
        std::fs::write(file.path(), other).unwrap();
        assert!(source.read_exact_at(&mut byte, 1 << 20).is_err());
    }

    #[test]
    fn files_longer_than_any_executable_are_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1000 << 30).unwrap();
        let source = Source::new(file.reopen().unwrap(), file.path()).unwrap();
        let refused = source.check_len().unwrap_err();
        assert!(refused.to_string().contains("1073 GB long"), "{refused}");
    }
}
