//! The goroutines as they are now: read again and again, cheaply, to see who moved.

use super::mark::Range;
use ids::{Goid, TargetAddr};
use memory::{Gather, Memory, MemoryExt as _, ReadError, words};

/// `_Gidle`, `_Gdead` and the unused number of an old status (`runtime/runtime2.go`).
const IDLE: u32 = 0;
const RUNNABLE: u32 = 1;
const SYSCALL: u32 = 3;
const WAITING: u32 = 4;
const DEAD: u32 = 6;
/// `_Gpreempted`.
const PREEMPTED: u32 = 9;
/// `_Gleaked` (Go 1.26 and later).
const LEAKED: u32 = 10;
/// `_Gdeadextra` (Go 1.26 and later): the g of an extra M that no C thread uses.
const DEAD_EXTRA: u32 = 11;
/// `_Gscan`: the collector looks at its stack.
const SCAN: u32 = 0x1000;

/// More goroutines than this are no list of goroutines.
const MAX_GOROUTINES: u64 = 1 << 26;
/// So many are read at once: what is read fits into the cache.
const GROUP: usize = 2048;
/// A larger stack than Go allows (`maxstackceiling`, 2 GB on 64-bit).
const MAX_STACK_BYTES: u64 = 2 << 30;

/// Offsets inside `runtime.g`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoroutineLayout {
    /// Size of the struct.
    pub size: u64,
    /// `stack`, of which `lo` and `hi` are the two words.
    pub stack: u64,
    /// `sched.sp`.
    pub sched_sp: u64,
    /// `sched.pc`.
    pub sched_pc: u64,
    /// `syscallsp`.
    pub syscall_sp: u64,
    /// `atomicstatus`.
    pub status: u64,
    /// `goid`.
    pub goid: u64,
    /// `waitreason`.
    pub wait_reason: u64,
    /// `trackingSeq`.
    pub tracking_seq: Option<u64>,
    /// `_defer`: the innermost deferred call.
    pub defers: u64,
    /// Size of `runtime._defer`.
    pub defer_size: u64,
    /// `_defer.link`.
    pub defer_link: u64,
}

/// What a goroutine is doing, as far as its stack is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Parked: its frames stand still and their maps hold.
    Parked,
    /// Ready to run, or stopped at any instruction.
    Runnable,
    /// On a thread: anything of its stack may matter, and its registers.
    Running,
    /// In a system call or in C.
    Syscall,
}

/// One goroutine at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoroutineState {
    /// Its `g` struct.
    pub g: TargetAddr,
    /// Its id.
    pub goid: Goid,
    /// What it is doing.
    pub doing: RunState,
    /// `g.waitreason`, raw.
    pub wait_reason: u8,
    /// Stack bounds `[lo, hi)`.
    pub stack: (TargetAddr, TargetAddr),
    /// Lowest address of its stack in use: `sched.sp`, or `syscallsp` in a system call. Means
    /// nothing while it runs.
    pub sp: TargetAddr,
    /// Where it goes on: `sched.pc`. Means nothing unless it is parked or ready to run.
    pub pc: TargetAddr,
    /// `g.trackingSeq`: counts how often it stopped running, modulo 256; from Go 1.26 on, system calls
    /// do not count (`reentersyscall`, runtime/proc.go, changes the status without `casgstatus`).
    pub runs: Option<u8>,
}

impl GoroutineLayout {
    /// What of the `g` struct at `g` may hold references: all but the bounds of its stack, which
    /// comes first (`runtime/runtime2.go`, every version). They are plain numbers for the collector,
    /// and the upper one is the first address of whatever lies behind the stack: of another
    /// goroutine's stack, or of any object.
    #[must_use]
    pub fn references(&self, g: TargetAddr) -> Range {
        let from = g.offset(self.stack + 16);
        Range::between(from, g.offset(self.size))
    }
}

