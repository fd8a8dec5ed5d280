//! Loading the BPF object: sizes of maps, and the tracepoints of processes.

use aya::{Ebpf, EbpfError, EbpfLoader, programs::RawTracePoint};
use aya_log::{EbpfLogger, Level};
use tracer_common::CLASSES;

use super::{
    error::{ProbeError, is_denied},
    options::Options,
};

/// The object with its maps; the uprobe programs are loaded by their attachment.
pub(super) fn object(options: &Options) -> Result<Ebpf, ProbeError> {
    let wake_from = u64::from(options.ring_bytes / 4);
    let log_level = if options.log { Level::Debug as u8 } else { 0 };
    let mut ebpf = EbpfLoader::new()
        .override_global(aya_log::LEVEL, &log_level, true)
        .override_global("WAKE_FROM_BYTES", &wake_from, true)
        .map_max_entries("TARGETS", options.targets)
        .map_max_entries("COUNTERS", options.targets)
        .map_max_entries("HISTOGRAMS", options.targets.saturating_mul(CLASSES as u32))
        .map_max_entries("PARKS", options.park_entries)
        .map_max_entries("EVENTS", options.ring_bytes)
        .load(options.object)
        .map_err(refused)?;
    if options.processes {
        tracepoint(&mut ebpf, "process_exec", "sched_process_exec")?;
        tracepoint(&mut ebpf, "process_exit", "sched_process_exit")?;
    }
    Ok(ebpf)
}

/// Reads what the BPF programs log. To be called after all programs are loaded.
pub(super) fn logger(ebpf: &mut Ebpf) -> Option<EbpfLogger<&'static dyn log::Log>> {
    EbpfLogger::init(ebpf)
        .inspect_err(|error| tracing::warn!(%error, "the BPF programs cannot log"))
        .ok()
}

fn tracepoint(ebpf: &mut Ebpf, program: &'static str, tracepoint: &str) -> Result<(), ProbeError> {
    let found: &mut RawTracePoint = ebpf
        .program_mut(program)
        .ok_or(ProbeError::Missing(program))?
        .try_into()
        .map_err(|source| ProbeError::Program { program, source })?;
    found
        .load()
        .and_then(|()| found.attach(tracepoint))
        .map(|_| ())
        .map_err(|source| ProbeError::Program { program, source })
}

/// Tells a missing privilege from a broken object.
fn refused(error: EbpfError) -> ProbeError {
    if is_denied(&error) {
        return ProbeError::NoPrivilege;
    }
    ProbeError::Load(error)
}
