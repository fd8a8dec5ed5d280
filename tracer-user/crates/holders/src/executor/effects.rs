//! What a path has done to locks, shared with the paths that branched off and hashed once.

use std::{ops::Deref, rc::Rc};

use super::{
    super::{model::ReleaseKind, sites::LockKind},
    hash::hash_of,
    value::Value,
};
use ids::ImageAddr;

/// A lock by what has to be released, and its address.
pub type Lock = (LockKind, u64);

/// A release that the path performs on something it did not take itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Released {
    /// How.
    pub kind: ReleaseKind,
    /// Of what.
    pub object: u64,
    /// How often (`RUnlock`, `Done`).
    pub count: u32,
    /// Whether code that could not be followed ran before: that code may have taken the lock.
    pub after_unknown: bool,
    /// Whether which lock this is, or whether it is released, was read from memory that others can
    /// write.
    pub reloaded: bool,
}

/// Stands for a lock whose address is not known.
pub const UNKNOWN_LOCK: u64 = 0;
/// How many locks with unknown addresses a path takes before it stops counting.
const MAX_UNKNOWN_HELD: usize = 4;
/// How often one lock is taken at most where a past is followed.
const MAX_SAME_TAKEN: usize = 2;
/// Pairs of what was taken and what was given back that are told apart at most.
const MAX_ALIASED: usize = 64;

/// A deferred call that has not run yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Deferred {
    /// Stack pointer of the frame that runs it.
    pub sp: u64,
    /// The closure.
    pub closure: Value,
}

/// What a path has done so far.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Effects {
    /// Locks taken on the path and not released, ascending.
    pub held: Vec<Lock>,
    /// Releases of what the path did not take, ascending.
    pub released: Vec<Released>,
    /// Deferred calls, the next one last.
    pub deferred: Rc<Vec<Deferred>>,
    /// Whether the path went through code that could not be followed.
    pub unknown_code: bool,
    /// Where a past is followed: locks of `held` that code may have given back which could not be
    /// followed, ascending.
    pub doubted: Vec<Lock>,
    /// Where a past is followed: locks of `held` together with a number of which cannot be told
    /// whether it is their address, and at which one of their kind was given back, ascending.
    pub aliased: Vec<(Lock, u64)>,
    /// Where a past is followed: where locks of `held` were taken, ascending. None of a lock that was
    /// taken in different places by paths that go on as one.
    pub sites: Vec<(Lock, ImageAddr)>,
}

impl Effects {
    /// A hash of them all; that of the deferred calls is known.
    fn digest(&self, deferred: u64) -> u64 {
        hash_of(&(
            (&self.held, &self.released, self.unknown_code),
            (&self.doubted, &self.aliased, deferred),
        ))
    }

    /// Whether the path has taken `lock` and not given it back.
    pub fn has(&self, lock: Lock) -> bool {
        self.held.binary_search(&lock).is_ok()
    }

    /// Code was passed that may have given back whatever is held.
    pub fn doubt_held(&mut self) {
        self.unknown_code = true;
        self.doubted.clone_from(&self.held);
        self.doubted.dedup();
    }

    /// Takes `lock` at `site` where a past is followed. Whoever gets an exclusive lock has it, and nobody
    /// had it any more, whatever seemed to be so before: the path has it once, beyond doubt. Of other
    /// locks, and of those whose address is not known, more than two are not told apart, so that loops
    /// come to an end.
    pub fn take(&mut self, lock: Lock, site: ImageAddr) {
        let exclusive = matches!(lock.0, LockKind::Mutex | LockKind::Write);
        if exclusive && lock.1 != UNKNOWN_LOCK {
            self.held.retain(|held| *held != lock);
        }
        let known = self.held.iter().filter(|held| **held == lock).count();
        if known == 0 {
            self.forget_doubts(lock);
        }
        if known < MAX_SAME_TAKEN {
            self.acquire(lock);
        }
        if lock.1 != UNKNOWN_LOCK {
            match self.sites.binary_search_by_key(&lock, |(lock, _)| *lock) {
                Ok(at) => self.sites[at].1 = site,
                Err(at) => self.sites.insert(at, (lock, site)),
            }
        }
    }

    /// Where `lock`, which is held, was taken, if that is one place.
    pub fn site(&self, lock: Lock) -> Option<ImageAddr> {
        let at = self.sites.binary_search_by_key(&lock, |(lock, _)| *lock);
        Some(self.sites.get(at.ok()?)?.1)
    }

