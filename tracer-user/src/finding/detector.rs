//! Go's own deadlock detector (`checkdead`, `runtime/proc.go`): its terms read live, and in one
//! sentence why it would or would not fire.

use super::phrase::count;
use ids::Goid;
use image::WaitReason;
use snapshot::{Goroutine, Scheduler, Snapshot, Status};

/// What `checkdead` would compute if it ran now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detector {
    /// Whether it could ever fire in this process: nothing lasting keeps it from it.
    pub armed: bool,
    /// Whether its conditions hold at this moment.
    pub fires: bool,
    /// `mcount() - nmidle - nmidlelocked - nmsys`: threads it takes for busy.
    pub run: i64,
    /// How many of those it tolerates: 1 where an extra M exists without cgo, else 0.
    pub run0: i64,
    /// The counters it reads.
    pub terms: Scheduler,
    /// Why it would or would not fire, in one sentence.
    pub reason: String,
}

/// Evaluates `checkdead`'s formula, which is the same from Go 1.17 to 1.27; `None` when the
/// scheduler could not be read.
#[must_use]
pub fn detector(snapshot: &Snapshot) -> Option<Detector> {
    let terms = snapshot.scheduler.clone()?;
    let run = terms
        .m_count
        .saturating_sub(terms.idle.into())
        .saturating_sub(terms.idle_locked.into())
        .saturating_sub(terms.system.into());
    let run0 = i64::from(!terms.is_cgo && terms.has_extra_m);
    let (armed, fires, reason) = judge(snapshot, &terms, run, run0);
    Some(Detector {
        armed,
        fires,
        run,
        run0,
        terms,
        reason,
    })
}

fn judge(snapshot: &Snapshot, terms: &Scheduler, run: i64, run0: i64) -> (bool, bool, String) {
    if terms.is_library {
        let why = "it is switched off in programs built as a C library or archive";
        return (false, false, why.to_owned());
    }
    if terms.panicking {
        return (false, false, "the process is panicking".to_owned());
    }
    if terms.is_cgo {
        let why = "the program links C code (cgo), and the thread that cgo keeps in reserve always \
                   counts as busy";
        return (false, false, why.to_owned());
    }
    if run > run0 {
        return (true, false, busy(snapshot, run - run0));
    }
    if terms.timers > 0 {
        let why = format!(
            "{} pending, and one of them might wake somebody",
            count(terms.timers, "timer")
        );
        return (true, false, why);
    }
    let why = "no thread is busy and no timer is pending: it fires if every goroutine is blocked";
    (true, true, why.to_owned())
}

fn parked(g: &Goroutine, reason: WaitReason) -> bool {
    !g.system && g.wait_reason == Some(reason)
}

/// Who keeps `busy` threads busy.
fn busy(snapshot: &Snapshot, busy: i64) -> String {
    let threads = count(u64::try_from(busy).unwrap_or(0), "thread");
    let counts = if busy == 1 { "counts" } else { "count" };
    let first = |wanted: &dyn Fn(&Goroutine) -> bool| -> Option<Goid> {
        let goroutines = snapshot.goroutines.iter();
        let mut found = goroutines.filter(|g| wanted(g)).map(|g| g.goid);
        found.next()
    };
    // The runtime's own may be: the one that waits for signals.
    let who = if let Some(goid) = first(&|g| g.status == Status::Syscall) {
        format!("goroutine {goid} is in a system call")
    } else if let Some(goid) = first(&|g| parked(g, WaitReason::IoWait)) {
        format!("a thread watches the network for goroutine {goid}")
    } else if let Some(goid) = first(&|g| parked(g, WaitReason::Sleep)) {
        format!("a thread waits for the timer of goroutine {goid}")
    } else if snapshot.scheduler.as_ref().is_some_and(|s| s.timers > 0) {
        "a thread waits for the next timer".to_owned()
    } else {
        "something still runs".to_owned()
    };
    format!("{threads} {counts} as busy: {who}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::fixture::Process;

    fn of(process: &Process) -> Detector {
        detector(&process.snapshot).expect("the scheduler was read")
    }

    #[test]
    fn a_plain_program_fires_when_no_thread_is_busy() {
        let detector = of(&Process::new());
        assert_eq!((detector.run, detector.run0), (0, 0));
        assert!(detector.armed && detector.fires);
    }

    #[test]
    fn cgo_silences_it_for_ever() {
        let mut process = Process::new();
        process.scheduler().is_cgo = true;
        process.scheduler().m_count = 6;
        let detector = of(&process);
        assert_eq!(detector.run, 1);
        assert!(!detector.armed && !detector.fires);
        assert!(detector.reason.contains("cgo"), "{}", detector.reason);
    }

    #[test]
    fn an_accept_silences_it() {
        let mut process = Process::new();
        process.scheduler().m_count = 6;
        process.parks(17, WaitReason::IoWait, &[]);
        let detector = of(&process);
        assert!(detector.armed && !detector.fires);
        assert_eq!(
            detector.reason,
            "1 thread counts as busy: a thread watches the network for goroutine 17"
        );
    }

    #[test]
    fn a_timer_silences_it() {
        let mut process = Process::new();
        process.scheduler().timers = 2;
        let detector = of(&process);
        assert!(!detector.fires);
        assert!(detector.reason.starts_with("2 timers pending"));
    }

    #[test]
    fn an_extra_thread_without_cgo_is_tolerated() {
        let mut process = Process::new();
        process.scheduler().has_extra_m = true;
        process.scheduler().m_count = 6;
        assert!(of(&process).fires);
    }
}
