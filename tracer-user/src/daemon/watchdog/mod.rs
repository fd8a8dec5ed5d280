//! Who is at which process, and since when: so that a process whose memory or executable does not
//! answer costs a thread, and not the daemon.
//!
//! A thread that reads such a process waits in the kernel for as long as whoever serves that memory
//! likes. It cannot be called back, so it is given up: it counts as lost, what it has come to is dropped
//! should it come back, and another takes its place. Until then the process is left alone, and so are
//! others of the same owner, or on the same file system, once several of theirs are silent.

mod refusal;
mod thrift;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

pub use self::{refusal::Refused, thrift::keep_within};
use crate::inspect::InspectError;
use ids::{Pid, Tid};
use process::{FileIdentity, Owner, Process};
use resources::{
    cancellation::{Cancellation, Share, Stillness, Work, motion_of},
    scheduling::this_thread,
};

use super::supervisor::Urgency;

/// Work that is younger than this is not watched: nearly all is.
const YOUNG: Duration = Duration::from_millis(300);
/// A thread that has stood still for so long is held: others are not to wait until it is lost.
const HELD: Duration = Duration::from_millis(500);
/// A thread that has stood still for so long is lost.
const STILL: Duration = Duration::from_secs(5);
/// One that still runs after so many times what its work may take is lost, too.
const LONGEST: u32 = 4;
/// How often whoever waits for work on another thread sees whether that is lost.
#[cfg_attr(not(feature = "tui"), allow(dead_code, reason = "for `top`"))]
const STEP: Duration = Duration::from_millis(50);

/// The process that a thread is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Its pid.
    pub pid: Pid,
    /// Whose it is; `None` where that is to be found out if it matters.
    pub owner: Option<Owner>,
    /// What it executes, where the thread reads that file.
    pub file: Option<FileIdentity>,
}

/// What a thread is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// What is done beside looks: opening processes, and glances.
    Errands,
    /// Looks no less urgent than this.
    Looks(Urgency),
    /// Walks of heaps.
    Walks,
    /// Looks for clients and viewers.
    #[cfg_attr(not(feature = "tui"), allow(dead_code, reason = "for `top`"))]
    Clients,
}

impl Place {
    /// How long its work may take; then it is to end.
    const fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Errands | Self::Looks(_) | Self::Clients => 30,
            Self::Walks => 60,
        })
    }
}

/// A thread that does not come back.
#[derive(Debug, Clone)]
pub struct Lost {
    /// What it was at.
    pub subject: Subject,
    /// What it was there for: another is needed.
    pub place: Place,
    /// Which.
    pub thread: Tid,
}

/// The threads that are at processes. Clones are one and the same.
#[derive(Debug, Clone, Default)]
pub struct Watchdog(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    next: u64,
    present: BTreeMap<u64, Entry>,
    /// What threads were at that were lost and came back since this was last asked.
    returned: Vec<Subject>,
}

#[derive(Debug)]
struct Entry {
    subject: Subject,
    place: Place,
    thread: Tid,
    since: Instant,
    share: Share,
    cancellation: Cancellation,
    stillness: Stillness,
    held: bool,
    lost: bool,
}

impl Entry {
    /// Whether the thread is to be given up by `now`. Work that takes too long is told to end.
    fn is_overdue(&mut self, now: Instant) -> bool {
        let age = now.saturating_duration_since(self.since);
        if age < YOUNG {
            return false;
        }
        let limit = self.place.limit();
        if age >= limit {
            self.cancellation.expire();
        }
        let motion = motion_of(&self.share.threads());
        let still = self.stillness.after(motion, now);
        self.held = still >= HELD;
        still >= STILL || age >= limit * LONGEST
    }
}

impl Watchdog {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calling thread begins work at `subject`, which may take as long as is usual at `place`.
    pub fn enter(&self, subject: Subject, place: Place) -> Presence {
        let cancellation = Cancellation::default();
        let work = cancellation.begin(None);
        let mut book = self.book();
        let number = book.next;
        book.next += 1;
        let entry = Entry {
            subject,
            place,
            thread: this_thread(),
            since: Instant::now(),
            share: work.share(),
            cancellation,
            stillness: Stillness::default(),
            held: false,
            lost: false,
        };
        book.present.insert(number, entry);
        drop(book);
        Presence {
            attendance: self.clone(),
            number,
            wanted: true,
            _work: work,
        }
    }

