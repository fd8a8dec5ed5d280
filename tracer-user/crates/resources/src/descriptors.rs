//! File descriptors: how many this process may have, and what it may hold open for long.
//!
//! The images' files and the links of probes are as many as there are programs on the host. They
//! take a share each of what the limit (`RLIMIT_NOFILE`) allows, and leave a reserve for what is
//! opened and closed again: files below `/proc`, connections, samples. Without a permit images are
//! opened for each read, and processes are looked at by intervals.

use std::{
    io,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors that are left for what is open for a moment.
const RESERVE: usize = 256;

/// What is held open for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The files of images: a quarter.
    Images,
    /// Links of probes and the files that they are placed on: three quarters.
    Probes,
}

static IMAGES: AtomicUsize = AtomicUsize::new(0);
static PROBES: AtomicUsize = AtomicUsize::new(0);
static SHORTAGES: AtomicU64 = AtomicU64::new(0);

impl Use {
    fn held(self) -> &'static AtomicUsize {
        match self {
            Self::Images => &IMAGES,
            Self::Probes => &PROBES,
        }
    }

    /// How many of `limit` descriptors are for this.
    const fn share(self, limit: usize) -> usize {
        let reserve = if limit / 2 < RESERVE {
            limit / 2
        } else {
            RESERVE
        };
        let images = (limit - reserve) / 4;
        match self {
            Self::Images => images,
            Self::Probes => limit - reserve - images,
        }
    }
}

/// Leave to hold some descriptors open, until it is dropped.
#[derive(Debug)]
pub struct Permit {
    /// How many are held for the same use.
    held: &'static AtomicUsize,
    number: usize,
}

impl Permit {
    /// For `number` descriptors; `None` where that is more than the share that is left.
    #[must_use]
    pub fn take(of: Use, number: usize) -> Option<Self> {
        Self::within(of.share(limit()), of.held(), number)
    }

    /// For `number` more than are `held`, as long as that is no more than `most`.
    fn within(most: usize, held: &'static AtomicUsize, number: usize) -> Option<Self> {
        let more = |held: usize| held.checked_add(number).filter(|held| *held <= most);
        held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()
            .map(|_| Self { held, number })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.held.fetch_sub(self.number, Ordering::Relaxed);
    }
}

/// How many descriptors this process may have.
#[must_use]
pub fn limit() -> usize {
    let soft = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    usize::try_from(soft).unwrap_or(usize::MAX)
}

/// Raises the limit to what the hard limit allows, and returns it. Programs that this one starts
/// would inherit it.
///
/// # Errors
/// When the kernel refuses.
pub fn raise_limit() -> io::Result<usize> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(limit())
}

/// Likewise, and says on the log what became of it.
pub fn raise_limit_or_say() {
    match raise_limit() {
        Ok(limit) => tracing::debug!(limit, "file descriptors"),
        Err(error) => tracing::warn!(%error, "cannot raise the limit of file descriptors"),
    }
}

/// Whether `error` says that there are no more descriptors, which is our own trouble and nobody
/// else's.
#[must_use]
pub fn means_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Likewise of an error that has just come up: it is counted.
pub fn is_shortage(error: &io::Error) -> bool {
    let is = means_shortage(error);
    SHORTAGES.fetch_add(u64::from(is), Ordering::Relaxed);
    is
}

/// How often there were no more descriptors so far.
#[must_use]
pub fn shortages() -> u64 {
    SHORTAGES.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_leave_a_reserve() {
        for limit in [0, 3, 64, 1024, 65_536, 1 << 30] {
            let held = Use::Images.share(limit) + Use::Probes.share(limit);
            assert_eq!(held + RESERVE.min(limit / 2), limit);
        }
        assert_eq!(Use::Probes.share(1024), 576);
        assert_eq!(Use::Images.share(1024), 192);
    }

    #[test]
    fn no_more_is_held_than_the_share_and_a_refusal_gives_nothing_back() {
        static HELD: AtomicUsize = AtomicUsize::new(3);
        let take = |number| Permit::within(8, &HELD, number);
        assert!(take(6).is_none() && take(usize::MAX).is_none());
        let rest = take(5).unwrap();
        assert!(take(1).is_none());
        assert_eq!(HELD.load(Ordering::Relaxed), 8);
        drop(rest);
        assert_eq!(HELD.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn only_a_want_of_descriptors_is_a_shortage() {
        let before = shortages();
        assert!(is_shortage(&io::Error::from_raw_os_error(libc::EMFILE)));
        assert!(!is_shortage(&io::Error::from_raw_os_error(libc::ENOENT)));
        assert!(shortages() > before);
    }
}
