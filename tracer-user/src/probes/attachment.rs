//! Attaching the programs to images.
//!
//! One attachment serves all processes of an image, filtered in the kernel by the target map. When
//! the governor takes the costly probes off one process of several, the others get attachments of
//! their own, since a breakpoint in a shared attachment traps in every process.

use std::{
    collections::BTreeMap,
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

use super::{error::ProbeError, multi, object::OBJECT};
use crate::{
    ids::{FileOffset, Pid},
    image::ProbeSites,
};

/// Processes of one image that get attachments of their own at most: each hit walks all of them.
const OWN_ATTACHMENTS: usize = 32;

/// The uprobe programs.
pub(super) const PROGRAMS: [&str; 5] = [
    "go_park",
    "go_ready",
    "go_semacquire",
    "go_newm",
    "calibrate",
];

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
            .map_err(|source| ProbeError::Program {
                program: name,
                source,
            })?;
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
    /// Whether its park and wake probes are wanted.
    wanted: bool,
}

/// The probes of park and wake, which cost the most.
enum Hot {
    Off,
    Shared { _links: Vec<Link> },
    Own(BTreeMap<Pid, Vec<Link>>),
}

/// The probes on one image.
pub(super) struct ImageProbes {
    sites: ProbeSites,
    members: BTreeMap<Pid, Member>,
    hot: Hot,
    threads: Option<Link>,
}

impl ImageProbes {
    pub const fn new(sites: ProbeSites) -> Self {
        Self {
            sites,
            members: BTreeMap::new(),
            hot: Hot::Off,
            threads: None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether the park and wake probes of `pid` are attached.
    pub fn is_probing(&self, pid: Pid) -> bool {
        match &self.hot {
            Hot::Off => false,
            Hot::Shared { .. } => self.members.contains_key(&pid),
            Hot::Own(links) => links.contains_key(&pid),
        }
    }

    pub fn add(
        &mut self,
        programs: &Programs,
        ebpf: &mut Ebpf,
        pid: Pid,
        path: &Path,
    ) -> Result<(), ProbeError> {
        let path = path.to_owned();
        if self.threads.is_none()
            && let Some(site) = self.sites.newm
        {
            self.threads = Some(programs.attach(ebpf, "go_newm", &path, site.offset, None)?);
        }
        self.members.insert(pid, Member { path, wanted: true });
        self.settle(programs, ebpf)
    }

    pub fn remove(
        &mut self,
        programs: &Programs,
        ebpf: &mut Ebpf,
        pid: Pid,
    ) -> Result<(), ProbeError> {
        self.members.remove(&pid);
        if self.members.is_empty() {
            self.hot = Hot::Off;
            self.threads = None;
            return Ok(());
        }
        self.settle(programs, ebpf)
    }

    /// Switches the park and wake probes of one process.
    pub fn switch(
        &mut self,
        programs: &Programs,
        ebpf: &mut Ebpf,
        pid: Pid,
        wanted: bool,
    ) -> Result<(), ProbeError> {
        if let Some(member) = self.members.get_mut(&pid) {
            member.wanted = wanted;
        }
        self.settle(programs, ebpf)
    }

    /// Attaches and detaches until what is attached is what the members want.
    fn settle(&mut self, programs: &Programs, ebpf: &mut Ebpf) -> Result<(), ProbeError> {
        let wanted = self.members.values().filter(|member| member.wanted).count();
        if wanted == self.members.len() {
            if !matches!(self.hot, Hot::Shared { .. }) {
                self.hot = Hot::Off;
                let path = self.members.values().next().map(|member| &member.path);
                let links = match path {
                    Some(path) => self.attach_hot(programs, ebpf, path, None)?,
                    None => return Ok(()),
                };
                self.hot = Hot::Shared { _links: links };
            }
            return Ok(());
        }
        if wanted == 0 || wanted > OWN_ATTACHMENTS {
            self.hot = Hot::Off;
            return Ok(());
        }
        let mut own = match std::mem::replace(&mut self.hot, Hot::Off) {
            Hot::Own(own) => own,
            Hot::Off | Hot::Shared { .. } => BTreeMap::new(),
        };
        own.retain(|pid, _| self.members.get(pid).is_some_and(|member| member.wanted));
        for (pid, member) in self.members.iter().filter(|(_, member)| member.wanted) {
            if !own.contains_key(pid) {
                own.insert(
                    *pid,
                    self.attach_hot(programs, ebpf, &member.path, Some(*pid))?,
                );
            }
        }
        self.hot = Hot::Own(own);
        Ok(())
    }

    fn attach_hot(
        &self,
        programs: &Programs,
        ebpf: &mut Ebpf,
        path: &Path,
        process: Option<Pid>,
    ) -> Result<Vec<Link>, ProbeError> {
        // The wake first: a park that is seen whose wake is not would look like a long wait.
        [
            ("go_ready", self.sites.ready),
            ("go_semacquire", self.sites.semacquire),
            ("go_park", self.sites.park),
        ]
        .into_iter()
        .filter_map(|(name, site)| Some((name, site?)))
        .map(|(name, site)| programs.attach(ebpf, name, path, site.offset, process))
        .collect()
    }
}
