//! Attaching the programs to images.
//!
//! One attachment serves all processes of an image, filtered in the kernel by the target map. When
//! the governor takes the costly probes off one process of several, the others get attachments of
//! their own, since a breakpoint in a shared attachment traps in every process.

use std::{
    collections::BTreeMap,
    io,
    num::NonZeroU32,
    os::fd::{AsFd as _, OwnedFd},
    path::{Path, PathBuf},
};

use aya::{
    Ebpf,
    programs::{
        UProbe,
        uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope},
    },
};
use rustc_hash::FxHashMap;

use super::{bpf_call, error::ProbeError, governor::Level, multi, object::OBJECT};
use crate::{
    ids::{FileOffset, Pid},
    image::{ProbeSite, ProbeSites},
};

/// Processes of one image that get attachments of their own at most, since each hit walks all of
/// them; the others do without until one attachment can serve all again.
const OWN_ATTACHMENTS: usize = 32;

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
pub(super) enum Link {
    Multi { _descriptor: OwnedFd },
    Perf { _link: UProbeLink },
}

/// The loaded uprobe programs.
pub(super) enum Programs {
    Multi(FxHashMap<&'static str, OwnedFd>),
    Perf,
}

impl Programs {
    /// Loads them; `wanted` forces a method.
    pub fn load(ebpf: &mut Ebpf, wanted: Option<AttachMethod>) -> Result<Self, ProbeError> {
        if wanted != Some(AttachMethod::Perf) {
            match Self::load_multi(ebpf) {
                Ok(Some(programs)) => return Ok(programs),
                Err(error) if wanted == Some(AttachMethod::Multi) => return Err(error),
                Ok(None) | Err(_) => {}
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

    fn load_multi(ebpf: &Ebpf) -> Result<Option<Self>, ProbeError> {
        let mut programs = FxHashMap::default();
        for name in PROGRAMS {
            let program = multi::load(OBJECT, ebpf, name)?;
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
            let link = multi::attach(program.as_fd(), path, &[site], process)?;
            return Ok(Link::Multi { _descriptor: link });
        }
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
        Ok(Link::Perf { _link: link })
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

/// A process of an image.
struct Member {
    /// Its executable, as we reach it.
    path: PathBuf,
    /// The probes it is to have.
    level: Level,
}

/// Probes that come and go together.
struct Group {
    /// Where each program goes, in the order of attachment.
    sites: Vec<(&'static str, FileOffset)>,
    /// The level from which on a process has them.
    from: Level,
    placed: Placed,
}

enum Placed {
    Off,
    Shared(Vec<Link>),
    Own(BTreeMap<Pid, Vec<Link>>),
}

/// The probes on one image.
pub(super) struct ImageProbes {
    members: BTreeMap<Pid, Member>,
    /// Park and wake, which cost the most.
    waits: Group,
    /// Contended locks.
    locks: Group,
    /// Threads.
    threads: Group,
}

impl ImageProbes {
    pub fn new(sites: ProbeSites) -> Self {
        let group = |from, sites: &[(&'static str, Option<ProbeSite>)]| Group {
            sites: sites
                .iter()
                .filter_map(|(program, site)| Some((*program, site.as_ref()?.offset)))
                .collect(),
            from,
            placed: Placed::Off,
        };
        // The wake first: a park that is seen whose wake is not would look like a long wait.
        let waits = [("go_ready", sites.ready), ("go_park", sites.park)];
        Self {
            members: BTreeMap::new(),
            waits: group(Level::All, &waits),
            locks: group(Level::Locks, &[("go_semacquire", sites.semacquire)]),
            threads: group(Level::Threads, &[("go_newm", sites.newm)]),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether the park and wake probes of `pid` are attached.
    pub fn is_probing(&self, pid: Pid) -> bool {
        match &self.waits.placed {
            Placed::Off => false,
            Placed::Shared(_) => self.members.contains_key(&pid),
            Placed::Own(links) => links.contains_key(&pid),
        }
    }

    /// How many uprobes are in place.
    pub fn attached(&self) -> usize {
        let groups = [&self.waits, &self.locks, &self.threads];
        let links = groups.map(|group| match &group.placed {
            Placed::Off => 0,
            Placed::Shared(links) => links.len(),
            Placed::Own(links) => links.values().map(Vec::len).sum(),
        });
        links.iter().sum()
    }

    pub fn add(
        &mut self,
        programs: &Programs,
        ebpf: &mut Ebpf,
        pid: Pid,
        path: &Path,
    ) -> Result<(), ProbeError> {
        let member = Member {
            path: path.to_owned(),
            level: Level::All,
        };
        self.members.insert(pid, member);
        self.settle(programs, ebpf)
    }

    pub fn remove(
        &mut self,
        programs: &Programs,
        ebpf: &mut Ebpf,
        pid: Pid,
    ) -> Result<(), ProbeError> {
        self.members.remove(&pid);
        self.settle(programs, ebpf)
    }

    /// Sets which probes one process is to have.
    pub fn switch(
        &mut self,
        programs: &Programs,
        ebpf: &mut Ebpf,
        pid: Pid,
        level: Level,
    ) -> Result<(), ProbeError> {
        if let Some(member) = self.members.get_mut(&pid) {
            member.level = level;
        }
        self.settle(programs, ebpf)
    }

    /// Attaches and detaches until what is attached is what the members want.
    fn settle(&mut self, programs: &Programs, ebpf: &mut Ebpf) -> Result<(), ProbeError> {
        // Locks before waits: a park takes the semaphore from what was seen of the lock.
        for group in [&mut self.threads, &mut self.locks, &mut self.waits] {
            group.settle(&self.members, programs, ebpf)?;
        }
        Ok(())
    }
}

impl Group {
    fn settle(
        &mut self,
        members: &BTreeMap<Pid, Member>,
        programs: &Programs,
        ebpf: &mut Ebpf,
    ) -> Result<(), ProbeError> {
        let wanted: Vec<(&Pid, &Member)> = members
            .iter()
            .filter(|(_, member)| member.level >= self.from)
            .collect();
        // Any will do, but one that has just ended.
        let alive = wanted.iter().find(|(_, member)| member.path.exists());
        let Some((_, first)) = alive.or(wanted.first()) else {
            self.placed = Placed::Off;
            return Ok(());
        };
        if wanted.len() == members.len() {
            if !matches!(self.placed, Placed::Shared(_)) {
                self.placed = Placed::Off;
                self.placed = Placed::Shared(self.attach(programs, ebpf, &first.path, None)?);
            }
            return Ok(());
        }
        let mut own = match std::mem::replace(&mut self.placed, Placed::Off) {
            Placed::Own(own) => own,
            Placed::Off | Placed::Shared(_) => BTreeMap::new(),
        };
        own.retain(|pid, _| wanted.iter().any(|(wanted, _)| *wanted == pid));
        for (pid, member) in wanted {
            if own.len() < OWN_ATTACHMENTS && !own.contains_key(pid) {
                let links = self.attach(programs, ebpf, &member.path, Some(*pid))?;
                own.insert(*pid, links);
            }
        }
        self.placed = Placed::Own(own);
        Ok(())
    }

    fn attach(
        &self,
        programs: &Programs,
        ebpf: &mut Ebpf,
        path: &Path,
        process: Option<Pid>,
    ) -> Result<Vec<Link>, ProbeError> {
        self.sites
            .iter()
            .map(|(name, site)| programs.attach(ebpf, name, path, *site, process))
            .collect()
    }
}