    /// The threads that are lost as of `now` and were not before. To be asked often.
    pub fn see(&self, now: Instant) -> Vec<Lost> {
        let mut book = self.book();
        let here = book.present.values_mut().filter(|entry| !entry.lost);
        let overdue = here.filter_map(|entry| {
            entry.lost = entry.is_overdue(now);
            if entry.lost && entry.subject.owner.is_none() {
                // By what the kernel alone says of it.
                let process = Process::glimpse(entry.subject.pid);
                entry.subject.owner = process.ok().map(|process| Owner::of(&process));
            }
            entry.lost.then(|| Lost {
                subject: entry.subject.clone(),
                place: entry.place,
                thread: entry.thread,
            })
        });
        overdue.collect()
    }

    /// What threads were at that were lost and have come back since this was last asked.
    pub fn returned(&self) -> Vec<Subject> {
        std::mem::take(&mut self.book().returned)
    }

    /// How many threads are lost.
    pub fn lost(&self) -> usize {
        self.book().lost().count()
    }

    /// How many threads are held at their work at `place`, and not lost yet: others may be needed.
    pub fn held(&self, place: Place) -> usize {
        let book = self.book();
        let here = book.present.values().filter(|entry| entry.place == place);
        here.filter(|entry| entry.held && !entry.lost).count()
    }

    /// Tells the work that has taken longest to end, because there is no memory for it; what it was at.
    /// What has only begun is spared, and so is what takes little.
    pub fn shed(&self) -> Option<Subject> {
        let book = self.book();
        let spared =
            |entry: &&Entry| entry.place == Place::Errands || entry.since.elapsed() < YOUNG;
        let under_way = book.present.values().filter(|entry| !spared(entry));
        let under_way = under_way.filter(|entry| !entry.cancellation.is_requested());
        let longest = under_way.min_by_key(|entry| entry.since)?;
        longest.cancellation.exhaust();
        Some(longest.subject.clone())
    }

    /// Whether a thread is lost at the process.
    pub fn is_silent(&self, pid: Pid) -> bool {
        self.book().lost().any(|subject| subject.pid == pid)
    }

    /// Why nobody is to be sent to `subject` now, if so; `newcomer` says that nobody has been there.
    pub fn refuses(&self, subject: &Subject, newcomer: bool) -> Option<Refused> {
        Refused::by(self.book().silent(), subject, newcomer)
    }

    /// Does `work` at `subject` on a thread of its own, and waits until it is done or that thread is
    /// lost.
    ///
    /// # Errors
    /// [`InspectError::Silent`] when the thread is lost, or others were for the same reason;
    /// [`InspectError::Broken`] when it panicked or could not be started.
    #[cfg_attr(not(feature = "tui"), allow(dead_code, reason = "for `top`"))]
    pub fn have_done<T: Send + 'static>(
        &self,
        subject: Subject,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, InspectError> {
        if self.refuses(&subject, false).is_some() {
            return Err(InspectError::Silent);
        }
        let pid = subject.pid;
        let (tell, told) = mpsc::sync_channel(1);
        let attendance = self.clone();
        thread::Builder::new()
            .name("gostuck-client".to_owned())
            .spawn(move || {
                let presence = attendance.enter(subject, Place::Clients);
                let done = catch_unwind(AssertUnwindSafe(work));
                if presence.end() {
                    // Whoever has waited may have been told that the process is silent.
                    let _ = tell.send(done);
                }
            })
            .map_err(|_| InspectError::Broken)?;
        loop {
            match told.recv_timeout(STEP) {
                Ok(done) => return done.map_err(|_| InspectError::Broken),
                Err(mpsc::RecvTimeoutError::Timeout) if self.is_silent(pid) => {
                    return Err(InspectError::Silent);
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(InspectError::Silent),
            }
        }
    }
}

impl Book {
    fn lost(&self) -> impl Iterator<Item = &Subject> {
        let lost = self.present.values().filter(|entry| entry.lost);
        lost.map(|entry| &entry.subject)
    }