impl GoroutineState {
    fn decode(g: TargetAddr, bytes: &[u8], layout: &GoroutineLayout) -> Option<Self> {
        let word = |offset: u64| {
            let at = usize::try_from(offset).ok()?;
            Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
        };
        let byte = |offset: u64| bytes.get(usize::try_from(offset).ok()?).copied();
        let status = (word(layout.status)? & 0xffff_ffff) as u32 & !SCAN;
        let (lo, hi) = (word(layout.stack)?, word(layout.stack + 8)?);
        let syscall_sp = word(layout.syscall_sp)?;
        let doing = match status {
            IDLE | DEAD | DEAD_EXTRA => return None,
            WAITING | LEAKED => RunState::Parked,
            RUNNABLE | PREEMPTED => RunState::Runnable,
            SYSCALL => RunState::Syscall,
            // `_Grunning`, `_Gcopystack` and whatever comes new count as running.
            _ => RunState::Running,
        };
        let sp = match doing {
            RunState::Syscall if syscall_sp != 0 => syscall_sp,
            _ => word(layout.sched_sp)?,
        };
        Some(Self {
            g,
            goid: Goid(word(layout.goid)?),
            doing,
            wait_reason: byte(layout.wait_reason)?,
            stack: (TargetAddr(lo), TargetAddr(hi)),
            sp: TargetAddr(sp),
            pc: TargetAddr(word(layout.sched_pc)?),
            runs: match layout.tracking_seq {
                Some(offset) => Some(byte(offset)?),
                None => None,
            },
        })
    }

    /// Whether its stack bounds make sense.
    #[must_use]
    pub fn has_stack(&self) -> bool {
        let (lo, hi) = self.stack;
        !lo.is_nil() && lo < hi && hi.0 - lo.0 <= MAX_STACK_BYTES
    }

    /// Whether `sp` lies in its stack.
    #[must_use]
    pub fn sp_is_sound(&self) -> bool {
        self.has_stack() && self.stack.0 <= self.sp && self.sp < self.stack.1
    }
}

/// Where the list of all goroutines is: `runtime.allgs`, a slice.
#[derive(Debug, Clone, Copy)]
pub struct AllGoroutines {
    /// Address of the slice header.
    pub slice: TargetAddr,
}

impl AllGoroutines {
    /// The addresses of all `g` structs ever made; they are reused, not freed.
    ///
    /// # Errors
    /// When the list cannot be read or is longer than one can be.
    pub fn list(&self, memory: &dyn Memory) -> Result<Vec<TargetAddr>, ReadError> {
        // Length first: `allgadd` (runtime/proc.go) publishes a grown array before the length, and
        // old arrays stay as they were.
        let len = memory.read_u64(self.slice.offset(8))?;
        let array = memory.read_addr(self.slice)?;
        let limit = usize::try_from(8 * MAX_GOROUTINES).unwrap_or(usize::MAX);
        let bytes = usize::try_from(len.saturating_mul(8)).unwrap_or(usize::MAX);
        let list = memory.read_vec(array, bytes, limit)?;
        let gs = words(&list).map(TargetAddr);
        Ok(gs.filter(|g| !g.is_nil()).collect())
    }
}

/// What [`read_all`] found.
#[derive(Debug, Clone, Default)]
pub struct GoroutinesNow {
    /// The goroutines that there are.
    pub found: Vec<GoroutineState>,
    /// How many structs could not be read.
    pub unreadable: u64,
}

/// Reads the goroutines whose structs are `gs`; dead ones are left out.
///
/// # Errors
/// When the target is gone.
pub fn read_all(
    memory: &dyn Memory,
    layout: &GoroutineLayout,
    gs: &[TargetAddr],
) -> Result<GoroutinesNow, ReadError> {
    let size = usize::try_from(layout.size.min(4096)).unwrap_or(0);
    let mut gather = Gather::new();
    let mut all = GoroutinesNow::default();
    all.found.reserve(gs.len());
    for group in gs.chunks(GROUP) {
        let ranges: Vec<_> = group.iter().map(|g| (*g, size)).collect();
        gather.read(memory, &ranges)?;
        for (index, g) in group.iter().enumerate() {
            match gather.get(index) {
                Some(bytes) => all.found.extend(GoroutineState::decode(*g, bytes, layout)),
                None => all.unreadable += 1,
            }
        }
    }
    Ok(all)
}

#[cfg(test)]
impl GoroutineState {
    /// One that is parked, with a stack of a page of which the upper half is in use.
    pub(super) fn parked(goid: u64, g: u64) -> Self {
        Self {
            g: TargetAddr(g),
            goid: Goid(goid),
            doing: RunState::Parked,
            wait_reason: 0,
            stack: (TargetAddr(0x1000), TargetAddr(0x2000)),
            sp: TargetAddr(0x1800),
            pc: TargetAddr(0),
            runs: Some(1),
        }
    }
}
