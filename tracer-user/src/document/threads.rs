//! Threads in documents: counts by what they do, and the sites that hold them.

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::{Goroutine, Site};
use ids::{Goid, Tid};
use snapshot::{self, ThreadState};

/// The threads of a process.
#[derive(Debug, Clone, Serialize)]
pub struct Threads {
    /// How many there are, extra Ms without a thread not counted.
    pub count: usize,
    /// How many do what.
    pub states: States,
    /// How many `LockOSThread` pins.
    pub pinned: usize,
    /// How many look for work.
    pub spinning: usize,
    /// The pinned ones by where their goroutine was made, most first.
    pub pinned_by_site: Vec<SiteCount>,
    /// Those in a system call or in C by where their goroutine is, most first.
    pub outside_go_by_site: Vec<SiteCount>,
    /// Each thread.
    pub list: Vec<Thread>,
}

/// Threads by what they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct States {
    /// Running Go code.
    pub running: usize,
    /// In a system call of a goroutine.
    pub syscall: usize,
    /// In C code called by a goroutine.
    pub cgo: usize,
    /// Waiting in the netpoller for I/O or a timer, on behalf of the scheduler.
    pub netpoll: usize,
    /// Parked without work.
    pub idle: usize,
    /// Waiting for its locked goroutine.
    pub idle_locked: usize,
    /// Doing the runtime's own work.
    pub runtime: usize,
    /// Extra Ms, kept for callbacks from C.
    pub extra: usize,
    /// Not known to the Go runtime.
    pub foreign: usize,
}

impl States {
    /// The counts with their names, in a fixed order.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, usize); 9] {
        [
            ("running", self.running),
            ("syscall", self.syscall),
            ("cgo", self.cgo),
            ("netpoll", self.netpoll),
            ("idle", self.idle),
            ("idle-locked", self.idle_locked),
            ("runtime", self.runtime),
            ("extra", self.extra),
            ("foreign", self.foreign),
        ]
    }

    const fn of(&mut self, state: ThreadState) -> &mut usize {
        match state {
            ThreadState::Running => &mut self.running,
            ThreadState::Syscall => &mut self.syscall,
            ThreadState::Cgo => &mut self.cgo,
            ThreadState::NetPoll => &mut self.netpoll,
            ThreadState::Idle => &mut self.idle,
            ThreadState::IdleLocked => &mut self.idle_locked,
            ThreadState::Runtime => &mut self.runtime,
            ThreadState::Extra => &mut self.extra,
            ThreadState::Foreign => &mut self.foreign,
        }
    }
}

/// A site and how many stand there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SiteCount {
    /// Where.
    #[serde(flatten)]
    pub site: Site,
    /// How many.
    pub count: usize,
}

/// One thread.
#[derive(Debug, Clone, Serialize)]
pub struct Thread {
    /// Kernel thread id; `null` for an extra M without a thread.
    pub tid: Option<Tid>,
    /// The runtime's number for it; `null` for a thread made by C.
    pub m: Option<i64>,
    /// What it does.
    pub state: &'static str,
    /// The goroutine it runs or is locked to.
    pub goroutine: Option<Goid>,
    /// Whether `LockOSThread` pins it.
    pub locked: bool,
    /// Whether it looks for work.
    pub spinning: bool,
}

impl Threads {
    /// The threads of a snapshot, whose `goroutines` are ascending by id.
    #[must_use]
    pub fn new(threads: &[snapshot::Thread], goroutines: &[Goroutine]) -> Self {
        let goroutine = |goid: Option<Goid>| {
            let found = goroutines.binary_search_by_key(&goid?, |g| g.id).ok()?;
            goroutines.get(found)
        };
        let mut states = States::default();
        let mut pinned_sites = SiteCounts::default();
        let mut outside_sites = SiteCounts::default();
        for thread in threads {
            *states.of(thread.state) += 1;
            let goroutine = goroutine(thread.goroutine);
            if thread.locked {
                pinned_sites.add(goroutine.and_then(creation_site));
            }
            if matches!(thread.state, ThreadState::Syscall | ThreadState::Cgo) {
                outside_sites.add(goroutine.and_then(|g| g.place()).map(Site::from));
            }
        }
        Self {
            count: threads.iter().filter(|thread| thread.tid.is_some()).count(),
            states,
            pinned: threads.iter().filter(|thread| thread.locked).count(),
            spinning: threads.iter().filter(|thread| thread.spinning).count(),
            pinned_by_site: pinned_sites.into_sorted(),
            outside_go_by_site: outside_sites.into_sorted(),
            list: threads.iter().map(Thread::from).collect(),
        }
    }
}

impl From<&snapshot::Thread> for Thread {
    fn from(thread: &snapshot::Thread) -> Self {
        Self {
            tid: thread.tid,
            m: thread.m,
            state: state_text(thread.state),
            goroutine: thread.goroutine,
            locked: thread.locked,
            spinning: thread.spinning,
        }
    }
}

/// Where a goroutine was made; the first goroutine, which nobody made, stands where it is.
fn creation_site(goroutine: &Goroutine) -> Option<Site> {
    let made = goroutine.created_by.as_deref().cloned();
    made.or_else(|| goroutine.place().map(Site::from))
}

/// What a thread does, in a word.
#[must_use]
pub const fn state_text(state: ThreadState) -> &'static str {
    match state {
        ThreadState::Running => "running",
        ThreadState::Syscall => "syscall",
        ThreadState::Cgo => "cgo",
        ThreadState::NetPoll => "netpoll",
        ThreadState::Idle => "idle",
        ThreadState::IdleLocked => "idle-locked",
        ThreadState::Runtime => "runtime",
        ThreadState::Extra => "extra",
        ThreadState::Foreign => "foreign",
    }
}

#[derive(Default)]
struct SiteCounts(FxHashMap<Site, usize>);

impl SiteCounts {
    fn add(&mut self, site: Option<Site>) {
        *self
            .0
            .entry(site.unwrap_or_else(Site::unknown))
            .or_default() += 1;
    }

    fn into_sorted(self) -> Vec<SiteCount> {
        let mut counts: Vec<SiteCount> = self
            .0
            .into_iter()
            .map(|(site, count)| SiteCount { site, count })
            .collect();
        counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.site.cmp(&b.site)));
        counts
    }
}
