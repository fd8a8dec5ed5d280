//! A look at a core file: a process of which only one moment is left.
//!
//! Nothing moves there, so one look proves what it takes two of to prove of a live process. What it
//! cannot tell is how long ago that moment was, in the clock of the process: waits are dated by the
//! last sign of life in its memory, and so look shorter than they were.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use super::{
    diagnose::{Evidence, diagnose},
    look::{Look, LookError, Looker, Origin, Walker, pending},
};
use crate::{
    image::Image,
    memory::{CoreError, CoreMemory},
    process::{FileIdentity, Process, Untraceable},
    reach::Prover,
    release::{Analyzer, holders},
    snapshot::{Target, take},
};

/// A core file and the executable of its process.
pub struct Core {
    file: PathBuf,
    written: SystemTime,
    process: Process,
    image: Arc<Image>,
    target: Target,
}

impl Core {
    /// Opens the core file `file`, left by `executable`; without one, by what lies where the process
    /// had its executable.
    ///
    /// # Errors
    /// [`LookError`]: it is no core file, the executable is missing or another, or no Go program.
    pub fn open(file: &Path, executable: Option<&Path>) -> Result<Self, LookError> {
        let core = CoreMemory::open(file)?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| CoreError::Io { path, source }
        };
        let written = File::open(file).and_then(|file| file.metadata()?.modified());
        let written = written.map_err(failed(file))?;
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
        let process = Process::of_core(core.process(), path, FileIdentity::of(&metadata));
        let image = Image::open(&executable).map_err(|error| Untraceable::Image {
            error: Arc::new(error),
        })?;
        let image = Arc::new(image);
        let target = Target::of_core(core, Arc::clone(&image), &executable)?;
        Ok(Self {
            file: file.to_owned(),
            written,
            process,
            image,
            target,
        })
    }
}

impl Looker {
    /// Looks at what is left of the process of `core`.
    ///
    /// # Errors
    /// [`LookError::Snapshot`].
    pub fn look_at_core(&self, core: Core) -> Result<Look, LookError> {
        let target = &core.target;
        let snapshot = Arc::new(take(target)?);
        let pending = pending(&Analyzer::new(Arc::clone(&core.image)), target, &snapshot);
        let evidence = Evidence {
            process: core.process.key,
            cpu_limit: None,
            holders: holders(&snapshot, &pending),
            snapshot: Arc::clone(&snapshot),
            pending,
            one_moment: true,
        };
        let walk = self.options().reach;
        let mut walker = walk.map(|options| Walker(Prover::new(target, &snapshot, options)));
        let walker = walker.as_mut().map(|walker| walker as _);
        let diagnosis = diagnose(evidence, walker, None, &*core.image, self.options());
        Ok(Look {
            process: core.process,
            image: core.image,
            cpu_limit: None,
            origin: Origin::Core {
                file: core.file,
                written: core.written,
            },
            diagnosis,
        })
    }
}
