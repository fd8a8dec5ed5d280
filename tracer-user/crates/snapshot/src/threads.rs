//! The target's threads: what the runtime knows of them (`allm`) joined with the kernel's list.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Goroutine, Stack, Status, Target, Thread, ThreadState,
    fields::Fields,
    gaps::{Gap, Gaps},
};
use ids::{Goid, TargetAddr, Tid};
use memory::{MemoryExt as _, ReadError};

/// Most threads followed: `sched.maxmcount` is 10,000 unless a program raises it.
const THREADS_LIMIT: usize = 1 << 18;
/// Frames of a stack in which a call of C shows: `cgocall` is the second.
const CGO_FRAMES: usize = 4;

/// `runtime.m` (`runtime/runtime2.go`).
#[derive(Debug, Clone, Copy)]
pub(super) struct MRecord {
    at: TargetAddr,
    tid: Option<Tid>,
    id: i64,
    current_g: TargetAddr,
    locked_g: TargetAddr,
    has_p: bool,
    spinning: bool,
    blocked: bool,
    extra: bool,
    /// Whether it does nothing but the runtime's own work, without a P: `sysmon`, `templateThread`.
    system: bool,
}

/// The threads by the address of their `m`.
pub(super) struct Ms(Vec<MRecord>);

impl Ms {
    /// Walks `allm`.
    pub(super) fn read(target: &Target, gaps: &mut Gaps) -> Result<Self, ReadError> {
        let Some(list) = target.image.globals().allm else {
            gaps.note(Gap::Threads, || "runtime.allm is not known".to_owned());
            return Ok(Self(Vec::new()));
        };
        let mut found = Vec::new();
        let mut seen = FxHashSet::default();
        let mut at = target.memory.read_addr(list.in_target(target.bias))?;
        while !at.is_nil() && found.len() < THREADS_LIMIT && seen.insert(at) {
            match is_m(target, at).and_then(|is_m| Ok((is_m, read_m(target, at)?))) {
                Ok((true, (record, next))) => {
                    found.push(record);
                    at = next;
                }
                Ok((false, _)) => {
                    gaps.note(Gap::Threads, || format!("m.g0.m is not the m at {at}"));
                    break;
                }
                Err(error) if error.is_final() => return Err(error),
                Err(error) => {
                    gaps.note(Gap::Threads, || error.to_string());
                    break;
                }
            }
        }
        Ok(Self(found))
    }

    /// The kernel's thread of each `m`.
    pub(super) fn tids(&self) -> FxHashMap<TargetAddr, Tid> {
        self.0.iter().filter_map(|m| Some((m.at, m.tid?))).collect()
    }

    /// Every thread: those of the runtime in the order of their ids, then those it does not know.
    /// `tasks` are the kernel's.
    pub(super) fn join(
        mut self,
        target: &Target,
        goroutines: &[Goroutine],
        tasks: Option<&[Tid]>,
    ) -> Vec<Thread> {
        self.0.sort_by_key(|m| m.id);
        let by_g: FxHashMap<TargetAddr, &Goroutine> = goroutines.iter().map(|g| (g.g, g)).collect();
        let poller = self.net_poller(target);
        let mut threads: Vec<Thread> = self
            .0
            .iter()
            .map(|m| m.thread(target, &by_g, poller))
            .collect();
        if let Some(tasks) = tasks {
            let known: FxHashSet<Tid> = self.0.iter().filter_map(|m| m.tid).collect();
            let foreign = tasks.iter().filter(|tid| !known.contains(tid));
            threads.extend(foreign.map(|tid| foreign_thread(*tid)));
        }
        threads
    }

    /// The thread that waits in the netpoller, if one does: `findRunnable` sets `sched.lastpoll` to
    /// 0 meanwhile, and has neither goroutine nor P.
    fn net_poller(&self, target: &Target) -> Option<TargetAddr> {
        let sched = target.image.globals().sched?.in_target(target.bias);
        let last = target.image.layout().sched.lastpoll;
        if target.memory.read_u64(sched.offset(last)).ok()? != 0 {
            return None;
        }
        let waits = |m: &&MRecord| {
            m.tid.is_some()
                && m.current_g.is_nil()
                && !m.system
                && !m.has_p
                && !m.blocked
                && !m.extra
        };
        self.0.iter().find(waits).map(|m| m.at)
    }
}

