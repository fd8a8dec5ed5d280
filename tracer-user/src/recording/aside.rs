//! Files that appear when they are whole: written beside their place, and moved there at the end.

use std::{
    fs::{self, File, Metadata},
    io::{self, BufWriter, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::unistd::geteuid;
use tempfile::NamedTempFile;

/// Where a program's own descriptors are found by name: nobody else can have put a pipe there.
const OWN_DESCRIPTORS: [&str; 4] = ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"];

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
    /// When its folder is not there or cannot be written, or a pipe of somebody else is there.
    pub fn check(to: &Path) -> io::Result<()> {
        match stream(to) {
            Some(stream) => trust(to, &stream),
            None => tempfile::tempfile_in(folder(to)).map(drop),
        }
    }

    /// Begins the file `to`.
    ///
    /// # Errors
    /// When its folder cannot be written, or a pipe of somebody else is there.
    pub fn begin(to: &Path) -> io::Result<Self> {
        let out = if let Some(known) = stream(to) {
            trust(to, &known)?;
            let file = File::options().write(true).open(to)?;
            // It may have been another one meanwhile.
            trust(to, &file.metadata()?)?;
            Out::Stream(file)
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

/// What is known of the pipe or the device at `to`, if there is one.
fn stream(to: &Path) -> Option<Metadata> {
    let known = fs::metadata(to).ok()?;
    (!known.is_file() && !known.is_dir()).then_some(known)
}

/// Whether what is written to a pipe or a device goes where the user wants it: in a folder that others can
/// write to they could have put one there, and would read what is recorded.
fn trust(to: &Path, stream: &Metadata) -> io::Result<()> {
    let owner = stream.uid();
    let is_ours = owner == 0 || owner == geteuid().as_raw();
    if is_ours || OWN_DESCRIPTORS.iter().any(|own| to.starts_with(own)) {
        return Ok(());
    }
    let reason = format!("a pipe of user {owner} is there, who would read what is recorded");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
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

    use nix::{
        sys::stat::Mode,
        unistd::{Uid, chown, mkfifo},
    };

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
        assert!(stream(Path::new("/dev/null")).is_some());
    }

    #[test]
    fn nothing_is_written_to_a_pipe_of_somebody_else() {
        let folder = tempfile::tempdir().unwrap();
        let (to, by_link) = (folder.path().join("pipe"), folder.path().join("link"));
        mkfifo(&to, Mode::S_IRWXU).unwrap();
        symlink(&to, &by_link).unwrap();
        FileAside::check(&to).unwrap();
        if !geteuid().is_root() {
            return;
        }
        chown(&to, Some(Uid::from_raw(65_534)), None).unwrap();
        for path in [&to, &by_link] {
            let refused = FileAside::check(path).unwrap_err();
            assert!(refused.to_string().contains("user 65534"), "{refused}");
            assert!(FileAside::begin(path).is_err());
        }
    }
}
