//! Keeping within the memory that our cgroups allow. What an inspection takes follows from what a process has, and
//! no bound on the parts says what all of them come to, of several processes at once. So where memory
//! runs out the work that has taken longest is told to end, before the kernel ends us.

use std::{fs, io, thread, time::Duration};

use super::Watchdog;
use resources::cancellation::Cancellation;

/// From so many eighths of the limit on work is told to end. The rest is for what comes until it has, and
/// for what the kernel counts as ours.
const EIGHTHS: u64 = 7;
/// How often that is looked at: below half of the limit, and above.
const SELDOM: Duration = Duration::from_millis(200);
const OFTEN: Duration = Duration::from_millis(20);
/// How long work that was told to end may take to give back its memory.
const SETTLING: Duration = Duration::from_millis(500);

/// Watches over `limit`, in bytes, on a thread of its own, until `stop` is requested.
///
/// # Errors
/// When there can be no thread.
pub fn keep_within(limit: u64, attendance: Watchdog, stop: Cancellation) -> io::Result<()> {
    let watch = move || {
        while !stop.is_requested() {
            thread::sleep(turn(limit, &attendance, own_memory()));
        }
    };
    let thread = thread::Builder::new().name("gostuck-memory".to_owned());
    thread.spawn(watch).map(drop)
}

/// Has work ended where `taken` is too much; when to look again.
fn turn(limit: u64, attendance: &Watchdog, taken: Option<u64>) -> Duration {
    let taken = taken.unwrap_or(0);
    if taken < limit / 2 {
        return SELDOM;
    }
    if taken < limit / 8 * EIGHTHS {
        return OFTEN;
    }
    if let Some(subject) = attendance.shed() {
        let megabytes = taken / 1_000_000;
        tracing::warn!(pid = %subject.pid, megabytes, "given up: memory is short");
    }
    give_back();
    SETTLING
}

/// Memory of ours that is no file's, in bytes.
fn own_memory() -> Option<u64> {
    let told = fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = told.split_ascii_whitespace().skip(1);
    let mut next = || pages.next()?.parse::<u64>().ok();
    let (resident, shared) = (next()?, next()?);
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
    let page = page.ok()??.try_into().ok()?;
    resident.saturating_sub(shared).checked_mul(page)
}

/// Gives back to the kernel what is free.
fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes a number, and may be called at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Place, Subject},
        *,
    };
    use ids::Pid;
    use resources::cancellation::is_cut;

    #[test]
    fn we_have_some_memory() {
        assert!(own_memory().unwrap() > 1 << 20);
    }

    #[test]
    fn work_goes_on_until_memory_is_short() {
        let attendance = Watchdog::default();
        let subject = Subject {
            pid: Pid(1),
            owner: None,
            file: None,
        };
        let _presence = attendance.enter(subject, Place::Clients);
        thread::sleep(super::super::YOUNG);
        assert_eq!(turn(800, &attendance, Some(100)), SELDOM);
        assert_eq!(turn(800, &attendance, Some(500)), OFTEN);
        assert!(!is_cut());
        assert_eq!(turn(800, &attendance, Some(700)), SETTLING);
        assert!(is_cut());
    }
}
