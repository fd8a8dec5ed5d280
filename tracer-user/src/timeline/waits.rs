//! Since when goroutines wait: by events where they agree with memory, else by the first inspection that
//! found them in the same wait.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::event::Parked;
use ids::{Goid, TargetAddr};
use image::WaitReason;
use snapshot::{Goroutine, Snapshot, WaitSince};

/// Most waits remembered of one process: of events, and of inspections.
pub const MAX_WAITS: usize = 1 << 18;

#[derive(Debug, Default)]
pub(super) struct Waits {
    begun: Begun,
    /// Waits since the last inspection that deserve one.
    locks: Unexamined,
    companions: Unexamined,
    /// The waits that the last inspection saw.
    seen: FxHashMap<Goid, Seen>,
    /// When the last inspection was: it has examined what began before.
    looked_ns: u64,
}

/// Whether a wait deserves an inspection, once it has lasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    /// It is for a lock.
    Lock,
    /// Somebody else waits for a lock: it may keep him waiting.
    Companion,
    Nothing,
}

/// Parks whose wake was not seen, by `g`.
type Begun = FxHashMap<TargetAddr, Parked>;

/// Waits that no inspection has examined, oldest first; some may be over.
type Unexamined = VecDeque<Parked>;

/// A wait as an inspection saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    g: TargetAddr,
    sp: TargetAddr,
    parks: Option<u8>,
    reason: Option<WaitReason>,
    since: WaitSince,
}

impl Waits {
    /// The waits of a dated snapshot.
    pub(super) fn seen_in(snapshot: &Snapshot) -> Self {
        let parked = snapshot.goroutines.iter();
        let parked = parked.filter(|g| g.status.is_parked() && !g.system);
        Self {
            seen: parked
                .take(MAX_WAITS)
                .map(|g| (g.goid, Seen::of(g)))
                .collect(),
            looked_ns: snapshot.taken_ns,
            ..Self::default()
        }
    }

    /// Remembers a park. False when there are too many to remember.
    pub(super) fn begin(&mut self, parked: Parked, worth: Worth) -> bool {
        if self.begun.len() >= MAX_WAITS && !self.begun.contains_key(&parked.g) {
            return false;
        }
        self.begun.insert(parked.g, parked);
        if parked.at_ns <= self.looked_ns {
            return true;
        }
        let (begun, Some(unexamined)) = self.of(worth) else {
            return true;
        };
        if unexamined.len() >= MAX_WAITS {
            unexamined.retain(|parked| begun.get(&parked.g) == Some(parked));
        }
        if unexamined.len() >= MAX_WAITS {
            return false;
        }
        unexamined.push_back(parked);
        true
    }

    fn of(&mut self, worth: Worth) -> (&Begun, Option<&mut Unexamined>) {
        let unexamined = match worth {
            Worth::Lock => Some(&mut self.locks),
            Worth::Companion => Some(&mut self.companions),
            Worth::Nothing => None,
        };
        (&self.begun, unexamined)
    }

    pub(super) fn end(&mut self, g: TargetAddr) {
        self.begun.remove(&g);
    }

    /// A lost wake would leave a wait that began too early: none can be trusted.
    pub(super) fn forget_events(&mut self) {
        self.begun.clear();
        self.locks.clear();
        self.companions.clear();
    }

    /// Whether a wait of that worth which began at `long_ago_ns` or before still lasts, as far as
    /// events tell, and no inspection has seen it.
    pub(super) fn unexamined(&mut self, worth: Worth, long_ago_ns: u64) -> bool {
        let (begun, Some(unexamined)) = self.of(worth) else {
            return false;
        };
        while let Some(parked) = unexamined.front() {
            if begun.get(&parked.g) == Some(parked) {
                return parked.at_ns <= long_ago_ns;
            }
            unexamined.pop_front();
        }
        false
    }

    /// Dates the waits of `snapshot`, and forgets what it contradicts.
    pub(super) fn date(&mut self, snapshot: &mut Snapshot) {
        let taken_ns = snapshot.taken_ns;
        let mut seen = FxHashMap::default();
        let mut confirmed = FxHashMap::default();
        for goroutine in &mut snapshot.goroutines {
            if !goroutine.status.is_parked() {
                continue;
            }
            let event = self.begun.get(&goroutine.g).copied();
            let event = event.filter(|parked| Some(parked.reason) == goroutine.wait_reason);
            goroutine.since = self.since(goroutine, event, taken_ns);
            if let Some(parked) = event {
                confirmed.insert(parked.g, parked);
            }
            if seen.len() < MAX_WAITS && !goroutine.system {
                seen.insert(goroutine.goid, Seen::of(goroutine));
            }
        }
        self.seen = seen;
        self.looked_ns = taken_ns;
        // A park that is older than the snapshot, and that the snapshot does not show, is over.
        self.begun
            .retain(|g, parked| parked.at_ns > taken_ns || confirmed.contains_key(g));
        self.locks.retain(|parked| parked.at_ns > taken_ns);
        self.companions.retain(|parked| parked.at_ns > taken_ns);
    }

    fn since(&self, goroutine: &Goroutine, event: Option<Parked>, taken_ns: u64) -> WaitSince {
        if let Some(parked) = event.filter(|parked| parked.at_ns <= taken_ns) {
            return WaitSince::Exact(parked.at_ns);
        }
        let before = self.seen.get(&goroutine.goid);
        match before.filter(|before| before.is_same(goroutine)) {
            Some(before) => earlier(before.since, goroutine.since),
            None => earlier(goroutine.since, WaitSince::AtLeast(taken_ns)),
        }
    }
}

impl Seen {
    fn of(goroutine: &Goroutine) -> Self {
        Self {
            g: goroutine.g,
            sp: goroutine.sp,
            parks: goroutine.parks,
            reason: goroutine.wait_reason,
            since: goroutine.since,
        }
    }

    /// Whether `goroutine` has not run since.
    fn is_same(&self, goroutine: &Goroutine) -> bool {
        let now = Self::of(goroutine);
        Self {
            since: now.since,
            ..*self
        } == now
    }
}

/// The better of two dates of one wait: an exact one, else the earlier.
fn earlier(a: WaitSince, b: WaitSince) -> WaitSince {
    match (a, b) {
        (WaitSince::Exact(ns), _) | (_, WaitSince::Exact(ns)) => WaitSince::Exact(ns),
        (WaitSince::AtLeast(a), WaitSince::AtLeast(b)) => WaitSince::AtLeast(a.min(b)),
        (WaitSince::AtLeast(ns), WaitSince::Unknown)
        | (WaitSince::Unknown, WaitSince::AtLeast(ns)) => WaitSince::AtLeast(ns),
        (WaitSince::Unknown, WaitSince::Unknown) => WaitSince::Unknown,
    }
}
