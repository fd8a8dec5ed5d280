//! What a snapshot is taken of.

use std::{fmt, fs::File, os::unix::fs::FileExt as _, path::Path, sync::Arc};

use ids::{LoadBias, Pid};
use image::Image;
use memory::{CoreError, CoreMemory, LiveMemory, Memory, ThreadRegisters};
use process::{Process, ProcessError};

/// Offset of `e_entry` in a 64-bit ELF header.
const E_ENTRY_OFFSET: u64 = 24;

/// A traced process: its image, where that lies, and its memory.
#[derive(Clone)]
pub struct Target {
    /// The process.
    pub pid: Pid,
    /// The Go executable it runs.
    pub image: Arc<Image>,
    /// Where the image was loaded.
    pub bias: LoadBias,
    /// Its memory.
    pub memory: Arc<dyn Memory>,
    /// Whether it goes on while it is read.
    pub motion: Motion,
    /// Most goroutines that are read, dead ones included: those that were made first.
    pub max_goroutines: u64,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("pid", &self.pid)
            .field("bias", &self.bias)
            .field("motion", &self.motion)
            .finish_non_exhaustive()
    }
}

/// Whether a target goes on while it is read.
#[derive(Debug, Clone)]
pub enum Motion {
    /// It does; its threads are in `/proc/PID/task`.
    Running,
    /// It has stopped, for as long as it is read or for ever: what is read is of one moment.
    Stopped {
        /// Its threads.
        threads: Arc<[ThreadRegisters]>,
        /// The moment on its `CLOCK_MONOTONIC`, in nanoseconds; a core file does not say.
        at_ns: Option<u64>,
    },
}

impl Target {
    /// The live process `process`, which executes `image`.
    ///
    /// # Errors
    /// [`ProcessError`] when the load bias cannot be read.
    pub fn live(process: &Process, image: Arc<Image>) -> Result<Self, ProcessError> {
        Ok(Self {
            pid: process.pid(),
            image,
            bias: process.load_bias()?,
            memory: Arc::new(LiveMemory::new(process.pid())),
            motion: Motion::Running,
            max_goroutines: u64::MAX,
        })
    }

    /// The process of a core file, which executed `image`, a copy of which is at `executable`.
    ///
    /// # Errors
    /// [`CoreError`] when the executable cannot be read, or the core does not say where it was
    /// loaded.
    pub fn of_core(
        core: CoreMemory,
        image: Arc<Image>,
        executable: &Path,
    ) -> Result<Self, CoreError> {
        let failed = |source| CoreError::Io {
            path: executable.to_owned(),
            source,
        };
        let file = File::open(executable).map_err(failed)?;
        let mut linked = [0; 8];
        file.read_exact_at(&mut linked, E_ENTRY_OFFSET)
            .map_err(failed)?;
        let loaded = core.entry().ok_or_else(|| CoreError::Malformed {
            path: executable.to_owned(),
            reason: "its core does not say where it was loaded",
        })?;
        Ok(Self {
            pid: core.process().pid,
            image,
            bias: LoadBias(loaded.0.wrapping_sub(u64::from_le_bytes(linked))),
            motion: Motion::Stopped {
                threads: core.threads().into(),
                at_ns: None,
            },
            memory: Arc::new(core.with_executable(file, executable)?),
            max_goroutines: u64::MAX,
        })
    }

    /// The threads of a target that has stopped; `None` of one that runs.
    #[must_use]
    pub fn stopped_threads(&self) -> Option<&[ThreadRegisters]> {
        match &self.motion {
            Motion::Running => None,
            Motion::Stopped { threads, .. } => Some(threads),
        }
    }
}
