//! Several moments of a process in a file, with what the probes told between them.
//!
//! The process is held still for each moment, as for a single one, and runs in between. A replay
//! makes the same looks in the same order, so that findings appear and clear as they did.

mod file;
mod reader;

use std::{
    fs::File,
    io::{BufReader, Read, Seek as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use self::{
    file::{Entry, Told, Writer},
    reader::Reader,
};
use super::{
    Options, RecordingError, aside::FileAside, capture, executable_of, image_of, subject::Subject,
};
use crate::inspect::{History, InspectError, Inspection, Inspector};
use ids::{LoadBias, Pid};
use image::Image;
use memory::PAGE;
use process::Process;

/// A series that is being recorded.
pub struct Recorder<'l> {
    inspector: &'l Inspector,
    process: Process,
    image: Arc<Image>,
    hold: Duration,
    to: PathBuf,
    out: Writer<FileAside>,
}

/// What a moment took.
#[derive(Debug)]
pub struct Taken {
    /// The inspection whose pages were kept.
    pub look: Inspection,
    /// How long the process was held still.
    pub held: Duration,
    /// How many bytes of its memory are in the file for this moment alone.
    pub bytes: u64,
}

impl<'l> Recorder<'l> {
    /// Begins a series of the process `pid` in the file `to`.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn begin(
        inspector: &'l Inspector,
        pid: Pid,
        to: &Path,
        options: Options,
    ) -> Result<Self, RecordingError> {
        let failed = |source| RecordingError::Io {
            path: to.to_owned(),
            source,
        };
        let process = Process::open(pid)?;
        let image = inspector.image_of(&process).map_err(InspectError::from)?;
        let bias = process.load_bias()?;
        let subject = Subject::of(&process, bias);
        let mut executable = executable_of(&process, options).map_err(failed)?;
        let executable = executable
            .as_mut()
            .map(|(len, file)| (*len, file as &mut dyn Read));
        let out = FileAside::begin(to).map_err(failed)?;
        let out = Writer::begin(out, &subject, executable).map_err(failed)?;
        Ok(Self {
            inspector,
            process,
            image,
            hold: options.hold,
            to: to.to_owned(),
            out,
        })
    }

    /// The process.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// What it executes.
    #[must_use]
    pub const fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// Adds the present moment.
    ///
    /// # Errors
    /// [`RecordingError`]; what came before it can be kept by [`Recorder::end`].
    pub fn moment(&mut self) -> Result<Taken, RecordingError> {
        let captured = capture(self.inspector, &self.process, &self.image, self.hold)?;
        let moment = captured.moment();
        let written = self.out.moment(&moment, captured.pages);
        Ok(Taken {
            look: captured.look,
            held: captured.moment.held,
            bytes: (written.map_err(|source| self.failed(source))? * PAGE) as u64,
        })
    }

    /// Adds what was told since the last moment; it belongs to the next.
    ///
    /// # Errors
    /// [`RecordingError::Io`].
    pub fn told(&mut self, told: &Told) -> Result<(), RecordingError> {
        let written = self.out.told(told);
        written.map_err(|source| self.failed(source))
    }

    /// Ends the series, and puts the file in its place.
    ///
    /// # Errors
    /// [`RecordingError::Io`].
    pub fn end(self) -> Result<(), RecordingError> {
        let path = self.to;
        let ended = self.out.end().and_then(FileAside::finish);
        ended.map_err(|source| RecordingError::Io { path, source })
    }

    fn failed(&self, source: std::io::Error) -> RecordingError {
        RecordingError::Io {
            path: self.to.clone(),
            source,
        }
    }
}

/// A series that is being replayed.
pub struct Replay {
    file: PathBuf,
    reader: Reader<BufReader<File>>,
    process: Process,
    image: Arc<Image>,
    bias: LoadBias,
    past: History,
}

impl Replay {
    /// Opens the series in `file`; at `executable`, where that is not part of it.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn open(file: &Path, executable: Option<&Path>) -> Result<Self, RecordingError> {
        let failed = |source| RecordingError::Io {
            path: file.to_owned(),
            source,
        };
        let from = BufReader::new(File::open(file).map_err(failed)?);
        let mut own = tempfile::NamedTempFile::new().map_err(failed)?;
        let (reader, subject, embedded) =
            Reader::begin(from, own.as_file_mut()).map_err(|source| RecordingError::Format {
                path: file.to_owned(),
                source,
            })?;
        own.as_file_mut().rewind().map_err(failed)?;
        let own = embedded.then(|| own.path());
        let (image, identity) = image_of(file, executable.or(own), &subject.executable)?;
        let bias = LoadBias(subject.load_bias);
        Ok(Self {
            file: file.to_owned(),
            reader,
            process: subject.process(identity),
            image,
            bias,
            past: History::default(),
        })
    }

    /// The process.
    #[must_use]
    pub const fn process(&self) -> &Process {
        &self.process
    }

    /// Looks at the next moment; `None` at the end.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn look(&mut self, inspector: &Inspector) -> Result<Option<Inspection>, RecordingError> {
        loop {
            let entry = self.reader.next_entry();
            let entry = entry.map_err(|source| RecordingError::Format {
                path: self.file.clone(),
                source,
            })?;
            match entry {
                None => return Ok(None),
                Some(Entry::Told(told)) => {
                    for event in told.events {
                        self.past.state.apply(event);
                    }
                    if let Some(parked) = told.parked {
                        self.past.state.apply_parked(parked);
                    }
                }
                Some(Entry::Moment(moment, pages)) => {
                    let process = self.process.clone();
                    let loaded = (Arc::clone(&self.image), self.bias);
                    let still = moment.still(&self.file, process, loaded, pages);
                    return Ok(Some(inspector.look_at_still_again(still, &mut self.past)?));
                }
            }
        }
    }
}