fn read_m(target: &Target, at: TargetAddr) -> Result<(MRecord, TargetAddr), ReadError> {
    let m = &target.image.layout().m;
    let fields = [
        m.procid, m.id, m.curg, m.lockedg, m.p, m.spinning, m.blocked, m.alllink, m.mstartfn,
    ];
    let last = fields.into_iter().chain(m.isextra).max().unwrap_or(0);
    let len = usize::try_from(last).unwrap_or(0).min(8192) + 8;
    let bytes = target.memory.read_vec(at, len, len)?;
    let f = Fields(&bytes);
    let tid = u32::try_from(f.u64(m.procid)).ok().filter(|tid| *tid != 0);
    let record = MRecord {
        at,
        tid: tid.map(Tid),
        id: f.i64(m.id),
        current_g: f.addr(m.curg),
        locked_g: f.addr(m.lockedg),
        has_p: !f.addr(m.p).is_nil(),
        spinning: f.u8(m.spinning) != 0,
        blocked: f.u8(m.blocked) != 0,
        extra: m.isextra.is_some_and(|offset| f.u8(offset) != 0),
        system: is_system(target, f.addr(m.mstartfn)),
    };
    Ok((record, f.addr(m.alllink)))
}

/// Whether `start` (`m.mstartfn`, a `*funcval` or nil) is a function that never runs goroutines.
/// Ordinary threads may have one too: `mspinning` for those started to look for work.
fn is_system(target: &Target, start: TargetAddr) -> bool {
    if start.is_nil() {
        return false;
    }
    let Ok(entry) = target.memory.read_addr(start) else {
        return false;
    };
    let function = target.image.function_at(entry.in_image(target.bias));
    function.is_some_and(|f| matches!(&*f.name, "runtime.sysmon" | "runtime.templateThread"))
}

/// Whether `at` is an `m`: the `g` of its scheduler stack points back to it.
fn is_m(target: &Target, at: TargetAddr) -> Result<bool, ReadError> {
    let layout = target.image.layout();
    let g0 = target.memory.read_addr(at.offset(layout.m.g0))?;
    Ok(target.memory.read_addr(g0.offset(layout.g.m))? == at)
}

impl MRecord {
    fn thread(
        &self,
        target: &Target,
        by_g: &FxHashMap<TargetAddr, &Goroutine>,
        poller: Option<TargetAddr>,
    ) -> Thread {
        let current = by_g.get(&self.current_g).copied();
        let locked = by_g.get(&self.locked_g).copied();
        let state = self.state(target, current, poller == Some(self.at));
        Thread {
            tid: self.tid,
            m: Some(self.id),
            goroutine: current.or(locked).map(|g| g.goid),
            state,
            // An extra M in reserve is tied to a `g` in reserve (`oneNewExtraM`): no thread yet.
            locked: !self.locked_g.is_nil() && state != ThreadState::Extra,
            spinning: self.spinning,
            extra: self.extra,
        }
    }

    fn state(&self, target: &Target, current: Option<&Goroutine>, polls: bool) -> ThreadState {
        match current {
            Some(g) if g.status == Status::Syscall && calls_c(target, &g.stack) => ThreadState::Cgo,
            Some(g) if g.status == Status::Syscall => ThreadState::Syscall,
            Some(_) => ThreadState::Running,
            None if self.tid.is_none() => ThreadState::Extra,
            None if !self.locked_g.is_nil() => ThreadState::IdleLocked,
            None if polls => ThreadState::NetPoll,
            None if self.system => ThreadState::Runtime,
            None if self.blocked && !self.has_p => ThreadState::Idle,
            None => ThreadState::Runtime,
        }
    }
}

fn foreign_thread(tid: Tid) -> Thread {
    Thread {
        tid: Some(tid),
        m: None,
        goroutine: None::<Goid>,
        state: ThreadState::Foreign,
        locked: false,
        spinning: false,
        extra: false,
    }
}

/// Whether a goroutine in a system call is really in C code: `cgocall` enters by `entersyscall`.
fn calls_c(target: &Target, stack: &Stack) -> bool {
    stack.frames.iter().take(CGO_FRAMES).any(|frame| {
        let function = target.image.function_at(frame.pc);
        function.is_some_and(|function| &*function.name == "runtime.cgocall")
    })
}
