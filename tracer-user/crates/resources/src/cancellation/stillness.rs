//! Work that stands still: its threads wait in the kernel for something that does not come.
//!
//! A read of a page that a program serves (`userfaultfd(2)`, FUSE), or of a file on such a file system,
//! waits for that program as long as it likes, and nothing but the end of the reader's process ends
//! the wait. From outside it looks like this: none of the threads that are at the work is running or
//! waits for a CPU, and none has run since.

use std::{
    fs,
    time::{Duration, Instant},
};

use ids::Tid;

/// What threads have done so far, as far as the kernel counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Motion {
    /// Whether one of them runs, or waits for a CPU.
    pub runs: bool,
    /// How often they have gone to sleep, all together. It changes when one of them has run since.
    pub sleeps: u64,
}

/// What `threads` of ours have done so far. One that has ended has done nothing.
#[must_use]
pub fn motion_of(threads: &[Tid]) -> Motion {
    let mut all = Motion {
        runs: false,
        sleeps: 0,
    };
    for thread in threads {
        let status = fs::read_to_string(format!("/proc/self/task/{thread}/status"));
        let one = status.ok().and_then(|status| decode(&status));
        if let Some(one) = one {
            all.runs |= one.runs;
            all.sleeps = all.sleeps.wrapping_add(one.sleeps);
        }
    }
    all
}

/// `State` and `voluntary_ctxt_switches` of `/proc/TID/status`.
fn decode(status: &str) -> Option<Motion> {
    let field = |name: &str| {
        let mut lines = status.lines();
        lines.find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()))
    };
    Some(Motion {
        runs: field("State")?.starts_with('R'),
        sleeps: field("voluntary_ctxt_switches")?.parse().ok()?,
    })
}

/// For how long something has stood still, asked again and again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stillness {
    last: Option<(Motion, Instant)>,
}

impl Stillness {
    /// Takes in what has been done by `now`; for how long there has been no more.
    pub fn after(&mut self, motion: Motion, now: Instant) -> Duration {
        match self.last {
            Some((before, since)) if before == motion && !motion.runs => {
                now.saturating_duration_since(since)
            }
            _ => {
                self.last = Some((motion, now));
                Duration::ZERO
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::channel, thread};

    use super::*;
    use crate::scheduling::this_thread;

    #[test]
    fn whoever_waits_stands_still_and_whoever_was_woken_does_not() {
        let (tell, told) = channel();
        let (wake, woken) = channel::<()>();
        let waiter = thread::spawn(move || {
            tell.send(this_thread()).unwrap();
            while woken.recv().is_ok() {
                tell.send(this_thread()).unwrap();
            }
        });
        let thread = told.recv().unwrap();
        while motion_of(&[thread]).runs {
            thread::yield_now();
        }
        let mut stillness = Stillness::default();
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let before = motion_of(&[thread]);
        assert_eq!(stillness.after(before, start), Duration::ZERO);
        assert_eq!(stillness.after(before, start + second), second);
        wake.send(()).unwrap();
        told.recv().unwrap();
        let mut after = motion_of(&[thread]);
        while after.runs || after == before {
            thread::yield_now();
            after = motion_of(&[thread]);
        }
        assert_eq!(stillness.after(after, start + 2 * second), Duration::ZERO);
        drop(wake);
        waiter.join().unwrap();
    }

    #[test]
    fn whoever_runs_does_not_stand_still() {
        let motion = motion_of(&[this_thread()]);
        assert!(motion.runs);
        let mut stillness = Stillness::default();
        let start = Instant::now();
        stillness.after(motion, start);
        let later = stillness.after(motion, start + Duration::from_secs(9));
        assert_eq!(later, Duration::ZERO);
    }
}
