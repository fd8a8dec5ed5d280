//! Objects that goroutines wait on, with their holders, in documents.

use std::sync::Arc;

use serde::Serialize;

use super::{Address, Site, Symbolizer, finding::texts, frame::shared_site};
use crate::target_text::TargetText;
use holders::{Certainty, Held, LockHolders, PendingRelease, ReleaseKind};
use ids::{Goid, ImageAddr};
use snapshot::{self, MutexState, ObjectKind, ObjectState, SyncObject};

/// One object.
#[derive(Debug, Clone, Serialize)]
pub struct Object {
    /// Its first byte.
    pub address: Address,
    /// `channel`, `mutex`, `rwmutex`, `waitgroup`, `cond` or `semaphore`.
    pub kind: &'static str,
    /// Its decoded state; `null` when it could not be read.
    pub state: Option<State>,
    /// The goroutines that wait on it, in queue order where the runtime keeps one.
    pub waiters: Vec<Goid>,
    /// Who has to release it.
    pub holders: Vec<Holder>,
    /// Why `holders` may lack somebody, in words; empty when it is complete.
    pub doubts: Vec<TargetText>,
}

/// A goroutine that has to release an object.
#[derive(Debug, Clone, Serialize)]
pub struct Holder {
    /// Which goroutine.
    pub goroutine: Goid,
    /// Whether it has taken the object and releases it on every path; of a `WaitGroup`, which nobody
    /// takes, whether it calls `Done` on every path.
    pub certain: bool,
    /// Where its frame stands that will release.
    #[serde(flatten)]
    pub site: Site,
    /// Where it took the object; `null` where that was not seen.
    #[serde(serialize_with = "shared_site")]
    pub acquired: Option<Arc<Site>>,
    /// The call or instruction that releases.
    pub release: Release,
}

/// How and where a holder releases.
#[derive(Debug, Clone, Serialize)]
pub struct Release {
    /// `continuation` (further down in its code), `deferred`, or `protocol` (it waits for the
    /// object and owns part of it).
    pub how: &'static str,
    /// Where that is written.
    #[serde(flatten)]
    pub site: Site,
}

/// The decoded state of an object.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum State {
    /// A channel.
    Channel {
        /// Elements in the buffer.
        length: u64,
        /// Size of the buffer.
        capacity: u64,
        /// Whether it has been closed.
        closed: bool,
        /// Whether a timer sends on it.
        timer: bool,
        /// Whether that timer does not run.
        timer_stopped: bool,
        /// The type of its elements; `null` when not known.
        element: Option<TargetText>,
    },
    /// A mutex.
    Mutex(Mutex),
    /// A read-write mutex.
    RwMutex {
        /// The mutex among writers.
        writer: Mutex,
        /// Readers that hold it or wait for it.
        readers: i32,
        /// A writer holds it or waits for readers to leave.
        writer_pending: bool,
        /// Readers the writer still waits for.
        reader_wait: i32,
    },
    /// A wait group.
    WaitGroup {
        /// `Done`s still owed.
        counter: i32,
        /// Goroutines in `Wait`.
        waiters: u32,
    },
    /// A condition variable.
    Cond {
        /// Goroutines in `Wait`.
        waiters: u32,
        /// Its lock.
        locker: Address,
    },
    /// A bare semaphore.
    Semaphore {
        /// Its count.
        count: u32,
    },
}

/// A mutex's state word.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Mutex {
    /// Somebody holds it.
    pub locked: bool,
    /// A waiter has been woken and competes for it.
    pub woken: bool,
    /// It is handed directly to the first waiter.
    pub starving: bool,
    /// Number of waiters.
    pub waiters: u32,
}

impl From<MutexState> for Mutex {
    fn from(state: MutexState) -> Self {
        Self {
            locked: state.locked,
            woken: state.woken,
            starving: state.starving,
            waiters: state.waiters,
        }
    }
}

impl From<&ObjectState> for State {
    fn from(state: &ObjectState) -> Self {
        match *state {
            ObjectState::Channel {
                len,
                cap,
                closed,
                timer,
                stopped,
                ref element,
            } => Self::Channel {
                length: len,
                capacity: cap,
                closed,
                timer,
                timer_stopped: stopped,
                element: element.type_name.as_deref().map(TargetText::from),
            },
            ObjectState::Mutex(state) => Self::Mutex(state.into()),
            ObjectState::RwMutex {
                writer,
                readers,
                writer_pending,
                reader_wait,
            } => Self::RwMutex {
                writer: writer.into(),
                readers,
                writer_pending,
                reader_wait,
            },
            ObjectState::WaitGroup { counter, waiters } => Self::WaitGroup { counter, waiters },
            ObjectState::Cond { waiters, locker } => Self::Cond {
                waiters,
                locker: locker.into(),
            },
            ObjectState::Semaphore(count) => Self::Semaphore { count },
        }
    }
}

impl Object {
    /// `object` with what is known of its holders. `stack_of` gives the goroutines by id.
    pub fn new<'s>(
        object: &SyncObject,
        holders: Option<&LockHolders>,
        goroutine: impl Fn(Goid) -> Option<&'s snapshot::Goroutine>,
        symbolizer: &mut Symbolizer<'_>,
    ) -> Self {
        let candidates = holders.map_or(&[][..], |holders| &holders.candidates);
        // Of some all that is known is that they took it.
        let candidates = candidates.iter().filter(|(_, release)| {
            release.evidence.held == Held::Protocol || release.evidence.site != ImageAddr(0)
        });
        Self {
            address: object.id.addr.into(),
            kind: kind_text(object.id.kind),
            state: object.state.as_ref().map(State::from),
            waiters: object.waiters.clone(),
            holders: candidates
                .map(|(goid, release)| Holder::new(*goid, release, goroutine(*goid), symbolizer))
                .collect(),
            doubts: holders.map_or_else(Vec::new, |holders| texts(&holders.doubts)),
        }
    }
}

impl Holder {
    fn new(
        goid: Goid,
        pending: &PendingRelease,
        goroutine: Option<&snapshot::Goroutine>,
        symbolizer: &mut Symbolizer<'_>,
    ) -> Self {
        let evidence = &pending.evidence;
        let frame = goroutine.and_then(|g| g.stack.frames.get(evidence.frame));
        let release = Site::clone(&symbolizer.innermost(evidence.site, false));
        let acquired = pending.acquired.and_then(|acquired| {
            if acquired.site != ImageAddr(0) {
                return Some(symbolizer.own(acquired.site, false));
            }
            let frame = goroutine.and_then(|g| g.stack.frames.get(acquired.frame))?;
            Some(symbolizer.own(frame.pc, acquired.frame > 0))
        });
        Self {
            acquired,
            goroutine: goid,
            certain: match pending.kind {
                ReleaseKind::Done => pending.certainty == Certainty::Certain,
                _ => pending.is_owned(),
            },
            site: frame.map_or_else(
                || release.clone(),
                |frame| symbolizer.site(frame.pc, evidence.frame > 0),
            ),
            release: Release {
                how: match evidence.held {
                    Held::Continuation => "continuation",
                    Held::Deferred => "deferred",
                    Held::Protocol => "protocol",
                },
                site: release,
            },
        }
    }
}

/// The kind in one word.
#[must_use]
pub const fn kind_text(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Channel => "channel",
        ObjectKind::Mutex => "mutex",
        ObjectKind::RwMutex => "rwmutex",
        ObjectKind::WaitGroup => "waitgroup",
        ObjectKind::Cond => "cond",
        ObjectKind::Semaphore => "semaphore",
    }
}
