//! Whether the target ran at all during a round: if no thread did, what was read is one moment.

use std::{collections::BTreeMap, fs, io};

use ids::{Pid, Tid};

/// What the threads of a process are at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessActivity(BTreeMap<Tid, ThreadActivity>);

/// What one thread is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadActivity {
    /// How often it has been taken off its CPU (`voluntary_ctxt_switches` and its sibling in
    /// `/proc/PID/task/TID/status`). A thread that runs between two rounds either still runs, or has
    /// been switched out since.
    switches: u64,
    /// Whether it sleeps inside a system call that it made (`/proc/PID/task/TID/syscall` tells a
    /// number): then none of its registers is needed to know what it refers to. A thread that was
    /// stopped between two instructions (by a signal, the cgroup freezer, a page fault, or another
    /// thread that got its CPU) is not.
    asleep_in_call: bool,
    /// Time on a CPU so far (`/proc/PID/task/TID/schedstat`), in nanoseconds.
    cpu_ns: u64,
}

impl ProcessActivity {
    /// Reads it.
    ///
    /// # Errors
    /// When the process is gone or must not be looked at.
    pub fn of(pid: Pid) -> io::Result<Self> {
        let mut activity = Self::default();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let name = entry?.file_name();
            let tid = name.to_str().and_then(|name| name.parse().ok()).map(Tid);
            // A thread that exits meanwhile is missing, and so makes a difference.
            if let Some(tid) = tid
                && let Some(thread) = ThreadActivity::of(pid, tid)
            {
                activity.0.insert(tid, thread);
            }
        }
        Ok(activity)
    }

    /// The threads.
    pub fn threads(&self) -> impl Iterator<Item = (Tid, ThreadActivity)> + '_ {
        self.0.iter().map(|(tid, thread)| (*tid, *thread))
    }

    /// Whether nothing ran from `self`, which was read first, to `later`, and no thread was held
    /// up between two instructions.
    #[must_use]
    pub fn none_until(&self, later: &Self) -> bool {
        !self.0.is_empty() && self == later && self.0.values().all(|thread| thread.asleep_in_call)
    }
}

impl ThreadActivity {
    /// What thread `tid` of `pid` is at; `None` when it is gone.
    #[must_use]
    pub fn of(pid: Pid, tid: Tid) -> Option<Self> {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/task/{tid}/{file}"));
        // The order matters: a thread that is asleep when `syscall` is read, and has not been
        // switched since, was asleep all the time from there on.
        let call = read("syscall").unwrap_or_default();
        let time = read("schedstat").unwrap_or_default();
        let status = read("status").ok()?;
        Some(Self::parse(&status, &call, &time))
    }

    fn parse(status: &str, call: &str, time: &str) -> Self {
        let mut switches = 0_u64;
        let mut sleeping = false;
        for line in status.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match key {
                "State" => sleeping = value.starts_with('S'),
                "voluntary_ctxt_switches" | "nonvoluntary_ctxt_switches" => {
                    switches = switches.wrapping_add(value.parse().unwrap_or(0));
                }
                _ => {}
            }
        }
        // `running`, or the number of the call, -1 outside of any, and arguments.
        let number = call.split_whitespace().next().unwrap_or("running");
        let cpu_ns = time.split_whitespace().next();
        Self {
            switches,
            asleep_in_call: sleeping && number.parse::<u32>().is_ok(),
            cpu_ns: cpu_ns.and_then(|ns| ns.parse().ok()).unwrap_or(0),
        }
    }

    /// Whether the thread got on since `earlier`: it sleeps in a system call, or has used at least
    /// `cpu_ns` of CPU time.
    #[must_use]
    pub fn got_on_since(&self, earlier: &Self, cpu_ns: u64) -> bool {
        self.asleep_in_call || self.cpu_ns.saturating_sub(earlier.cpu_ns) >= cpu_ns
    }

    /// Whether it sleeps inside a system call.
    #[must_use]
    pub fn is_asleep_in_call(&self) -> bool {
        self.asleep_in_call
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASLEEP: &str = "State:\tS (sleeping)\nvoluntary_ctxt_switches:\t7\n\
                          nonvoluntary_ctxt_switches:\t1\n";
    const FUTEX: &str = "202 0xc000 0x80 0x0 0x0 0x0 0x0 0x7ffe 0x4721c3\n";

    fn activity(status: &str, call: &str) -> ProcessActivity {
        let thread = ThreadActivity::parse(status, call, "1000 5 9\n");
        ProcessActivity([(Tid(1), thread)].into())
    }

    #[test]
    fn a_switch_or_a_running_thread_is_activity() {
        let before = activity(ASLEEP, FUTEX);
        assert!(before.none_until(&activity(ASLEEP, FUTEX)));
        assert!(!before.none_until(&activity(&ASLEEP.replace('7', "8"), FUTEX)));
        assert!(!before.none_until(&activity(&ASLEEP.replace("\tS", "\tR"), "running\n")));
        assert!(!before.none_until(&ProcessActivity::default()));
        assert!(!ProcessActivity::default().none_until(&ProcessActivity::default()));
    }

    #[test]
    fn a_thread_held_up_between_two_instructions_is_not_quiet() {
        for (state, call) in [
            ("\tT", "-1 0x7ffe 0x4721c3\n"),
            ("\tS", "-1 0x7ffe 0x4721c3\n"),
            ("\tD", FUTEX),
            ("\tS", ""),
        ] {
            let held = activity(&ASLEEP.replace("\tS", state), call);
            assert!(!held.none_until(&held), "{state} {call}");
        }
    }

    #[test]
    fn a_thread_gets_on_by_a_call_or_by_cpu_time() {
        let thread = |call, time| ThreadActivity::parse(ASLEEP, call, time);
        let before = thread("-1 0x0 0x0", "1000 0 0");
        assert!(thread(FUTEX, "1000 0 0").got_on_since(&before, 500));
        assert!(thread("-1 0x0 0x0", "1500 0 0").got_on_since(&before, 500));
        assert!(!thread("-1 0x0 0x0", "1400 0 0").got_on_since(&before, 500));
    }

    #[test]
    fn a_process_that_looks_at_itself_is_running() {
        let own = ProcessActivity::of(Pid(std::process::id())).unwrap();
        assert!(!own.none_until(&own));
    }
}
