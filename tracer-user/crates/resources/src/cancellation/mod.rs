//! Ending work before it is done: because it is not wanted any more, or because the process that it
//! is about has ended.
//!
//! Loops that may take long ask [`is_cut`]. Work that was cut short ends in any way, as fast as it
//! can; whoever [began](Cancellation::begin) it asks [`Work::cut`] at its end, and uses nothing of
//! what it says if it was.

mod lifeline;
mod stillness;

use std::{
    cell::{Cell, RefCell},
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

pub use self::{
    lifeline::Lifeline,
    stillness::{Motion, Stillness, motion_of},
};
use crate::scheduling::this_thread;
use ids::{Pid, Tid};

/// The kernel is asked what time it is, and whether the process has ended, each time so many questions
/// were answered.
const QUESTIONS: u32 = 256;
/// A sleep asks this often.
const NAP: Duration = Duration::from_millis(20);

/// Says to all work that was begun with it, or with a clone, that it is not wanted any more.
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<AtomicU8>);

impl Cancellation {
    /// From now on no work is wanted.
    pub fn request(&self) {
        self.0.store(UNWANTED, Ordering::Relaxed);
    }

    /// From now on no work is wanted, because it has taken too long.
    pub fn expire(&self) {
        self.end_as(LATE);
    }

    /// From now on no work is wanted, because there is no memory for it.
    pub fn exhaust(&self) {
        self.end_as(FULL);
    }

    fn end_as(&self, why: u8) {
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        // Whoever does not want it at all says more.
        let _ = self.0.compare_exchange(WHOLE, why, success, failure);
    }

    /// Whether no work is wanted any more.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed) != WHOLE
    }

    /// Begins work on the calling thread, of which [`is_cut`] tells until it is dropped. It is about
    /// the process `pid`, and over when that ends, if there is one that runs. Work that the thread is
    /// at already takes this in: it is over when that is.
    #[must_use]
    pub fn begin(&self, pid: Option<Pid>) -> Work {
        self.begin_work(pid, None)
    }

    /// Likewise work on the calling thread that is late from `deadline` on.
    #[must_use]
    pub fn begin_until(&self, deadline: Instant) -> Work {
        self.begin_work(None, Some(deadline))
    }

    fn begin_work(&self, pid: Option<Pid>, deadline: Option<Instant>) -> Work {
        let within = Share::of_this_thread();
        let outermost = within.is_none();
        let share = Share(Arc::new(Shared {
            cancellation: self.clone(),
            process: pid.and_then(Lifeline::of),
            deadline,
            cut: AtomicU8::new(WHOLE),
            within,
            threads: Mutex::default(),
        }));
        if outermost {
            UNDER_WAY
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Arc::downgrade(&share.0));
        }
        Work::enter(share)
    }
}

/// Why work was cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// It was not wanted any more.
    Unwanted,
    /// The process has ended.
    Ended,
    /// It took too long.
    Late,
    /// It took more memory than there is.
    Full,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unwanted => "this was to end before it was done",
            Self::Ended => "the process ended while it was looked at",
            Self::Late => "given up: it took longer than it may",
            Self::Full => "given up: it took more memory than the limit allows",
        })
    }
}

/// Values of [`Shared::cut`].
const WHOLE: u8 = 0;
const UNWANTED: u8 = 1;
const ENDED: u8 = 2;
const LATE: u8 = 3;
const FULL: u8 = 4;

#[derive(Debug)]
struct Shared {
    cancellation: Cancellation,
    process: Option<Lifeline>,
    /// From when on it takes too long.
    deadline: Option<Instant>,
    /// Once some loop was told to end, the work is cut short for good.
    cut: AtomicU8,
    /// The work that this is part of.
    within: Option<Share>,
    /// The threads that are at it.
    threads: Mutex<Vec<Tid>>,
}

