//! One moment of a process in a file, or a series of them: for bug reports, and to be looked at
//! elsewhere.
//!
//! The process is held still while what an inspection reads of it is copied. The inspection is at the copy, and
//! every page that it reads is kept, together with the executable. A replay is the same look at the same pages, by
//! whatever gostuck there is then; since nothing moved, it proves as much as two inspections of the live
//! process.

mod aside;
mod file;
mod series;
mod subject;

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

pub use file::{FormatError, Header, read, write};
pub use series::{Entry, Reader, Recorder, Replay, Taken, Told, Writer};
pub use subject::{Moment, Subject};

use self::aside::FileAside;
use crate::inspect::{InspectError, Inspection, Inspector};
use ids::{LoadBias, Pid};
use image::Image;
use memory::{Memory as _, PAGE, Pages};
use process::{FileIdentity, Process, ProcessError};
use reach::freeze::HeldMoment;

/// Why there is no recording.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The process could not be looked at.
    #[error(transparent)]
    Inspection(#[from] InspectError),
    /// The file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is no sound recording.
    #[error("{}: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        source: FormatError,
    },
    /// The recording lacks its executable.
    #[error("{} was made without the executable ({executable})", path.display())]
    NoExecutable {
        /// The file.
        path: PathBuf,
        /// Where it was on the machine of the process.
        executable: String,
    },
}

impl From<ProcessError> for RecordingError {
    fn from(error: ProcessError) -> Self {
        Self::Inspection(error.into())
    }
}

/// How a process is recorded.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// For how long it is held still at most.
    pub hold: Duration,
    /// Whether the executable becomes part of the file.
    pub with_executable: bool,
}

/// What was recorded.
#[derive(Debug)]
pub struct Recorded {
    /// The inspection whose pages were kept.
    pub look: Inspection,
    /// How long the process was held still.
    pub held: Duration,
    /// How many bytes of its memory are in the file.
    pub bytes: u64,
    /// Whether all that the inspection asked for is in the file.
    pub whole: bool,
}

/// Records the process `pid` to the file `to`.
///
/// # Errors
/// [`RecordingError`]; nothing is left behind then.
pub fn record(
    inspector: &Inspector,
    pid: Pid,
    to: &Path,
    options: Options,
) -> Result<Recorded, RecordingError> {
    let failed = |source| RecordingError::Io {
        path: to.to_owned(),
        source,
    };
    let process = Process::open(pid)?;
    let image = inspector.image_of(&process).map_err(InspectError::from)?;
    let bias = process.load_bias()?;
    FileAside::check(to).map_err(failed)?;
    let mut executable = executable_of(&process, options).map_err(failed)?;
    let captured = capture(inspector, &process, &image, options.hold)?;
    let header = Header {
        subject: Subject::of(&process, bias),
        moment: captured.moment(),
    };
    let pages = captured.pages;
    let executable = executable
        .as_mut()
        .map(|(len, file)| (*len, file as &mut dyn Read));
    let mut out = FileAside::begin(to).map_err(failed)?;
    write(&mut out, &header, executable, &pages).map_err(failed)?;
    out.finish().map_err(failed)?;
    Ok(Recorded {
        look: captured.look,
        held: captured.moment.held,
        whole: pages.is_whole(),
        bytes: (pages.len() * PAGE) as u64,
    })
}

/// The executable of `process` and its length, where it is to be part of the file.
fn executable_of(process: &Process, options: Options) -> io::Result<Option<(u64, File)>> {
    if !options.with_executable {
        return Ok(None);
    }
    let file = File::open(process.exe_for_us())?;
    Ok(Some((file.metadata()?.len(), file)))
}

/// An inspection of one moment of a process that was held still.
struct Captured {
    look: Inspection,
    moment: HeldMoment,
    /// What the inspection read.
    pages: Pages,
}

impl Captured {
    fn moment(&self) -> Moment {
        let moment = &self.moment;
        let since_epoch = moment.taken.duration_since(SystemTime::UNIX_EPOCH);
        Moment {
            taken_ns: nanoseconds(since_epoch.unwrap_or_default()),
            monotonic_ns: moment.monotonic_ns,
            held_ns: nanoseconds(moment.held),
            threads: moment.threads.iter().map(Into::into).collect(),
            lacking: !self.pages.is_whole(),
        }
    }
}

/// Holds `process` still while what an inspection reads is copied, looks at the copy, and keeps what was
/// read.
fn capture(
    inspector: &Inspector,
    process: &Process,
    image: &Arc<Image>,
    hold: Duration,
) -> Result<Captured, RecordingError> {
    let (look, moment) = inspector.look_held(process, image, hold)?;
    let pages = moment.memory.read_pages();
    Ok(Captured {
        look,
        moment,
        pages,
    })
}

/// Whether `file` holds a series, by its first line.
///
/// # Errors
/// [`RecordingError::Io`].
pub fn is_series(file: &Path) -> Result<bool, RecordingError> {
    let mut start = Vec::new();
    let name = b"gostuck series";
    let opened = File::open(file);
    let read = opened.and_then(|opened| opened.take(name.len() as u64).read_to_end(&mut start));
    read.map_err(|source| RecordingError::Io {
        path: file.to_owned(),
        source,
    })?;
    Ok(start == name)
}

/// Looks at the recording in `file`; at `executable`, where that is not part of it.
///
/// # Errors
/// [`RecordingError`].
pub fn replay(
    inspector: &Inspector,
    file: &Path,
    executable: Option<&Path>,
) -> Result<Inspection, RecordingError> {
    let failed = |source| RecordingError::Io {
        path: file.to_owned(),
        source,
    };
    let from = BufReader::new(File::open(file).map_err(failed)?);
    let mut own = tempfile::NamedTempFile::new().map_err(failed)?;
    let (header, embedded, mut pages) =
        read(from, own.as_file_mut()).map_err(|source| RecordingError::Format {
            path: file.to_owned(),
            source,
        })?;
    own.as_file_mut().rewind().map_err(failed)?;
    let own = embedded.then(|| own.path());
    let Header { subject, moment } = header;
    if moment.lacking {
        pages.set_lacking();
    }
    let (image, identity) = image_of(file, executable.or(own), &subject.executable)?;
    let loaded = (image, LoadBias(subject.load_bias));
    let still = moment.still(file, subject.process(identity), loaded, Arc::new(pages));
    Ok(inspector.look_at_still(still)?)
}

/// The image that the recording in `file` is of, from `executable`; `was_at` is where that was on the
/// machine of the process.
fn image_of(
    file: &Path,
    executable: Option<&Path>,
    was_at: &str,
) -> Result<(Arc<Image>, FileIdentity), RecordingError> {
    let executable = executable.ok_or_else(|| RecordingError::NoExecutable {
        path: file.to_owned(),
        executable: was_at.to_owned(),
    })?;
    let metadata = std::fs::metadata(executable).map_err(|source| RecordingError::Io {
        path: executable.to_owned(),
        source,
    })?;
    let image = Image::open(executable).map_err(InspectError::from)?;
    Ok((Arc::new(image), FileIdentity::of(&metadata)))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
