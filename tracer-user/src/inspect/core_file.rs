//! What a core file leaves to look at.
//!
//! How long ago its moment was, in the clock of the process, it cannot tell: waits are dated by the
//! last sign of life in its memory, and so look shorter than they were.

use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
};

use super::{
    inspector::{InspectError, Origin},
    stopped::StoppedProcess,
};

use image::Image;
use memory::{CoreError, CoreMemory};
use process::{FileIdentity, Process};
use snapshot::Target;

impl StoppedProcess {
    /// Opens the core file `file`, left by `executable`; without one, by what lies where the process
    /// had its executable.
    ///
    /// # Errors
    /// [`InspectError`]: it is no core file, the executable is missing or another, or no Go program.
    pub fn of_core(file: &Path, executable: Option<&Path>) -> Result<Self, InspectError> {
        let core = CoreMemory::open(file)?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| CoreError::Io { path, source }
        };
        let taken = File::open(file).and_then(|file| file.metadata()?.modified());
        let taken = taken.map_err(failed(file))?;
        let known = core.executable_path();
        let executable = executable
            .or(known)
            .ok_or_else(|| CoreError::Malformed {
                path: file.to_owned(),
                reason: "it does not name its executable",
            })?
            .to_owned();
        let metadata = fs::metadata(&executable).map_err(failed(&executable))?;
        let path = known.unwrap_or(&executable).to_owned();
        let process = Process::departed(core.process(), path, FileIdentity::of(&metadata));
        let image = Arc::new(Image::open(&executable)?);
        let target = Target::of_core(core, Arc::clone(&image), &executable)?;
        Ok(Self {
            process,
            image,
            target,
            origin: Origin::Left {
                file: file.to_owned(),
                taken,
            },
        })
    }
}