    /// Forgets what was said of `lock`, which is held no more.
    fn forget_doubts(&mut self, lock: Lock) {
        self.doubted.retain(|doubted| *doubted != lock);
        self.aliased.retain(|(aliased, _)| *aliased != lock);
        self.sites.retain(|(taken, _)| *taken != lock);
    }

    /// Keeps what can be said of both histories where a past is followed: what one of them has not taken
    /// is not held, and what one of them has given back may have been.
    pub fn agree(&mut self, other: &Self) {
        let mut theirs = other.held.clone();
        self.held.retain(|lock| match theirs.binary_search(lock) {
            Ok(at) => {
                theirs.remove(at);
                true
            }
            Err(_) => false,
        });
        for released in &other.released {
            self.give((released.kind, released.object), released.reloaded);
        }
        self.unknown_code |= other.unknown_code;
        self.doubted.extend(&other.doubted);
        self.aliased.extend(&other.aliased);
        let held = |lock: &Lock| self.held.binary_search(lock).is_ok();
        self.doubted.retain(held);
        self.aliased.retain(|(lock, _)| held(lock));
        self.sites
            .retain(|site| held(&site.0) && other.sites.contains(site));
        self.doubted.sort_unstable();
        self.doubted.dedup();
        self.aliased.sort_unstable();
        self.aliased.dedup();
    }

    /// Something of the kind `kind` was given back at `object`, which may be one of the locks that
    /// `may_be`.
    pub fn give_back_alias(
        &mut self,
        kind: LockKind,
        object: u64,
        may_be: impl Fn(u64, u64) -> bool,
    ) {
        for lock in &self.held {
            let entry = (*lock, object);
            if lock.0 == kind
                && may_be(lock.1, object)
                && let Err(at) = self.aliased.binary_search(&entry)
                && self.aliased.len() < MAX_ALIASED
            {
                self.aliased.insert(at, entry);
            }
        }
        if self.aliased.len() >= MAX_ALIASED {
            self.doubt_held();
        }
    }

    /// Which lock it is that lies at a number for which `outdated` holds is not known any more.
    pub fn outdate(&mut self, outdated: impl Fn(u64) -> bool) {
        for lock in &mut self.held {
            if outdated(lock.1) {
                lock.1 = UNKNOWN_LOCK;
            }
        }
        self.held.sort_unstable();
        self.doubted.retain(|lock| !outdated(lock.1));
        self.sites.retain(|(lock, _)| !outdated(lock.1));
        for (_, number) in &mut self.aliased {
            if outdated(*number) {
                *number = UNKNOWN_LOCK;
            }
        }
        self.aliased.retain(|(lock, _)| !outdated(lock.1));
        self.aliased.sort_unstable();
        self.aliased.dedup();
        for released in &mut self.released {
            if outdated(released.object) {
                released.object = UNKNOWN_LOCK;
            }
        }
        self.released.sort_unstable();
        self.released
            .dedup_by_key(|released| (released.kind, released.object));
    }
    /// Takes `lock`.
    pub fn acquire(&mut self, lock: Lock) {
        let at = self.held.partition_point(|held| *held < lock);
        let same = self.held.iter().skip(at).take_while(|held| **held == lock);
        let most = match lock {
            (_, UNKNOWN_LOCK) => MAX_UNKNOWN_HELD,
            (LockKind::Promise, _) => MAX_COUNT as usize,
            _ => usize::MAX,
        };
        if same.count() < most {
            self.held.insert(at, lock);
        }
    }

    /// Promises `delta` more `Done`s of the `WaitGroup` at `object`; an unknown number if `None`.
    pub fn promise(&mut self, object: u64, delta: Option<u32>) {
        let known = delta.filter(|delta| *delta <= MAX_COUNT);
        for _ in 0..known.unwrap_or(MAX_COUNT) {
            self.acquire((LockKind::Promise, object));
        }
        self.unknown_code |= known.is_none();
    }

    /// A new goroutine keeps what has been promised. Returns what it has to do with locks then.
    pub fn hand_over(&mut self) -> Vec<Lock> {
        let promises = |lock: &Lock| lock.0 == LockKind::Promise;
        let handed = self.held.iter().copied().filter(promises).collect();
        self.held.retain(|lock| !promises(lock));
        handed
    }