impl Shared {
    fn cut(&self) -> Option<Cut> {
        match self.cut.load(Ordering::Relaxed) {
            WHOLE => None,
            UNWANTED => Some(Cut::Unwanted),
            LATE => Some(Cut::Late),
            FULL => Some(Cut::Full),
            _ => Some(Cut::Ended),
        }
    }

    /// Whether to end, by what needs no question to the kernel.
    fn is_cut(&self) -> bool {
        if self.cut.load(Ordering::Relaxed) != WHOLE {
            return true;
        }
        let own = self.cancellation.0.load(Ordering::Relaxed);
        let cut = match &self.within {
            Some(Share(outer)) if own == WHOLE && outer.is_cut() => {
                outer.cut.load(Ordering::Relaxed)
            }
            _ => own,
        };
        if cut != WHOLE {
            self.cut.store(cut, Ordering::Relaxed);
        }
        cut != WHOLE
    }

    fn ask_kernel(&self) {
        if self.process.as_ref().is_some_and(Lifeline::has_ended) {
            self.cut.store(ENDED, Ordering::Relaxed);
        } else if self.deadline.is_some_and(|end| end <= Instant::now()) {
            self.cancellation.expire();
        }
        if let Some(Share(outer)) = &self.within {
            outer.ask_kernel();
        }
    }

    /// Does something with the list of threads of this work, and of all work that takes it in.
    fn for_all_threads(&self, change: &impl Fn(&mut Vec<Tid>)) {
        change(&mut self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(Share(outer)) = &self.within {
            outer.for_all_threads(change);
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
        let thread = this_thread();
        share.0.for_all_threads(&|threads| threads.push(thread));
        let before = CURRENT.replace(Some(share.clone()));
        Self { share, before }
    }

    /// Why some part of it was cut short, if one was.
    #[must_use]
    pub fn cut(&self) -> Option<Cut> {
        self.share.0.cut()
    }

    /// Itself, for whoever watches it from another thread.
    #[must_use]
    pub fn share(&self) -> Share {
        self.share.clone()
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        CURRENT.set(self.before.take());
        let thread = this_thread();
        if self.share.0.within.is_none() {
            forget_if_over(&self.share);
        }
        self.share.0.for_all_threads(&|threads| {
            // Once: a thread may have entered the same work twice.
            if let Some(at) = threads.iter().rposition(|one| *one == thread) {
                threads.swap_remove(at);
            }
        });
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

    /// Tells it from other work, as long as it is under way.
    #[must_use]
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// The threads that are at it, or at work that it takes in.
    #[must_use]
    pub fn threads(&self) -> Vec<Tid> {
        let threads = self.0.threads.lock();
        threads.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// All work that is part of no other.
static UNDER_WAY: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// Takes `share` off the list when nobody else is at it.
fn forget_if_over(share: &Share) {
    let mut all = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    if Arc::strong_count(&share.0) == 1 {
        all.retain(|work| work.as_ptr() != Arc::as_ptr(&share.0));
    }
    all.retain(|work| work.strong_count() > 0);
}

/// The work that is under way on any thread of this process, but for what is part of other work.
#[must_use]
pub fn under_way() -> Vec<Share> {
    let mut all = UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|work| work.strong_count() > 0);
    all.iter().filter_map(Weak::upgrade).map(Share).collect()
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
    fn work_that_is_late_cuts_what_it_takes_in_short() {
        let outer = Cancellation::default();
        let watched = outer.begin(None);
        let threads = || watched.share().threads();
        assert_eq!(threads(), [this_thread()]);
        let inner = Cancellation::default().begin(own());
        assert_eq!(threads(), [this_thread(); 2]);
        assert!(!is_cut());
        outer.expire();
        assert!(is_cut());
        assert_eq!(inner.cut(), Some(Cut::Late));
        drop(inner);
        assert_eq!(threads(), [this_thread()]);
        outer.request();
        assert!(outer.is_requested());
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
