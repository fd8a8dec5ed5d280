//! Ending work before it is done: because it is not wanted any more, or because the process that it
//! is about has ended.
//!
//! Loops that may take long ask [`is_cut`]. Work that was cut short ends in any way, as fast as it
//! can; whoever [began](Cancellation::begin) it asks [`Work::cut`] at its end, and uses nothing of
//! what it says if it was.

use std::{
    cell::{Cell, RefCell},
    fmt,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::ids::Pid;

/// The kernel is asked whether the process has ended each time so many questions were answered.
const QUESTIONS: u32 = 256;
/// A sleep asks this often.
const NAP: Duration = Duration::from_millis(20);

/// Says to all work that was begun with it, or with a clone, that it is not wanted any more.
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// From now on no work is wanted.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether no work is wanted any more.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Begins work on the calling thread, of which [`is_cut`] tells until it is dropped. It is about
    /// the process `pid`, and over when that ends, if there is one that runs.
    #[must_use]
    pub fn begin(&self, pid: Option<Pid>) -> Work {
        Work::enter(Share(Arc::new(Shared {
            cancellation: self.clone(),
            process: pid.and_then(Lifeline::of),
            cut: AtomicU8::new(WHOLE),
        })))
    }
}

/// Why work was cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It was not wanted any more.
    Unwanted,
    /// The process has ended.
    Ended,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unwanted => "this was to end before it was done",
            Self::Ended => "the process ended while it was looked at",
        })
    }
}

/// Values of [`Shared::cut`].
const WHOLE: u8 = 0;
const UNWANTED: u8 = 1;
const ENDED: u8 = 2;

#[derive(Debug)]
struct Shared {
    cancellation: Cancellation,
    process: Option<Lifeline>,
    /// Once some loop was told to end, the work is cut short for good.
    cut: AtomicU8,
}

impl Shared {
    fn cut(&self) -> Option<Cut> {
        match self.cut.load(Ordering::Relaxed) {
            WHOLE => None,
            UNWANTED => Some(Cut::Unwanted),
            _ => Some(Cut::Ended),
        }
    }

    /// Whether to end, by what needs no question to the kernel.
    fn is_cut(&self) -> bool {
        if self.cut.load(Ordering::Relaxed) != WHOLE {
            return true;
        }
        let unwanted = self.cancellation.is_requested();
        if unwanted {
            self.cut.store(UNWANTED, Ordering::Relaxed);
        }
        unwanted
    }

    fn ask_kernel(&self) {
        if self.process.as_ref().is_some_and(Lifeline::has_ended) {
            self.cut.store(ENDED, Ordering::Relaxed);
        }
    }
}

/// Work on one thread, until it is dropped.
#[derive(Debug)]
pub struct Work {
    share: Share,
    /// What the thread was at before.
    before: Option<Share>,
}

impl Work {
    fn enter(share: Share) -> Self {
        let before = CURRENT.replace(Some(share.clone()));
        Self { share, before }
    }

    /// Why some part of it was cut short, if one was.
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        self.share.0.cut()
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
    }
}

/// The work that a thread is at, for threads that take part in it.
#[derive(Debug, Clone)]
pub struct Share(Arc<Shared>);

impl Share {
    /// What the calling thread is at.
    #[must_use]
    pub fn of_this_thread() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Takes part on the calling thread.
    #[must_use]
    pub fn enter(self) -> Work {
        Work::enter(self)
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Share>> = const { RefCell::new(None) };
    static QUESTIONS_LEFT: Cell<u32> = const { Cell::new(QUESTIONS) };
}

/// Whether the work that the calling thread is at is to end now. Costs next to nothing.
#[must_use]
pub fn is_cut() -> bool {
    CURRENT.with_borrow(|current| {
        let Some(Share(shared)) = current else {
            return false;
        };
        let left = QUESTIONS_LEFT.get();
        if left > 0 {
            QUESTIONS_LEFT.set(left - 1);
        } else {
            QUESTIONS_LEFT.set(QUESTIONS);
            shared.ask_kernel();
        }
        shared.is_cut()
    })
}

/// Sleeps for `duration`, or until the work that the calling thread is at is to end.
pub fn sleep(duration: Duration) {
    let end = Instant::now() + duration;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        QUESTIONS_LEFT.set(0);
        if left.is_zero() || is_cut() {
            return;
        }
        thread::sleep(left.min(NAP));
    }
}

/// Tells whether a process has ended, also when its pid went to another: see `pidfd_open(2)`.
#[derive(Debug)]
pub struct Lifeline(OwnedFd);

impl Lifeline {
    /// Of the process that has `pid` now; `None` where the kernel gives none.
    #[must_use]
    pub fn of(pid: Pid) -> Option<Self> {
        // SAFETY: takes two numbers and touches no memory of ours.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.0, 0) };
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
        // SAFETY: the kernel has just made it, and nobody else knows of it.
        Some(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Whether the process has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let mut asked = libc::pollfd {
            fd: self.0.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: `asked` is one pollfd, and lives on.
        unsafe { libc::poll(&raw mut asked, 1, 0) == 1 }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn own() -> Option<Pid> {
        Some(Pid(std::process::id()))
    }

    #[test]
    fn work_that_is_not_wanted_is_cut_short_for_those_who_take_part() {
        let cancellation = Cancellation::default();
        let work = cancellation.begin(own());
        assert!(!is_cut() && work.cut().is_none());
        let share = Share::of_this_thread().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _part = share.enter();
                cancellation.request();
                assert!(is_cut());
            });
        });
        assert!(is_cut());
        assert_eq!(work.cut(), Some(Cut::Unwanted));
        drop(work);
        assert!(!is_cut());
    }

    #[test]
    fn what_nobody_told_to_end_is_whole() {
        let cancellation = Cancellation::default();
        let work = cancellation.begin(own());
        cancellation.request();
        assert_eq!(work.cut(), None);
    }

    #[test]
    fn work_within_work_leaves_the_outer_as_it_was() {
        let outer = Cancellation::default();
        let _outer = outer.begin(own());
        {
            let inner = Cancellation::default();
            let _inner = inner.begin(own());
            inner.request();
            assert!(is_cut());
        }
        assert!(!is_cut());
    }

    #[test]
    fn the_end_of_the_process_cuts_work_short() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let work = Cancellation::default().begin(Some(Pid(child.id())));
        assert!((0..=2 * QUESTIONS).all(|_| !is_cut()));
        child.kill().unwrap();
        sleep(Duration::from_secs(600));
        child.wait().unwrap();
        assert_eq!(work.cut(), Some(Cut::Ended));
    }
}
