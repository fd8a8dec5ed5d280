//! The loaded programs, and attaching one of them at one place.

use std::{
    io,
    num::NonZeroU32,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use aya::{
    Ebpf,
    programs::{
        UProbe,
        uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope},
    },
};
use rustc_hash::FxHashMap;

use super::{bpf_call, error::ProbeError, multi, options::Options};
use ids::{FileOffset, Pid};
use resources::descriptors::Permit;

/// The uprobe programs.
pub(super) const PROGRAMS: [&str; 4] = ["go_park", "go_ready", "go_semacquire", "go_newm"];

/// What the kernel made of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProgramFacts {
    /// Its name.
    pub name: &'static str,
    /// Its instructions after the verifier has rewritten it: what a hit can run at most once, as
    /// there are no loops.
    pub instructions: u32,
    /// Instructions that the verifier went through, along all paths together.
    pub verified: u32,
}

/// How probes are attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttachMethod {
    /// uprobe_multi links: Linux 6.6 with a sound process filter.
    Multi,
    /// One perf event a probe.
    Perf,
}

/// An attached probe; detached when dropped.
pub(super) struct Link {
    _attached: Attached,
    /// After the descriptors that it is for.
    _permit: Permit,
}

enum Attached {
    Multi { _descriptor: OwnedFd },
    Perf { _link: UProbeLink },
}

/// The loaded uprobe programs.
pub(super) enum Programs {
    Multi(FxHashMap<&'static str, OwnedFd>),
    Perf,
}

impl Programs {
    /// Loads them onto the maps of `ebpf`, which was made by the same `options`.
    pub fn load(ebpf: &mut Ebpf, options: &Options) -> Result<Self, ProbeError> {
        let wanted = options.method;
        if wanted != Some(AttachMethod::Perf) {
            match Self::load_multi(options.object, ebpf) {
                Ok(Some(programs)) => return Ok(programs),
                Err(error) if wanted == Some(AttachMethod::Multi) => return Err(error),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "no uprobe_multi links, perf events instead"),
            }
        }
        for name in PROGRAMS {
            uprobe(ebpf, name)?
                .load()
                .map_err(|source| ProbeError::Program {
                    program: name,
                    source,
                })?;
        }
        Ok(Self::Perf)
    }

    fn load_multi(object: &[u8], ebpf: &Ebpf) -> Result<Option<Self>, ProbeError> {
        let mut programs = FxHashMap::default();
        for name in PROGRAMS {
            let program = multi::load(object, ebpf, name)?;
            if programs.is_empty() && !multi::is_supported(program.as_fd()) {
                return Ok(None);
            }
            programs.insert(name, program);
        }
        Ok(Some(Self::Multi(programs)))
    }

    /// What the kernel made of each.
    pub fn facts(&self, ebpf: &Ebpf) -> io::Result<Vec<ProgramFacts>> {
        let facts = |name, program| -> io::Result<ProgramFacts> {
            let info = bpf_call::program_info(program)?;
            Ok(ProgramFacts {
                name,
                // `struct bpf_insn` has 8 bytes.
                instructions: info.xlated_prog_len / 8,
                verified: info.verified_insns,
            })
        };
        PROGRAMS
            .iter()
            .map(|name| match self {
                Self::Multi(programs) => {
                    let program = programs.get(name).ok_or(io::ErrorKind::NotFound)?;
                    facts(*name, program.as_fd())
                }
                Self::Perf => {
                    let program = ebpf.program(name).ok_or(io::ErrorKind::NotFound)?;
                    let program = program.fd().map_err(io::Error::other)?;
                    facts(*name, program.as_fd())
                }
            })
            .collect()
    }

    pub const fn method(&self) -> AttachMethod {
        match self {
            Self::Multi(_) => AttachMethod::Multi,
            Self::Perf => AttachMethod::Perf,
        }
    }

    /// Attaches one program at one place, for one process or for all.
    pub fn attach(
        &self,
        ebpf: &mut Ebpf,
        name: &'static str,
        path: &Path,
        site: FileOffset,
        process: Option<Pid>,
    ) -> Result<Link, ProbeError> {
        if let Self::Multi(programs) = self {
            let program = programs.get(name).ok_or(ProbeError::Missing(name))?;
            let permit = ProbeError::permit(1)?;
            let link = multi::attach(program.as_fd(), path, &[site], process)?;
            return Ok(Link {
                _attached: Attached::Multi { _descriptor: link },
                _permit: permit,
            });
        }
        // The event, and the link that leads from it to the program.
        let permit = ProbeError::permit(2)?;
        let scope = match process.and_then(|pid| NonZeroU32::new(pid.0)) {
            Some(pid) => UProbeScope::OneProcess(pid),
            None => UProbeScope::AllProcesses,
        };
        let point = UProbeAttachPoint {
            location: UProbeAttachLocation::AbsoluteOffset(site.0),
            cookie: None,
        };
        let program = uprobe(ebpf, name)?;
        let link = program
            .attach(point, path, scope)
            .and_then(|id| program.take_link(id))
            .map_err(|source| ProbeError::of_perf_event(name, source))?;
        Ok(Link {
            _attached: Attached::Perf { _link: link },
            _permit: permit,
        })
    }
}

fn uprobe<'a>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut UProbe, ProbeError> {
    ebpf.program_mut(name)
        .ok_or(ProbeError::Missing(name))?
        .try_into()
        .map_err(|source| ProbeError::Program {
            program: name,
            source,
        })
}
