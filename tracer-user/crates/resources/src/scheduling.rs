//! How threads of ours give way to others on their CPU (sched(7)), and get their share again.

use std::{fs, io, thread};

use nix::unistd::gettid;

use ids::Tid;

/// The limit of `RLIMIT_NICE` that allows a nice value of 0: 20 minus that (getrlimit(2)).
const USUAL: libc::rlim_t = 20;

/// From now on the calling thread, and threads that it starts, run only where nobody else wants the
/// CPU (`SCHED_IDLE`): whoever wakes there runs at once.
pub fn only_when_idle() {
    // A failure changes nothing.
    let _ = set(Tid(0), libc::SCHED_IDLE);
}

/// Gives a thread of ours that ran only when idle its usual share.
///
/// # Errors
/// When the kernel does not allow that: see [`may_return`].
pub fn as_usual(thread: Tid) -> io::Result<()> {
    set(thread, libc::SCHED_OTHER)
}

/// Gives all threads of ours their usual share, as far as the kernel allows: on busy CPUs, one that
/// runs only when idle would hold up the end of all.
pub fn all_as_usual() {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    let names = tasks.filter_map(|task| task.ok()?.file_name().into_string().ok());
    for thread in names.filter_map(|name| name.parse().ok()) {
        // One that has ended needs none.
        let _ = as_usual(Tid(thread));
    }
}

/// The calling thread.
#[must_use]
pub fn this_thread() -> Tid {
    Tid(gettid().as_raw().cast_unsigned())
}

/// Whether a thread that runs only when idle may get its usual share again: the kernel asks for
/// `CAP_SYS_NICE` or a `RLIMIT_NICE` of 20 (kernel/sched/syscalls.c, `user_check_sched_setscheduler`).
/// Found out by a thread that tries.
#[must_use]
pub fn may_return() -> bool {
    let tries = thread::Builder::new().spawn(|| {
        only_when_idle();
        as_usual(Tid(0)).is_ok()
    });
    tries.is_ok_and(|tries| tries.join().unwrap_or(false))
}

/// Sees to it, where that is allowed, that [`may_return`] will hold without `CAP_SYS_NICE`. Whether
/// it will.
#[must_use]
pub fn allow_return() -> bool {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` outlives the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_NICE, &raw mut limit) } != 0 {
        return false;
    }
    limit.rlim_cur = limit.rlim_cur.max(USUAL);
    limit.rlim_max = limit.rlim_max.max(limit.rlim_cur);
    // Without CAP_SYS_RESOURCE a hard limit stays what it is.
    // SAFETY: `limit` outlives the call.
    unsafe { libc::setrlimit(libc::RLIMIT_NICE, &raw const limit) == 0 }
}

/// While it lives, the thread that made it, and threads that it starts meanwhile, are nicer to others
/// on their CPU (nice(2)), or less nice.
#[derive(Debug)]
pub struct Niceness {
    before: i32,
}

impl Niceness {
    /// So much nicer than before.
    #[must_use]
    pub fn raised_by(more: i32) -> Self {
        Self::changed(|before| before.saturating_add(more))
    }

    /// The least there is: the thread comes first. Without `CAP_SYS_NICE` it changes nothing.
    #[must_use]
    pub fn least() -> Self {
        Self::changed(|_| -20)
    }

    fn changed(to: impl FnOnce(i32) -> i32) -> Self {
        // SAFETY: no memory is involved; 0 means the calling thread. -1 is a possible answer too,
        // and as good as any when the call fails.
        let before = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        be_nice(to(before));
        Self { before }
    }
}

impl Drop for Niceness {
    fn drop(&mut self) {
        // To be less nice takes CAP_SYS_NICE: without it the thread stays as it is.
        be_nice(self.before);
    }
}

fn be_nice(nice: i32) {
    // SAFETY: no memory is involved; 0 means the calling thread. A failure changes nothing.
    let _ = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
}

fn set(thread: Tid, policy: libc::c_int) -> io::Result<()> {
    // SAFETY: a plain struct of integers.
    let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: `parameters` outlives the call; 0 means the calling thread.
    let result =
        unsafe { libc::sched_setscheduler(thread.0.cast_signed(), policy, &raw const parameters) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn policy(thread: Tid) -> i32 {
        // SAFETY: no memory is involved; 0 means the calling thread.
        unsafe { libc::sched_getscheduler(thread.0.cast_signed()) }
    }

    #[test]
    fn a_thread_gives_way_until_another_lets_it_return() {
        let (tell, told) = channel();
        let (end, ended) = channel::<()>();
        let gives_way = thread::spawn(move || {
            only_when_idle();
            tell.send(this_thread()).unwrap();
            let _ = ended.recv();
        });
        let thread = told.recv().unwrap();
        assert_eq!(policy(thread), libc::SCHED_IDLE);
        assert_eq!(as_usual(thread).is_ok(), may_return());
        let now = if may_return() {
            libc::SCHED_OTHER
        } else {
            libc::SCHED_IDLE
        };
        assert_eq!(policy(thread), now);
        drop(end);
        gives_way.join().unwrap();
    }
    fn nice() -> i32 {
        // SAFETY: no memory is involved; 0 means the calling thread.
        unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
    }

    #[test]
    fn a_thread_is_nicer_meanwhile() {
        let before = nice();
        let low = Niceness::raised_by(10);
        assert_eq!(nice(), (before + 10).min(19));
        drop(low);
    }

    #[test]
    fn a_thread_that_came_first_is_as_nice_as_before_afterwards() {
        let before = nice();
        drop(Niceness::least());
        assert_eq!(nice(), before);
    }
}
