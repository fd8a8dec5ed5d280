//! The process in documents.

use std::path::Path;

use serde::Serialize;

use super::clock::Clock;
use crate::target_text::TargetText;
use ids::Pid;
use image::Image;
use process::{self, Container, CpuLimit, ProcessKey};
use snapshot::Snapshot;

/// What one executable says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageFacts {
    /// For example `go1.27.3`.
    pub go_version: TargetText,
    /// Whether it was built with cgo.
    pub cgo: bool,
    /// Whether it has no symbol table.
    pub stripped: bool,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Process {
    /// `PID-STARTTIME`: never used again for another process.
    pub key: String,
    /// Its pid.
    pub pid: Pid,
    /// When it started (RFC 3339); `null` of a file that it left.
    pub start_time: Option<String>,
    /// For how long it had run, in seconds; `null` of a file that it left.
    pub uptime_seconds: Option<u64>,
    /// The core file or recording that it was read from; `null` of a process that runs.
    pub file: Option<TargetText>,
    /// Base name of its first argument, else the kernel's name for it. Arguments are left out:
    /// they often hold secrets.
    pub command: TargetText,
    /// Path of its executable, in its own mount namespace.
    pub exe: TargetText,
    /// What its image says.
    #[serde(flatten)]
    pub image: ImageFacts,
    /// GOMAXPROCS; `null` when it could not be read.
    pub gomaxprocs: Option<u32>,
    /// CPUs its cgroup allows; `null` without a limit.
    pub cpu_limit: Option<f64>,
    /// How many threads it has.
    pub threads: usize,
    /// How many goroutines it has, the runtime's own included.
    pub goroutines: usize,
    /// Its container; `null` outside any.
    pub identity: Option<Identity>,
}

/// Where a containerised process belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Identity {
    /// Kubernetes namespace.
    pub namespace: Option<TargetText>,
    /// Kubernetes pod.
    pub pod: Option<TargetText>,
    /// Name of the container.
    pub container: Option<TargetText>,
    /// Id of the container as its runtime gave it.
    pub container_id: Option<TargetText>,
    /// Kubernetes node.
    pub node: Option<TargetText>,
}

impl ImageFacts {
    /// What `image` says of itself. Whether C is linked in the running process knows best.
    #[must_use]
    pub fn new(image: &Image, snapshot: &Snapshot) -> Self {
        let scheduler = snapshot.scheduler.as_ref();
        let facts = Self::of_file(image);
        Self {
            cgo: scheduler.map_or(facts.cgo, |scheduler| scheduler.is_cgo),
            ..facts
        }
    }

    /// What `image` says of itself alone.
    fn of_file(image: &Image) -> Self {
        Self {
            go_version: image.go_version().raw.as_str().into(),
            cgo: image.build_info().setting("CGO_ENABLED") == Some("1"),
            stripped: image.is_stripped(),
        }
    }
}

impl Process {
    /// `process` as `snapshot` found it.
    #[must_use]
    pub fn new(
        process: &process::Process,
        image: ImageFacts,
        cpu_limit: Option<CpuLimit>,
        snapshot: &Snapshot,
        clock: &Clock,
    ) -> Self {
        Self {
            gomaxprocs: snapshot.scheduler.as_ref().map(|s| s.gomaxprocs),
            cpu_limit: cpu_limit.map(|limit| limit.0),
            threads: snapshot.threads.iter().filter(|t| t.tid.is_some()).count(),
            goroutines: snapshot.goroutines.len(),
            ..Self::from_outside(process, image, clock)
        }
    }

    /// `process`, which executes `image`, before it was read.
    #[must_use]
    pub fn unread(process: &process::Process, image: &Image, clock: &Clock) -> Self {
        Self::from_outside(process, ImageFacts::of_file(image), clock)
    }

    /// `process` where neither its memory nor its executable answers.
    #[must_use]
    pub fn silent(process: &process::Process, clock: &Clock) -> Self {
        let image = ImageFacts {
            go_version: "".into(),
            cgo: false,
            stripped: false,
        };
        Self::from_outside(process, image, clock)
    }

    /// What is known without reading its memory.
    fn from_outside(process: &process::Process, image: ImageFacts, clock: &Clock) -> Self {
        Self {
            key: key_text(process.key),
            pid: process.pid(),
            start_time: Some(clock.start_text(process.key.start_time)),
            uptime_seconds: Some(clock.uptime(process.key.start_time).as_secs()),
            file: None,
            command: command(process),
            exe: process.exe.path.to_string_lossy().into(),
            image,
            gomaxprocs: None,
            cpu_limit: None,
            threads: 0,
            goroutines: 0,
            identity: process.container.as_ref().map(Identity::from),
        }
    }

    /// The process as one of which only `file` is left.
    #[must_use]
    pub(super) fn left_in(self, file: &Path) -> Self {
        Self {
            start_time: None,
            uptime_seconds: None,
            file: Some(file.to_string_lossy().into()),
            ..self
        }
    }
}

impl From<&Container> for Identity {
    fn from(container: &Container) -> Self {
        let names = container.names.as_deref();
        Self {
            namespace: names.map(|names| names.namespace.as_str().into()),
            pod: names.map(|names| names.pod.as_str().into()),
            container: names.and_then(|names| Some(names.container.as_deref()?.into())),
            container_id: Some(container.id.as_str().into()),
            node: names.map(|names| names.node.as_str().into()),
        }
    }
}

/// A process's key as text.
#[must_use]
pub fn key_text(key: ProcessKey) -> String {
    format!("{}-{}", key.pid, key.start_time.0)
}

/// What a person calls the process.
#[must_use]
pub fn command(process: &process::Process) -> TargetText {
    let first = process.cmdline.first().map(Path::new);
    first.and_then(Path::file_name).map_or_else(
        || process.comm.as_str().into(),
        |name| name.to_string_lossy().into(),
    )
}
