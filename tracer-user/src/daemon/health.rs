//! Whether the daemon works: `/healthz` and `/readyz`.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// How long the supervisor may be silent before the daemon counts as hung.
///
/// Nothing that it does itself waits for a process that is followed.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);

/// What the supervisor says of itself.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    beat_ms: AtomicU64,
    ready: AtomicBool,
    /// How many processes nobody has looked at yet.
    unseen: AtomicUsize,
    /// Why there are no probes, once that is known.
    no_probes: OnceLock<String>,
    /// Whether we lately had no file descriptors left.
    shortage: AtomicBool,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            beat_ms: AtomicU64::new(0),
            ready: AtomicBool::new(false),
            unseen: AtomicUsize::new(0),
            no_probes: OnceLock::new(),
            shortage: AtomicBool::new(false),
        }
    }
}

impl Health {
    /// The supervisor is alive; called at each turn of its loop.
    pub fn beat(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.beat_ms.store(now, Ordering::Relaxed);
    }

    /// The processes of this host are known and followed, and `unseen` of them nobody has looked at.
    pub fn set_unseen(&self, unseen: usize) {
        self.unseen.store(unseen, Ordering::Relaxed);
        self.ready.store(true, Ordering::Relaxed);
    }

    /// How many processes nobody has looked at yet.
    #[must_use]
    pub fn unseen(&self) -> usize {
        self.unseen.load(Ordering::Relaxed)
    }

    /// There are no probes, and this is why; processes are looked at by intervals.
    pub fn set_no_probes(&self, why: &str) {
        // Said once: the first reason stands.
        let _ = self.no_probes.set(why.to_owned());
    }

    /// Whether we lately had no file descriptors left, so that something was not looked at.
    pub fn set_shortage(&self, shortage: bool) {
        self.shortage.store(shortage, Ordering::Relaxed);
    }

    /// Whether we lately had no file descriptors left.
    #[must_use]
    pub fn has_shortage(&self) -> bool {
        self.shortage.load(Ordering::Relaxed)
    }

    /// Why there are no probes; `None` when there are, or before that is known.
    #[must_use]
    pub fn no_probes(&self) -> Option<&str> {
        self.no_probes.get().map(String::as_str)
    }

    /// Whether the supervisor was heard of lately.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let beat = Duration::from_millis(self.beat_ms.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(beat) < SILENCE_LIMIT
    }

    /// Whether the first scan is done.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}