    /// What threads are lost at, or held.
    fn silent(&self) -> impl Iterator<Item = &Subject> {
        let silent = self.present.values();
        let silent = silent.filter(|entry| entry.lost || entry.held);
        silent.map(|entry| &entry.subject)
    }
}

/// The calling thread is at work, until this is dropped.
#[derive(Debug)]
pub struct Presence {
    attendance: Watchdog,
    number: u64,
    wanted: bool,
    _work: Work,
}

impl Presence {
    /// The work is done. Whether anybody still waits for it: a thread that was lost meanwhile has been
    /// replaced, and is to end.
    pub fn end(mut self) -> bool {
        self.leave();
        self.wanted
    }

    fn leave(&mut self) {
        let mut book = self.attendance.book();
        let entry = book.present.remove(&self.number);
        if let Some(entry) = entry.filter(|entry| entry.lost) {
            self.wanted = false;
            book.returned.push(entry.subject);
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use resources::cancellation::is_cut;

    fn subject(pid: u32) -> Subject {
        Subject {
            pid: Pid(pid),
            owner: Some(Owner::User(7)),
            file: None,
        }
    }

    #[test]
    fn a_thread_that_stands_still_is_lost_until_it_comes_back() {
        let attendance = Watchdog::default();
        let (tell, told) = mpsc::channel();
        let (answer, silence) = mpsc::channel::<()>();
        let there = attendance.clone();
        let thread = thread::spawn(move || {
            let presence = there.enter(subject(1), Place::Errands);
            tell.send(()).unwrap();
            let _ = silence.recv();
            presence.end()
        });
        told.recv().unwrap();
        let now = Instant::now();
        assert!(attendance.see(now).is_empty());
        // It may be on its way to sleep still.
        let second = now + YOUNG;
        thread::sleep(Duration::from_millis(50));
        assert!(attendance.see(second).is_empty());
        assert!(attendance.see(second + HELD).is_empty());
        assert_eq!(attendance.held(Place::Errands), 1);
        assert!(attendance.refuses(&subject(1), false).is_some());
        assert_eq!(attendance.lost(), 0);
        let lost = attendance.see(second + STILL);
        assert_eq!(lost[0].subject, subject(1));
        assert!(attendance.see(second + STILL).is_empty());
        assert!(attendance.is_silent(Pid(1)) && attendance.lost() == 1);
        assert_eq!(attendance.held(Place::Errands), 0);
        assert!(attendance.refuses(&subject(1), false).is_some());
        assert!(attendance.refuses(&subject(2), true).is_none());
        let refused = attendance.have_done(subject(1), || ());
        assert!(matches!(refused, Err(InspectError::Silent)));
        drop(answer);
        assert!(!thread.join().unwrap());
        assert_eq!(attendance.returned(), [subject(1)]);
        assert!(attendance.returned().is_empty() && attendance.lost() == 0);
    }

    #[test]
    fn work_that_takes_too_long_is_told_to_end_before_its_thread_is_given_up() {
        let attendance = Watchdog::default();
        let presence = attendance.enter(subject(1), Place::Errands);
        let now = Instant::now();
        assert!(attendance.see(now + YOUNG).is_empty() && !is_cut());
        // This thread runs.
        assert!(attendance.see(now + Place::Errands.limit()).is_empty());
        assert!(is_cut());
        let given_up = now + Place::Errands.limit() * LONGEST;
        assert_eq!(attendance.see(given_up).len(), 1);
        assert!(!presence.end());
    }

    #[test]
    fn work_that_is_done_is_handed_back_and_a_panic_is_told() {
        let attendance = Watchdog::default();
        assert!(matches!(attendance.have_done(subject(1), || 5), Ok(5)));
        let broken = attendance.have_done(subject(1), || panic!("on purpose"));
        assert!(matches!(broken, Err::<(), _>(InspectError::Broken)));
        assert_eq!(attendance.lost(), 0);
    }
}
