//! Files that appear when they are whole: written beside their place, and moved there at the end.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

/// A file that is being written. Unless [`FileAside::finish`] is called, nothing of it remains.
///
/// It is readable by its owner alone.
pub struct FileAside {
    out: BufWriter<Out>,
    to: PathBuf,
}

enum Out {
    Aside(NamedTempFile),
    /// A pipe or a device: there is nothing to replace.
    Stream(File),
}

impl FileAside {
    /// Makes sure that there can be a file `to`, without leaving a trace.
    ///
    /// # Errors
    /// When its folder is not there or cannot be written.
    pub fn check(to: &Path) -> io::Result<()> {
        if !is_stream(to) {
            tempfile::tempfile_in(folder(to))?;
        }
        Ok(())
    }

    /// Begins the file `to`.
    ///
    /// # Errors
    /// When its folder cannot be written.
    pub fn begin(to: &Path) -> io::Result<Self> {
        let out = if is_stream(to) {
            Out::Stream(File::options().write(true).open(to)?)
        } else {
            let file = tempfile::Builder::new()
                .prefix(".gostuck-")
                .suffix(".partial")
                .tempfile_in(folder(to))?;
            Out::Aside(file)
        };
        Ok(Self {
            out: BufWriter::new(out),
            to: to.to_owned(),
        })
    }

    /// Puts the file in its place; one that was there is replaced.
    ///
    /// # Errors
    /// When what is left cannot be written, or the file not be moved.
    pub fn finish(self) -> io::Result<()> {
        match self.out.into_inner()? {
            Out::Stream(mut file) => file.flush(),
            Out::Aside(file) => {
                file.as_file().sync_all()?;
                file.persist(&self.to)?;
                Ok(())
            }
        }
    }
}

impl Write for FileAside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Aside(file) => file.write(bytes),
            Self::Stream(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Aside(file) => file.flush(),
            Self::Stream(file) => file.flush(),
        }
    }
}

fn is_stream(to: &Path) -> bool {
    fs::metadata(to).is_ok_and(|known| !known.is_file() && !known.is_dir())
}

fn folder(to: &Path) -> &Path {
    match to.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_appears_when_it_is_whole_and_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("shop");
        FileAside::check(&to).unwrap();
        let mut file = FileAside::begin(&to).unwrap();
        file.write_all(b"whole").unwrap();
        assert!(!to.exists());
        file.finish().unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"whole");
        let mode = fs::metadata(&to).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn nothing_is_left_of_one_that_fails_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (to, other) = (folder.path().join("shop"), folder.path().join("other"));
        fs::write(&other, "mine").unwrap();
        symlink(&other, &to).unwrap();
        let mut file = FileAside::begin(&to).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        let mut file = FileAside::begin(&to).unwrap();
        file.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"whole");
        assert_eq!(fs::read(&other).unwrap(), b"mine");
        assert!(FileAside::check(&folder.path().join("none/shop")).is_err());
    }

    #[test]
    fn a_device_is_written_to() {
        let mut file = FileAside::begin(Path::new("/dev/null")).unwrap();
        file.write_all(b"whole").unwrap();
        file.finish().unwrap();
        assert!(is_stream(Path::new("/dev/null")));
    }
}
