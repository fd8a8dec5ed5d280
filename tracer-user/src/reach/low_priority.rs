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

fn set(nice: i32) {
    // SAFETY: no memory is involved; 0 means the calling thread. A failure changes nothing.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_is_nicer_meanwhile() {
        // SAFETY: no memory is involved; 0 means the calling thread.
        let now = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let before = now();
        let low = LowPriority::begin();
        assert_eq!(now(), (before + NICER).min(19));
        drop(low);
    }
}