    /// Releases `lock`; false when the path had taken it itself. `reloaded`: see [`Released`].
    pub fn release(&mut self, lock: Lock, kind: ReleaseKind, reloaded: bool) -> bool {
        if let Ok(at) = self.held.binary_search(&lock) {
            self.held.remove(at);
            if self.held.binary_search(&lock).is_err() {
                self.forget_doubts(lock);
            }
            return false;
        }
        self.give((kind, lock.1), reloaded);
        true
    }

    /// Keeps what both histories have in common. What one of them has taken counts as taken, so that
    /// releasing it later proves nothing. The deferred calls must be the same.
    pub fn summarise(&mut self, other: &Self) {
        self.released.retain_mut(|mine| {
            let same = other
                .released
                .iter()
                .find(|r| r.kind == mine.kind && r.object == mine.object);
            if let Some(same) = same {
                mine.count = mine.count.min(same.count);
                mine.after_unknown |= same.after_unknown;
                mine.reloaded |= same.reloaded;
            }
            same.is_some()
        });
        for lock in &other.held {
            if self.held.binary_search(lock).is_err() {
                self.acquire(*lock);
            }
        }
        self.unknown_code |= other.unknown_code;
        self.doubted.extend(&other.doubted);
        self.doubted.sort_unstable();
        self.doubted.dedup();
        self.aliased.extend(&other.aliased);
        self.aliased.sort_unstable();
        self.aliased.dedup();
    }

    /// Performs a release of something that the path does not own. `reloaded`: see
    /// [`Released`].
    pub fn give(&mut self, (kind, object): (ReleaseKind, u64), reloaded: bool) {
        let key = (kind, object);
        match self
            .released
            .binary_search_by_key(&key, |r| (r.kind, r.object))
        {
            // A mutex can be released once only; more would be a crash, not a release.
            Ok(at) => {
                if matches!(kind, ReleaseKind::ReadUnlock | ReleaseKind::Done)
                    && let Some(released) = self.released.get_mut(at)
                {
                    released.count = released.count.saturating_add(1).min(MAX_COUNT);
                }
            }
            Err(at) => self.released.insert(
                at,
                Released {
                    kind,
                    object,
                    count: 1,
                    after_unknown: self.unknown_code,
                    reloaded,
                },
            ),
        }
    }
}

/// More releases of one object on one path are not told apart, so that loops come to an end.
const MAX_COUNT: u32 = 4;

/// The effects of one path: paths that branch off share them until one of them does more.
#[derive(Debug, Clone)]
pub struct History {
    effects: Rc<Effects>,
    digest: u64,
    deferred_digest: u64,
}

impl History {
    /// After `effects`.
    #[must_use]
    pub fn new(effects: Effects) -> Self {
        let deferred_digest = hash_of(&effects.deferred);
        Self {
            digest: effects.digest(deferred_digest),
            deferred_digest,
            effects: Rc::new(effects),
        }
    }

    /// Changes them.
    pub fn edit<R>(&mut self, change: impl FnOnce(&mut Effects) -> R) -> R {
        let effects = Rc::make_mut(&mut self.effects);
        // As they are shared here, they lie elsewhere when they have been changed.
        let deferred = Rc::clone(&effects.deferred);
        let result = change(effects);
        if !Rc::ptr_eq(&deferred, &effects.deferred) {
            self.deferred_digest = hash_of(&effects.deferred);
        }
        self.digest = effects.digest(self.deferred_digest);
        result
    }

    /// Code was passed that could not be followed.
    pub fn pass_unknown_code(&mut self) {
        if !self.unknown_code {
            self.edit(|effects| effects.unknown_code = true);
        }
    }

    /// A hash of them all.
    #[must_use]
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// A hash of the deferred calls alone.
    #[must_use]
    pub const fn deferred_digest(&self) -> u64 {
        self.deferred_digest
    }
}

impl Default for History {
    fn default() -> Self {
        Self::new(Effects::default())
    }
}

impl Deref for History {
    type Target = Effects;

    fn deref(&self) -> &Effects {
        &self.effects
    }
}

impl PartialEq for History {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.effects, &other.effects)
            || self.digest == other.digest && self.effects == other.effects
    }
}

impl Eq for History {}
