//! Running programs below `programs/` as targets of the heap walk.

use std::{path::Path, process::Command, sync::Arc};

use testing::process;
use tracer_user::{ids::Pid, image::Image, process::Process, snapshot::Target};

/// Starts `binary` and waits until it is ready.
pub(crate) fn run(binary: &Path, arguments: &[&str]) -> process::Process {
    process::Process::ready(Command::new(binary).args(arguments)).unwrap()
}

/// The process as a target.
pub(crate) fn target_of(running: &process::Process) -> Target {
    let pid = Pid(running.pid());
    let process = Process::open(pid).unwrap();
    let image = Image::open(Path::new(&format!("/proc/{pid}/exe"))).unwrap();
    Target::live(&process, Arc::new(image)).unwrap()
}
