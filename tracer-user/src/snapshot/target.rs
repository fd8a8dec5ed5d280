//! What a snapshot is taken of.

use std::sync::Arc;

use crate::{
    ids::{LoadBias, Pid, Tid},
    image::Image,
    memory::{LiveMemory, Memory},
    process::{Process, ProcessError},
};

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
    /// Where the kernel's list of its threads comes from.
    pub threads: KernelThreads,
}

/// Where the kernel's list of a target's threads comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelThreads {
    /// From `/proc/PID/task` when the snapshot is taken.
    Live,
    /// These, as a core file recorded them.
    Recorded(Vec<Tid>),
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
            threads: KernelThreads::Live,
        })
    }
}
