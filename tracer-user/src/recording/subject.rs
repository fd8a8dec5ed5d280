//! What is recorded besides memory: the process, and each moment of it.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::inspect::{Origin, StoppedProcess};
use ids::{LoadBias, Pid, TargetAddr, Tid};
use image::Image;
use memory::{Pages, ThreadRegisters};
use process::{Departed, FileIdentity, Process};
use snapshot::{Motion, Target};

/// The process that is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Version of the gostuck that made the series.
    pub made_by: String,
    /// The process's id.
    pub pid: u32,
    /// Its real user id.
    pub uid: u32,
    /// The kernel's short name of it.
    pub comm: String,
    /// Its first argument; the others may be secret.
    pub command: Option<String>,
    /// Path of its executable, in its own mount namespace.
    pub executable: String,
    /// What the loader added to the addresses of the executable.
    pub load_bias: u64,
}

/// One moment of it, held still, besides its memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// When, in nanoseconds after the epoch.
    pub taken_ns: u64,
    /// The same moment on the process's `CLOCK_MONOTONIC`.
    pub monotonic_ns: u64,
    /// How long the process was held still for it, in nanoseconds.
    pub held_ns: u64,
    /// Its threads.
    pub threads: Vec<RecordedThread>,
    /// Whether pages are missing that the inspection asked for and that the process had.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lacking: bool,
}

/// One thread and its registers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedThread {
    pub(super) tid: u32,
    pub(super) sp: u64,
    pub(super) words: Vec<u64>,
}

impl From<&ThreadRegisters> for RecordedThread {
    fn from(thread: &ThreadRegisters) -> Self {
        Self {
            tid: thread.tid.0,
            sp: thread.sp.0,
            words: thread.words.clone(),
        }
    }
}

impl From<RecordedThread> for ThreadRegisters {
    fn from(thread: RecordedThread) -> Self {
        Self {
            tid: Tid(thread.tid),
            sp: TargetAddr(thread.sp),
            words: thread.words,
        }
    }
}

impl Subject {
    /// What is kept of `process`, loaded with `bias`.
    pub(super) fn of(process: &Process, bias: LoadBias) -> Self {
        Self {
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            pid: process.pid().0,
            uid: process.uid,
            comm: process.comm.clone(),
            command: process.cmdline.first().cloned(),
            executable: process.exe.path.to_string_lossy().into_owned(),
            load_bias: bias.0,
        }
    }

    /// The process, of which the executable is at hand as `identity`.
    #[must_use]
    pub fn process(self, identity: FileIdentity) -> Process {
        let process = Departed {
            pid: Pid(self.pid),
            uid: self.uid,
            comm: self.comm,
            arguments: self.command.into_iter().collect(),
        };
        Process::departed(&process, self.executable.into(), identity)
    }
}

impl Moment {
    /// `process` as it stood then, according to `file`.
    #[must_use]
    pub fn still(
        self,
        file: &Path,
        process: Process,
        (image, bias): (Arc<Image>, LoadBias),
        memory: Arc<Pages>,
    ) -> StoppedProcess {
        let target = Target {
            pid: process.pid(),
            image: Arc::clone(&image),
            bias,
            memory,
            motion: Motion::Stopped {
                threads: self.threads.into_iter().map(Into::into).collect(),
                at_ns: Some(self.monotonic_ns),
            },
            max_goroutines: u64::MAX,
        };
        let origin = Origin::Left {
            file: file.to_owned(),
            taken: SystemTime::UNIX_EPOCH + Duration::from_nanos(self.taken_ns),
        };
        StoppedProcess {
            process,
            image,
            target,
            origin,
        }
    }
}
