//! The probes on one image, and which of its processes have which.
//!
//! One attachment serves all processes of an image, filtered in the kernel by the target map. A
//! process gets one of its own where that would trap others in vain: while it is the only one, when
//! the governor takes the costly probes off another of its image, and where the file may be that of
//! another image's, too.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use aya::Ebpf;

use super::{
    attachment::{Link, Programs},
    closing::Closer,
    error::ProbeError,
    governor::Level,
    image_file::ImageFile,
};
use ids::{FileOffset, Pid};
use image::{ProbeSite, ProbeSites};

/// Processes of one image that get attachments of their own at most, since each hit walks all of
/// them; the others do without until one attachment can serve all again.
const OWN_ATTACHMENTS: usize = 32;

/// The probes on one image.
pub(super) struct ImageProbes {
    file: ImageFile,
    /// Whether what is attached for all processes of the file might run for another image's.
    has_twin: bool,
    /// The probes that each process is to have.
    members: BTreeMap<Pid, Level>,
    /// Park and wake, which cost the most.
    waits: Group,
    /// Contended locks.
    locks: Group,
    /// Threads.
    threads: Group,
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

/// What attaching takes.
pub(super) struct Attacher<'a> {
    pub programs: &'a Programs,
    pub ebpf: &'a mut Ebpf,
    /// Closes what processes leave that have ended.
    pub closer: &'a Closer,
}

impl ImageProbes {
    /// None yet, on `file`, of an image that has these `sites`.
    pub fn new(file: ImageFile, sites: ProbeSites) -> Self {
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
            file,
            has_twin: false,
            members: BTreeMap::new(),
            waits: group(Level::All, &waits),
            locks: group(Level::Locks, &[("go_semacquire", sites.semacquire)]),
            threads: group(Level::Threads, &[("go_newm", sites.newm)]),
        }
    }

    pub fn members(&self) -> impl Iterator<Item = Pid> + '_ {
        self.members.keys().copied()
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

    /// What is attached, for whoever closes it.
    pub fn into_links(self) -> impl Iterator<Item = Link> {
        let groups = [self.threads, self.locks, self.waits];
        groups.into_iter().flat_map(|group| match group.placed {
            Placed::Off => Vec::new(),
            Placed::Shared(links) => links,
            Placed::Own(links) => links.into_values().flatten().collect(),
        })
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

    /// Sets which probes a process is to have; it need not have been a member.
    pub fn set(
        &mut self,
        attacher: &mut Attacher<'_>,
        pid: Pid,
        level: Level,
    ) -> Result<(), ProbeError> {
        self.members.insert(pid, level);
        self.settle(attacher)
    }

    pub fn remove(&mut self, attacher: &mut Attacher<'_>, pid: Pid) -> Result<(), ProbeError> {
        self.members.remove(&pid);
        let is_last = self.members.is_empty();
        for group in [&mut self.threads, &mut self.locks, &mut self.waits] {
            // Nobody is left to be hit by them, so they may go when it suits.
            attacher.closer.close(group.leave(pid, is_last));
        }
        self.settle(attacher)
    }

    /// Takes in that another image's file may be this one: from now on each process has its own.
    pub fn has_twin(&mut self, attacher: &mut Attacher<'_>) -> Result<(), ProbeError> {
        self.has_twin = true;
        self.settle(attacher)
    }

    /// Attaches and detaches until what is attached is what the members want, as far as that goes.
    fn settle(&mut self, attacher: &mut Attacher<'_>) -> Result<(), ProbeError> {
        let path = self.file.path();
        let mut result = Ok(());
        // Locks before waits: a park takes the semaphore from what was seen of the lock.
        for group in [&mut self.threads, &mut self.locks, &mut self.waits] {
            let settled = group.settle(&self.members, self.has_twin, attacher, &path);
            result = result.and(settled);
        }
        result
    }
}

impl Group {
    /// Gives up what was attached for `pid` alone, or all when it `is_last`.
    fn leave(&mut self, pid: Pid, is_last: bool) -> Vec<Link> {
        match &mut self.placed {
            Placed::Own(own) => own.remove(&pid).unwrap_or_default(),
            Placed::Shared(links) if is_last => std::mem::take(links),
            Placed::Shared(_) | Placed::Off => Vec::new(),
        }
    }

    /// What was attached stays until what takes its place is: a hit may run twice for a moment, and none
    /// is missed.
    fn settle(
        &mut self,
        members: &BTreeMap<Pid, Level>,
        has_twin: bool,
        attacher: &mut Attacher<'_>,
        path: &Path,
    ) -> Result<(), ProbeError> {
        let wanted: BTreeSet<Pid> = members
            .iter()
            .filter(|(_, level)| **level >= self.from)
            .map(|(pid, _)| *pid)
            .collect();
        if wanted.is_empty() {
            self.placed = Placed::Off;
            return Ok(());
        }
        let is_shared = matches!(self.placed, Placed::Shared(_));
        let serves_all = wanted.len() == members.len() && !has_twin;
        if serves_all && (is_shared || wanted.len() > 1) {
            if !is_shared {
                self.placed = Placed::Shared(self.attach(attacher, path, None)?);
            }
            return Ok(());
        }
        self.settle_own(&wanted, attacher, path)
    }

    fn settle_own(
        &mut self,
        wanted: &BTreeSet<Pid>,
        attacher: &mut Attacher<'_>,
        path: &Path,
    ) -> Result<(), ProbeError> {
        let (mut own, _until_replaced) = match std::mem::replace(&mut self.placed, Placed::Off) {
            Placed::Own(own) => (own, None),
            Placed::Shared(links) => (BTreeMap::new(), Some(links)),
            Placed::Off => (BTreeMap::new(), None),
        };
        own.retain(|pid, _| wanted.contains(pid));
        let mut result = Ok(());
        for pid in wanted {
            if own.len() == OWN_ATTACHMENTS || own.contains_key(pid) {
                continue;
            }
            match self.attach(attacher, path, Some(*pid)) {
                Ok(links) => {
                    own.insert(*pid, links);
                }
                // Who has just ended is about to be removed.
                Err(error) if is_running(*pid) => result = result.and(Err(error)),
                Err(_) => {}
            }
        }
        self.placed = Placed::Own(own);
        result
    }

    fn attach(
        &self,
        attacher: &mut Attacher<'_>,
        path: &Path,
        process: Option<Pid>,
    ) -> Result<Vec<Link>, ProbeError> {
        let Attacher { programs, ebpf, .. } = attacher;
        self.sites
            .iter()
            .map(|(name, site)| programs.attach(ebpf, name, path, *site, process))
            .collect()
    }
}

fn is_running(pid: Pid) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}
