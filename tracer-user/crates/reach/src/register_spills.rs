//! Who may keep a reference where no round finds it: in a register, or on a thread's own stack.
//!
//! A goroutine that runs keeps references in registers. It stores them on its stack at the latest
//! when it stops running: at a call that blocks (Go has no registers that a callee preserves), in a
//! system call, or when it is preempted after 10 ms, which saves all registers
//! (`runtime/preempt.go`). So one that ran when the walk began is looked at until it has stopped
//! once. The same goes for what the runtime has in hand on a thread's own stack, a timer about to
//! fire for instance: it is there for microseconds of running. But a thread may be off its CPU in
//! the middle of it, throttled by a cgroup for example, for longer than a walk takes; so each thread
//! that did not sleep in a system call when the walk began is waited for until it does, or has got
//! some time on a CPU.

use super::{
    activity::{ProcessActivity, ThreadActivity},
    goroutine::{GoroutineState, RunState},
    goroutine_table::GoroutineTable,
};
use ids::{Pid, Tid};

/// What the runtime does with references on a thread's own stack takes far less CPU time than this.
const IN_HAND_NS: u64 = 1_000_000;

/// Threads and goroutines that have not stopped since the walk began.
#[derive(Debug)]
pub(super) struct UnspilledRegisters {
    threads: Vec<(Tid, ThreadActivity)>,
    goroutines: Vec<GoroutineState>,
}

impl UnspilledRegisters {
    /// Those of `threads` that did not sleep in a system call, and those of `goroutines` that ran.
    pub(super) fn new<'a>(
        threads: &ProcessActivity,
        goroutines: impl Iterator<Item = &'a GoroutineState>,
    ) -> Self {
        let running = goroutines.filter(|now| now.doing == RunState::Running);
        Self {
            threads: threads
                .threads()
                .filter(|(_, thread)| !thread.is_asleep_in_call())
                .collect(),
            goroutines: running.copied().collect(),
        }
    }

    /// Forgets whoever has stopped by now.
    pub(super) fn update(&mut self, pid: Pid, now: &GoroutineTable) {
        self.goroutines
            .retain(|then| now.get(then.goid).is_some_and(|now| still_runs(then, now)));
        self.threads.retain(|(tid, then)| {
            let now = ThreadActivity::of(pid, *tid);
            now.is_some_and(|now| !now.got_on_since(then, IN_HAND_NS))
        });
    }

    /// Whether all have stopped.
    pub(super) fn is_empty(&self) -> bool {
        self.threads.is_empty() && self.goroutines.is_empty()
    }

    /// Why a proof has to wait, in words.
    pub(super) fn tell(&self) -> String {
        match (self.goroutines.first(), self.threads.first()) {
            (Some(now), _) => format!(
                "goroutine {} ran all the time, and what it keeps in registers cannot be seen",
                now.goid
            ),
            (None, Some((tid, _))) => {
                format!("thread {tid} got no CPU, and what it keeps in registers cannot be seen")
            }
            (None, None) => String::new(),
        }
    }
}

/// Whether `now` is the same stretch of running as `then`. The counter changes whenever a goroutine
/// stops running (`casgstatus`, runtime/proc.go, since Go 1.17).
fn still_runs(then: &GoroutineState, now: &GoroutineState) -> bool {
    now.doing == RunState::Running && now.runs == then.runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goroutine(doing: RunState, runs: u8) -> GoroutineState {
        GoroutineState {
            doing,
            runs: Some(runs),
            ..GoroutineState::parked(7, 0x100)
        }
    }

    fn after(then: GoroutineState, now: &[GoroutineState]) -> UnspilledRegisters {
        let mut unspilled = UnspilledRegisters::new(&ProcessActivity::default(), [then].iter());
        let now = GoroutineTable::new(now.to_vec());
        unspilled.update(Pid(std::process::id()), &now);
        unspilled
    }

    #[test]
    fn a_goroutine_counts_until_it_has_stopped_once() {
        let running = goroutine(RunState::Running, 1);
        let still = after(running, &[running]);
        assert!(!still.is_empty());
        assert!(still.tell().starts_with("goroutine 7 ran all the time"));
        assert!(after(running, &[goroutine(RunState::Running, 2)]).is_empty());
        assert!(after(running, &[goroutine(RunState::Syscall, 1)]).is_empty());
        assert!(after(running, &[]).is_empty());
        let parked = goroutine(RunState::Parked, 1);
        assert!(after(parked, &[parked]).is_empty());
    }

    #[test]
    fn a_thread_that_computes_gets_on() {
        let own = Pid(std::process::id());
        let mut unspilled = UnspilledRegisters::new(&ProcessActivity::of(own).unwrap(), [].iter());
        assert!(!unspilled.is_empty());
        let mut rounds = 0;
        while !unspilled.is_empty() && rounds < 1_000_000 {
            unspilled.update(own, &GoroutineTable::default());
            rounds += 1;
        }
        assert!(unspilled.is_empty(), "{}", unspilled.tell());
    }
}
