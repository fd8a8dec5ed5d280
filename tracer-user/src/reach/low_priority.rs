//! Giving way to the target while walking.

/// How much nicer than usual (nice(2)).
const NICER: i32 = 10;

/// While it lives, the thread that made it gives way to others on its CPU.
#[derive(Debug)]
pub(super) struct LowPriority {
    before: i32,
}

impl LowPriority {
    pub(super) fn begin() -> Self {
        // SAFETY: no memory is involved; 0 means the calling thread. -1 is a possible answer too,
        // and as good as any when the call fails.
        let before = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        set(before.saturating_add(NICER));
        Self { before }
    }
}

impl Drop for LowPriority {
    fn drop(&mut self) {
        // Not allowed without CAP_SYS_NICE: then the thread stays nice.
        set(self.before);
    }
}

/// From now on the calling thread, and threads that it starts, run only where nobody else wants the
/// CPU (`SCHED_IDLE`, sched(7)): whoever wakes there runs at once.
pub fn only_when_idle() {
    // SAFETY: a plain struct of integers.
    let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: `parameters` outlives the call; 0 means the calling thread. A failure changes nothing.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const parameters) };
}

fn set(nice: i32) {
    // SAFETY: no memory is involved; 0 means the calling thread. A failure changes nothing.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_gives_way_for_good() {
        let policy = std::thread::spawn(|| {
            only_when_idle();
            // SAFETY: no memory is involved; 0 means the calling thread.
            unsafe { libc::sched_getscheduler(0) }
        });
        assert_eq!(policy.join().unwrap(), libc::SCHED_IDLE);
    }

    #[test]
    fn the_thread_is_nicer_meanwhile() {
        // SAFETY: as above.
        let now = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let before = now();
        let low = LowPriority::begin();
        assert_eq!(now(), (before + NICER).min(19));
        drop(low);
    }
}
