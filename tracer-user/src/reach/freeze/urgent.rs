//! Getting a CPU at once while somebody is held still and waits for us.

/// How much less nice than usual (nice(2)): as little as there is.
const NICE: i32 = -20;

/// While it lives, the thread that made it, and threads that it starts, come before others on their
/// CPU. Without `CAP_SYS_NICE` it changes nothing.
#[derive(Debug)]
pub(super) struct Urgent {
    before: i32,
}

impl Urgent {
    pub(super) fn begin() -> Self {
        // SAFETY: no memory is involved; 0 means the calling thread. -1 is a possible answer too,
        // and as good as any when the call fails.
        let before = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        set(NICE);
        Self { before }
    }
}

impl Drop for Urgent {
    fn drop(&mut self) {
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
    fn the_thread_is_as_nice_as_before_afterwards() {
        // SAFETY: no memory is involved; 0 means the calling thread.
        let now = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let before = now();
        drop(Urgent::begin());
        assert_eq!(now(), before);
    }
}
